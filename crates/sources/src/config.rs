//! Configuration: kube-proxy's file, and what the command line says over it.
//!
//! The file is a `KubeProxyConfiguration` (`kubeproxy.config.k8s.io/v1alpha1`). These fields act:
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `mode` | empty | `ipvs` or empty; anything else is an error |
//! | `hostnameOverride` | empty: the host's name | the node's name in Kubernetes |
//! | `clientConnection.kubeconfig` | empty: as [`crate::kube::connect`] finds | the way to the API server |
//! | `ipvs.scheduler` | empty: `rr` | the scheduler of every virtual server |
//! | `ipvs.syncPeriod` | `0s`: 30 s | how often everything is compared |
//! | `ipvs.minSyncPeriod` | `0s`: changes are applied at once | how long changes are gathered |
//! | `ipvs.excludeCIDRs` | none | networks that are never touched |
//!
//! Every other field of kube-proxy is accepted, and reported as a warning if it is set to something
//! that is not kube-proxy's default. A field that kube-proxy does not have is an error.

mod duration;
mod field;
mod file;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use model::{Name, NodeConfig};

pub use self::duration::parse_duration;
pub use self::file::ConfigFile;

use crate::yaml;

/// What the command line says over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOverrides {
    /// The node's name.
    pub node_name: Option<String>,
}

/// A configuration that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What decides about the node's tables.
    pub node: NodeConfig,
    /// `clientConnection.kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// Fields that are set and have no effect.
    pub warnings: Vec<ConfigWarning>,
}

/// One thing that is wrong with a configuration. Prints as `path: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field, as in `ipvs.excludeCIDRs[0]`; the file where no field is meant.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with a configuration, never empty. Prints one mistake a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A field that is accepted and has no effect. Prints as `path: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The field.
    pub path: String,
    /// Why it is mentioned.
    pub message: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Reads the file at `path`, if one is given, and resolves it: the command line wins over the file, the
/// file over `hostname`, the name of this host.
///
/// # Errors
///
/// Everything that is wrong, at once.
pub fn load(
    path: Option<&Path>,
    overrides: &NodeOverrides,
    hostname: &str,
) -> Result<Resolved, ConfigErrors> {
    let file = match path {
        Some(path) => read(path)?,
        None => ConfigFile::default(),
    };
    file.resolve(overrides, hostname)
}

/// Reads the file at `path` without judging its values.
///
/// # Errors
///
/// The file cannot be read, is no YAML or JSON, or holds not exactly one mapping.
pub fn read(path: &Path) -> Result<ConfigFile, ConfigErrors> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text),
        Err(error) => Err(file_error(
            path.display(),
            format!("cannot be read: {error}"),
        )),
    }
}

/// Reads a text that came from `origin`, which the messages name.
///
/// # Errors
///
/// The text is no YAML or JSON, or holds not exactly one mapping.
pub fn parse(origin: &str, text: &str) -> Result<ConfigFile, ConfigErrors> {
    let (mut values, error) = yaml::documents(text);
    if let Some(error) = error {
        let place = (error.place).map_or_else(String::new, |place| {
            format!(":{}:{}", place.line, place.column)
        });
        return Err(file_error(format!("{origin}{place}"), error.what));
    }
    match values.len() {
        1 => serde_json::from_value(values.remove(0))
            .map_err(|error| file_error(origin, error.to_string())),
        count => Err(file_error(
            origin,
            format!("one document is wanted, not {count}"),
        )),
    }
}

/// The name under which a node is known: without space around it, in lower case.
#[must_use]
pub fn node_name(text: &str) -> Name {
    text.trim().to_lowercase().into()
}

fn file_error(path: impl fmt::Display, message: String) -> ConfigErrors {
    ConfigErrors(vec![ConfigError {
        path: path.to_string(),
        message,
    }])
}
