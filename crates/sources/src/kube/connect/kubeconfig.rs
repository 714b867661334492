//! Reads the connection from a kubeconfig.
//!
//! The client library's own reader also takes a proxy from the environment, by other rules than
//! client-go, and refuses the whole kubeconfig if it cannot parse `NO_PROXY`. This reader ignores
//! the environment.

use http::Uri;
use kube::Config;
use kube::config::{Cluster, Context, ExecAuthCluster, Kubeconfig, KubeconfigError};

/// Returns the connection to the cluster of `context` or of the current context. The caller sets
/// the proxy. A missing user means no credentials, as in client-go.
///
/// # Errors
///
/// The context or its cluster does not exist, or its certificate authority cannot be read.
pub(super) fn config(
    kubeconfig: &Kubeconfig,
    context: Option<&str>,
) -> Result<Config, KubeconfigError> {
    let (context, cluster) = selected(kubeconfig, context)?;
    let server = (cluster.server.as_deref()).ok_or(KubeconfigError::MissingClusterUrl)?;
    let server: Uri = server.parse().map_err(KubeconfigError::ParseClusterUrl)?;
    let authority = ExecAuthCluster::try_from(cluster)?;
    let certificates = (authority.certificate_authority_data.as_deref())
        .map(certificates)
        .transpose()?;
    let user = context.user.as_deref().unwrap_or_default();
    let user = (kubeconfig.auth_infos.iter()).find(|named| named.name == user);
    let mut user = user
        .and_then(|named| named.auth_info.clone())
        .unwrap_or_default();
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some(authority);
    }
    let mut config = Config::new(server);
    config.root_cert = certificates;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.auth_info = user;
    Ok(config)
}

/// Returns the named context, or the current one, and its cluster.
///
/// # Errors
///
/// The context or its cluster does not exist.
pub(in crate::kube) fn selected<'a>(
    kubeconfig: &'a Kubeconfig,
    context: Option<&str>,
) -> Result<(&'a Context, &'a Cluster), KubeconfigError> {
    let current = || kubeconfig.current_context.as_deref();
    let name = (context.or_else(current)).ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = (kubeconfig.contexts.iter()).find(|context| context.name == name);
    let context = context
        .and_then(|named| named.context.as_ref())
        .ok_or_else(|| KubeconfigError::LoadContext(name.to_owned()))?;
    let cluster = (kubeconfig.clusters.iter()).find(|named| named.name == context.cluster);
    let cluster = cluster
        .and_then(|named| named.cluster.as_ref())
        .ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?;
    Ok((context, cluster))
}

fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, KubeconfigError> {
    let parts = pem::parse_many(text).map_err(KubeconfigError::ParseCertificates)?;
    Ok((parts.into_iter())
        .filter(|part| part.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect())
}
