//! Reads the connection from the service account of a pod.

use std::path::Path;

use kube::Config;
use kube::config::InClusterError;

use super::kubeconfig::parse_certificates;
use crate::environment::Environment;

/// Folder of the service account's files (`k8s.io/client-go/rest/config.go`, Kubernetes 1.34).
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Returns the connection that the variables and the service account of the pod `environment`
/// describe.
///
/// # Errors
///
/// A variable is missing, or a file cannot be read.
pub(super) fn config(environment: &Environment) -> Result<Config, InClusterError> {
    if *environment == Environment::own() {
        return Config::incluster();
    }
    let variable = |name| {
        let value = environment.variable(name);
        value.ok_or(InClusterError::ReadEnvironmentVariable(
            std::env::VarError::NotPresent,
        ))
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let port: u16 = port.parse().map_err(InClusterError::ParseClusterPort)?;
    let url = match host.contains(':') {
        true => format!("https://[{host}]:{port}"),
        false => format!("https://{host}:{port}"),
    };
    let path = |name| environment.path(&Path::new(SERVICE_ACCOUNT).join(name));
    let authority = path("ca.crt").and_then(std::fs::read);
    let authority = authority.map_err(InClusterError::ReadCertificateBundle)?;
    let token = path("token").map_err(InClusterError::ReadCertificateBundle)?;
    let mut config = Config::new(url.parse().map_err(InClusterError::ParseClusterUrl)?);
    config.root_cert =
        Some(parse_certificates(&authority).map_err(InClusterError::ParseCertificates)?);
    config.auth_info.token_file = Some(token.display().to_string());
    Ok(config)
}
