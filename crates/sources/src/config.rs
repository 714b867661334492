//! Configuration: a file, or flags, and what wins over both.
//!
//! A file is kube-proxy's `KubeProxyConfiguration` (`kubeproxy.config.k8s.io/v1alpha1`), unchanged, or
//! our own `KubeIpvsConfiguration` (`kube-ipvs.io/v1alpha1`), which has the same fields and some more.
//! Without a file kube-proxy's flags say the same. All fields are in one table, [`table::FIELDS`]: the
//! flags, the checks, the warnings, [`Resolved::values`] and the page `docs/reference/config.md` are
//! made from it.
//!
//! ```text
//! file ──┐                 ┌─ errors: all at once, with the fields' paths
//!        ├─ check ─ resolve┤
//! flags ─┘  (one field)    └─ Resolved { NodeConfig, DaemonSettings, … }
//! ```

mod check;
mod duration;
mod extract;
mod file;
mod flags;
pub mod reference;
mod resolve;
mod settings;
mod show;
mod spelling;
pub mod table;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{Name, NodeConfig};
use serde_json::{Map, Value};

pub use self::duration::{format_duration, parse_duration};
pub use self::flags::{ConfigFlags, parse_boolean};
pub use self::settings::{DaemonSettings, IptablesBackend, LogFormat, ServiceMetrics};
pub use self::show::EffectiveValue;
pub use self::spelling::as_declared;

use self::table::{Effect, FieldInfo};

/// The settings of the command line, besides the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOverrides {
    /// The node's name; wins over the file.
    pub node_name: Option<String>,
    /// Connection to the API server; wins over the file.
    pub kubeconfig: Option<PathBuf>,
    /// kube-proxy's flags. Where there is a file they are ignored, each with a warning, but for those of logging.
    pub flags: ConfigFlags,
    /// True if fields that kube-proxy does not know are an error in its file too, instead of a warning.
    pub strict: bool,
}

/// A configuration that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The settings that decide about the node's tables.
    pub node: NodeConfig,
    /// The settings of the daemon itself.
    pub settings: DaemonSettings,
    /// The way to the API server, if it is named.
    pub kubeconfig: Option<PathBuf>,
    /// Warnings: fields without effect, flags beside a file. Ordered by path.
    pub warnings: Vec<ConfigWarning>,
    /// The part of the file that was read, where it holds other things too.
    pub taken_from: Option<String>,
    /// Where the fields that say something come from, by path.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// Where a value comes from.
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

/// One thing that is wrong with a configuration. Prints as `path: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// The field, as in `ipvs.excludeCIDRs[0]`, or its flag; the file where no field is meant.
    pub path: String,
    /// The problem.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with a configuration, never empty, ordered by path. Prints one mistake a
/// line.
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

/// Something that is accepted and does not do what one might think. Prints as `path: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigWarning {
    /// The field or the flag.
    pub path: String,
    /// Why it is mentioned.
    pub message: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Reads the file at `path`, if one is given, or else the flags, and resolves it. `hostname` is the
/// name of this host, for a node that is named nowhere.
///
/// # Errors
///
/// Everything that is wrong, at once.
pub fn load(
    path: Option<&Path>,
    overrides: &NodeOverrides,
    hostname: &str,
) -> Result<Resolved, ConfigErrors> {
    let document = match path {
        Some(path) => read(path)?,
        None => Document {
            layer: Layer::Flags,
            fields: overrides.flags.document(),
            taken_from: None,
            repeated: Vec::new(),
        },
    };
    document.resolve(overrides, hostname)
}

/// Reads the file at `path` without judging its fields.
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

/// Reads a text that came from `origin`, which the messages name. An empty one holds no fields. Among several documents, and in
/// a ConfigMap, the one configuration is found.
///
/// # Errors
///
/// The text is no YAML or JSON, holds something else than a mapping, or several documents without one that is a configuration.
pub fn parse(origin: &str, text: &str) -> Result<Document, ConfigErrors> {
    let extract::Found {
        fields,
        taken_from,
        repeated,
    } = extract::find(origin, text)?;
    Ok(Document {
        layer: Layer::File(origin.to_owned()),
        fields,
        taken_from,
        repeated,
    })
}

/// A configuration as it was found: nothing is judged yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    layer: Layer,
    fields: Map<String, Value>,
    /// The part of the file that it is, where the file holds other things too.
    taken_from: Option<String>,
    /// A key that is given twice, with its place.
    repeated: Vec<ConfigError>,
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layer {
    /// This file.
    File(String),
    /// The command line.
    Flags,
}

impl Layer {
    fn origin(&self, field: &FieldInfo) -> Origin {
        match (self, field.flag) {
            (Self::File(name), _) => Origin::File(name.clone()),
            (Self::Flags, Some(flag)) => Origin::Flag(flag),
            (Self::Flags, None) => Origin::Default,
        }
    }

    /// Returns the path of a field as it is shown.
    fn path(&self, path: String) -> String {
        let field = table::FIELDS.iter().find(|field| is_in(&path, field.path));
        match (self, field.and_then(|field| field.flag)) {
            (Self::Flags, Some(flag)) => format!("--{flag}"),
            _ => path,
        }
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

impl Document {
    /// Judges all fields, fills in defaults, and puts `overrides` over it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn resolve(
        self,
        overrides: &NodeOverrides,
        hostname: &str,
    ) -> Result<Resolved, ConfigErrors> {
        let NodeOverrides {
            node_name,
            kubeconfig,
            flags,
            strict,
        } = overrides;
        let layer = self.layer;
        let mut fields = self.fields;
        let over_file = flags.over_file();
        let over_file: Vec<_> = over_file
            .filter(|_| matches!(layer, Layer::File(_)))
            .collect();
        for (field, value) in &over_file {
            put(&mut fields, field.path, value.clone());
        }
        let checked = check::check(fields, self.repeated, &layer, *strict);
        let (mut errors, mut warnings) = (checked.errors, checked.warnings);
        let mut origins = checked.origins;
        for (field, _) in &over_file {
            if let Some(flag) = field.flag
                && origins.contains_key(field.path)
            {
                origins.insert(field.path, Origin::Override(flag));
            }
        }
        let file: file::ConfigFile = serde_json::from_value(Value::Object(checked.tree))
            .map_err(|error| file_error("configuration", error.to_string()))?;

        let named = [
            (node_name.as_deref(), Origin::Override("hostname-override")),
            (file.hostname_override.as_deref(), named_in(&origins)),
            (Some(hostname), Origin::Host),
        ];
        let named = (named.into_iter())
            .map(|(name, origin)| (self::node_name(name.unwrap_or_default()), origin))
            .find(|(name, _)| !name.is_empty());
        let (name, origin) = named.unwrap_or_default();
        if name.is_empty() {
            errors.push(ConfigError {
                path: HOSTNAME_OVERRIDE.to_owned(),
                message: "the host has no name, and none is given".to_owned(),
            });
        }
        origins.insert(HOSTNAME_OVERRIDE, origin);
        if kubeconfig.is_some() {
            origins.insert(KUBECONFIG, Origin::Override("kubeconfig"));
        }

        let outcome = resolve::resolve(file, name, &mut errors, &mut warnings);
        if !errors.is_empty() {
            for error in &mut errors {
                error.path = layer.path(std::mem::take(&mut error.path));
            }
            errors.sort();
            return Err(ConfigErrors(errors));
        }
        let mut resolved = Resolved {
            node: outcome.node,
            settings: outcome.settings,
            kubeconfig: kubeconfig.clone().or(outcome.kubeconfig.map(PathBuf::from)),
            warnings,
            taken_from: self.taken_from,
            origins,
        };
        let later = resolved.values();
        let later = later.iter().filter_map(without_effect);
        let mut warnings: Vec<_> = later.chain(resolved.warnings).collect();
        for warning in &mut warnings {
            warning.path = layer.path(std::mem::take(&mut warning.path));
        }
        warnings.extend(flags.warnings(matches!(layer, Layer::File(_))));
        warnings.sort();
        resolved.warnings = warnings;
        Ok(resolved)
    }
}

const HOSTNAME_OVERRIDE: &str = "hostnameOverride";
const KUBECONFIG: &str = "clientConnection.kubeconfig";

fn named_in(origins: &BTreeMap<&'static str, Origin>) -> Origin {
    origins.get(HOSTNAME_OVERRIDE).cloned().unwrap_or_default()
}

/// The warning about a field that will act later, if it asks for something that does not happen.
fn without_effect(value: &EffectiveValue) -> Option<ConfigWarning> {
    let field = table::field(value.path)?;
    let asks = field.effect == Effect::Later
        && value.origin != Origin::Default
        && value.text() != field.default
        && check::says_something(&value.value);
    asks.then(|| ConfigWarning {
        path: value.path.to_owned(),
        message: "has no effect yet".to_owned(),
    })
}

/// The name under which a node is known: without space around it, in lower case.
#[must_use]
pub fn node_name(text: &str) -> Name {
    text.trim().to_lowercase().into()
}

/// Returns true if `path` is `field` or a place inside its value.
fn is_in(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

/// Puts `value` at a dotted path.
fn put(map: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let below = map.entry(section).or_insert(Value::Null);
            if below.is_null() {
                *below = Value::Object(Map::new());
            }
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    file_error(path.display(), format!("cannot be read: {error}"))
}

fn file_error(path: impl fmt::Display, message: String) -> ConfigErrors {
    ConfigErrors(vec![ConfigError {
        path: path.to_string(),
        message,
    }])
}
