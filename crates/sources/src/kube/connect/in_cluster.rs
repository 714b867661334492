//! Reads the connection from the service account of a pod.

use std::fs::File;
use std::path::Path;

use kube::Config;
use kube::config::InClusterError;

use super::ConnectError;
use super::kubeconfig::parse_certificates;
use crate::environment::Environment;

/// Folder of the service account's files (`k8s.io/client-go/rest/config.go`, Kubernetes 1.34).
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// File with the certificates of the authority of the API server.
const AUTHORITY: &str = "ca.crt";

/// File with the token of the service account.
const TOKEN: &str = "token";

/// Returns the connection that the variables and the service account of the pod `environment`
/// describe.
///
/// # Errors
///
/// A variable is missing, or a file cannot be read.
pub(super) fn config(environment: &Environment) -> Result<Config, ConnectError> {
    if *environment == Environment::own() {
        return Config::incluster().map_err(refused);
    }
    let variable = |name| {
        let value = environment.variable(name);
        value.ok_or(refused(InClusterError::ReadEnvironmentVariable(
            std::env::VarError::NotPresent,
        )))
    };
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let port: u16 = (port.parse()).map_err(|why| refused(InClusterError::ParseClusterPort(why)))?;
    let url = match host.contains(':') {
        true => format!("https://[{host}]:{port}"),
        false => format!("https://{host}:{port}"),
    };
    let url = (url.parse()).map_err(|why| refused(InClusterError::ParseClusterUrl(why)))?;
    let path = |name| environment.path(&Path::new(SERVICE_ACCOUNT).join(name));
    let authority = path(AUTHORITY).and_then(std::fs::read);
    let authority = authority.map_err(|cause| unreadable(AUTHORITY, cause))?;
    let authority = parse_certificates(&authority)
        .map_err(|why| refused(InClusterError::ParseCertificates(why)))?;
    // The client reads the token again before it expires.
    let token = path(TOKEN).and_then(|path| File::open(&path).map(|_| path));
    let token = token.map_err(|cause| unreadable(TOKEN, cause))?;
    let mut config = Config::new(url);
    config.root_cert = Some(authority);
    config.auth_info.token_file = Some(token.display().to_string());
    Ok(config)
}

/// Returns the error for a service account that cannot be used. The causes of the library do not
/// name their files.
fn refused(cause: InClusterError) -> ConnectError {
    match cause {
        InClusterError::ReadCertificateBundle(cause) => unreadable(AUTHORITY, cause),
        InClusterError::ReadDefaultNamespace(cause) => unreadable("namespace", cause),
        cause => ConnectError::InCluster(Box::new(cause)),
    }
}

fn unreadable(name: &str, cause: std::io::Error) -> ConnectError {
    ConnectError::ServiceAccount {
        path: Path::new(SERVICE_ACCOUNT).join(name),
        cause,
    }
}
