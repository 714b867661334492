//! Reads the connection from a kubeconfig.
//!
//! The client library's own reader also takes a proxy from the environment, by other rules than
//! client-go, and refuses the whole kubeconfig if it cannot parse `NO_PROXY`. This reader ignores
//! the environment.

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use http::Uri;
use kube::Config;
use kube::config::{Cluster, Context, ExecAuthCluster, Kubeconfig, KubeconfigError};

/// Reads and merges the kubeconfigs at `paths` of `environment`. Paths in them become paths of this
/// process. A missing file among several is skipped, as in client-go.
///
/// # Errors
///
/// A file cannot be read or parsed.
pub(super) fn read(
    environment: &Environment,
    paths: &[PathBuf],
) -> Result<Kubeconfig, KubeconfigError> {
    let mut merged = Kubeconfig::default();
    for path in paths {
        let found = (environment.path(path))
            .map_err(|error| KubeconfigError::ReadConfig(error, path.clone()))?;
        let mut read = match Kubeconfig::read_from(&found) {
            Ok(read) => read,
            Err(KubeconfigError::ReadConfig(error, _))
                if paths.len() > 1 && error.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        move_paths(environment, &mut read);
        merged = merged.merge(read)?;
    }
    Ok(merged)
}

/// Replaces the paths of files in `kubeconfig` by those of this process. A path that cannot be
/// resolved stays, and reading it fails.
fn move_paths(environment: &Environment, kubeconfig: &mut Kubeconfig) {
    if environment.has_own_files() {
        return;
    }
    let move_one = |path: &mut Option<String>| {
        let moved = path
            .as_deref()
            .map(|path| environment.inside(Path::new(path)));
        let moved = moved.and_then(|path| environment.path(&path).ok());
        if let Some(moved) = moved {
            *path = Some(moved.display().to_string());
        }
    };
    let clusters = kubeconfig.clusters.iter_mut();
    for cluster in clusters.filter_map(|named| named.cluster.as_mut()) {
        move_one(&mut cluster.certificate_authority);
    }
    let users = kubeconfig.auth_infos.iter_mut();
    for user in users.filter_map(|named| named.auth_info.as_mut()) {
        move_one(&mut user.client_certificate);
        move_one(&mut user.client_key);
        move_one(&mut user.token_file);
    }
}

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
    parse_certificates(text).map_err(KubeconfigError::ParseCertificates)
}

/// Returns the certificates in a PEM text.
///
/// # Errors
///
/// The text is not PEM.
pub(super) fn parse_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, pem::PemError> {
    let parts = pem::parse_many(text)?;
    Ok((parts.into_iter())
        .filter(|part| part.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect())
}
