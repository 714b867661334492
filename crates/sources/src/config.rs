//! Configuration: a file, or flags, and the flags that win over a file.
//!
//! A file is kube-proxy's `KubeProxyConfiguration` (`kubeproxy.config.k8s.io/v1alpha1`), unchanged,
//! or our own `KubeIpvsConfiguration` (`kube-ipvs.io/v1alpha1`), which has the same fields and
//! more. Without a file, kube-proxy's flags set the same fields. Each field is one row of
//! [`table::FIELDS`], from which everything else follows (ADR 24).
//!
//! ```text
//! file ──▶ extract ──┐
//!                    ├─▶ reader: row by row ──▶ Resolved { NodeConfig, DaemonSettings, … }
//! flags ─────────────┘   (kind, place, relations)     or all errors, with the fields' paths
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`table`] | one row for each field |
//! | `kind`, `field` | kinds of values; a row and its place in the configuration |
//! | `relations` | fields that depend on other fields |
//! | `extract`, `flags`, `spelling` | the configuration in a file, and on a command line |
//! | `reader` | from values to a configuration, errors and warnings |
//! | `show`, [`reference`] | the configuration in force, and the page of all fields |

mod extract;
mod field;
mod flags;
mod kind;
mod reader;
pub mod reference;
mod relations;
mod settings;
mod show;
mod spelling;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{Name, NodeConfig};
use serde_json::{Map, Value};

pub(crate) use self::kind::as_given;
pub(crate) use model::duration::{format_duration, parse_duration};

pub use self::flags::{ConfigFlags, parse_boolean};
pub use self::settings::{IptablesBackend, LogFormat, ServiceMetrics};
pub use self::show::EffectiveValue;
pub use self::spelling::as_declared;
pub use self::table::DaemonSettings;

/// Settings of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOverrides {
    /// Name of the node; wins over the file.
    pub node_name: Option<String>,
    /// Connection to the API server; wins over the file.
    pub kubeconfig: Option<PathBuf>,
    /// kube-proxy's flags. Beside a file they are ignored, each with a warning, except for
    /// `--metrics-bind-address` and those of logging.
    pub flags: ConfigFlags,
    /// True if fields that kube-proxy does not know are errors in its file too, not warnings.
    pub strict: bool,
}

/// A complete, checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Settings that decide about the node's tables.
    pub node: NodeConfig,
    /// Settings of the daemon itself.
    pub settings: DaemonSettings,
    /// Kubeconfig of the API server, if one is named.
    pub kubeconfig: Option<PathBuf>,
    /// Warnings: fields without effect, flags beside a file. Ordered by path.
    pub warnings: Vec<ConfigProblem>,
    /// The part of the file that was read, if the file holds other things too.
    pub taken_from: Option<String>,
    /// Origins of the fields that have a value, by path.
    pub origins: BTreeMap<&'static str, Origin>,
}

impl Default for Resolved {
    /// Returns the defaults, for a node without a name.
    fn default() -> Self {
        Self {
            node: NodeConfig::new(""),
            settings: DaemonSettings::default(),
            kubeconfig: None,
            warnings: Vec::new(),
            taken_from: None,
            origins: BTreeMap::new(),
        }
    }
}

/// Origin of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The default: neither a file nor a flag sets it.
    #[default]
    Default,
    /// The host: its name.
    Host,
    /// This file.
    File(String),
    /// This flag, without its dashes.
    Flag(&'static str),
    /// This flag, which wins over a file.
    Override(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Host => f.write_str("host"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Override(flag) => write!(f, "override --{flag}"),
        }
    }
}

/// A mistake in a configuration, or a warning about a setting that is accepted but does not have the
/// effect that its name suggests. Prints as `path: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    /// The field, as in `ipvs.excludeCIDRs[0]`, or its flag; the file if no field is meant.
    pub path: String,
    /// The problem.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All mistakes in a configuration, never empty, ordered by path. Prints one mistake a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigProblem>);

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

/// Reads the file at `path`, if one is given, or else the flags, and resolves it. `hostname` is the
/// name of this host, for a node without a configured name.
///
/// # Errors
///
/// All mistakes at once.
pub fn load(
    path: Option<&Path>,
    overrides: &NodeOverrides,
    hostname: &str,
) -> Result<Resolved, ConfigErrors> {
    let document = path.map(read).transpose()?.unwrap_or_default();
    document.resolve(overrides, hostname)
}

/// Reads the file at `path` without checking its fields.
///
/// # Errors
///
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Document, ConfigErrors> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Reads a text of the file `origin`, which the messages name. An empty text holds no fields. Among
/// several documents, and in a ConfigMap, the one configuration is found.
///
/// # Errors
///
/// If the text is not YAML or JSON, is not a mapping, or has several documents and none of them is a
/// configuration.
pub fn parse(origin: &str, text: &str) -> Result<Document, ConfigErrors> {
    extract::find(origin, text)
}

/// A configuration whose fields are not checked yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The file; without one the flags count.
    file: Option<String>,
    fields: Map<String, Value>,
    /// The part of the file that was read, if the file holds other things too.
    taken_from: Option<String>,
    /// Keys that are given twice, with their places.
    repeated: Vec<ConfigProblem>,
}

impl Document {
    /// Checks all fields, fills in defaults, and applies `overrides`.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn resolve(
        self,
        overrides: &NodeOverrides,
        hostname: &str,
    ) -> Result<Resolved, ConfigErrors> {
        reader::resolve(self, overrides, hostname)
    }
}

/// A kind of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// kube-proxy's.
    KubeProxy,
    /// The same with our own fields.
    Ours,
}

impl Dialect {
    const fn api_version(self) -> &'static str {
        match self {
            Self::KubeProxy => "kubeproxy.config.k8s.io/v1alpha1",
            Self::Ours => "kube-ipvs.io/v1alpha1",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::KubeProxy => "KubeProxyConfiguration",
            Self::Ours => "KubeIpvsConfiguration",
        }
    }
}

/// Returns a node's name without space around it, in lower case.
#[must_use]
pub fn node_name(text: &str) -> Name {
    text.trim().to_lowercase().into()
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    file_error(path.display(), format!("cannot be read: {error}"))
}

fn file_error(path: impl fmt::Display, message: String) -> ConfigErrors {
    ConfigErrors(vec![ConfigProblem {
        path: path.to_string(),
        message,
    }])
}
