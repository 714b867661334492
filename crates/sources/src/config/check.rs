//! Every field on its own: is it known, is it of its kind? What is wrong is left out, and told.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::show::text;
use super::table::{self, Effect, FieldInfo, Kind};
use super::value::{Problem, boolean_word, describe, problems};
use super::{ConfigError, ConfigWarning, Dialect, Layer, Origin, parse_duration};

/// A checked document: its fields that act, and errors and warnings about the others.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The fields that act, now or later, and say something.
    pub(super) tree: Map<String, Value>,
    /// Where each of them was said.
    pub(super) origins: BTreeMap<&'static str, Origin>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<ConfigWarning>,
}

/// Checks all fields of `document`.
pub(super) fn check(
    document: Map<String, Value>,
    repeated: Vec<ConfigError>,
    layer: &Layer,
    strict: bool,
) -> Checked {
    let mut checker = Checker {
        layer,
        strict,
        dialect: Dialect::Ours,
        checked: Checked::default(),
    };
    checker.document(document);
    for ConfigError { path, message } in repeated {
        checker.tolerate(&path, message);
    }
    checker.checked
}

struct Checker<'a> {
    layer: &'a Layer,
    strict: bool,
    dialect: Dialect,
    checked: Checked,
}

impl Checker<'_> {
    fn document(&mut self, mut document: Map<String, Value>) {
        let api_version = document.remove("apiVersion");
        let kind = document.remove("kind");
        if matches!(self.layer, Layer::File(_)) {
            self.dialect = self.dialect_of(api_version, kind);
        }
        let tree = self.section("", document);
        self.checked.tree = tree;
    }

    fn dialect_of(&mut self, api_version: Option<Value>, kind: Option<Value>) -> Dialect {
        let text = |value: Option<Value>| match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => describe(&other),
        };
        let (api_version, kind) = (text(api_version), text(kind));
        let dialect = match (kind.as_str(), api_version.as_str()) {
            (kind, _) if kind == Dialect::Ours.kind() => Dialect::Ours,
            ("", version) if version == Dialect::Ours.api_version() => Dialect::Ours,
            _ => Dialect::KubeProxy,
        };
        if !kind.is_empty() && kind != dialect.kind() {
            self.wrong(
                "kind",
                format!(
                    "{kind:?} is not supported, only {} and {}",
                    Dialect::KubeProxy.kind(),
                    Dialect::Ours.kind()
                ),
            );
        }
        if !api_version.is_empty() && api_version != dialect.api_version() {
            self.wrong(
                "apiVersion",
                format!(
                    "{api_version:?} is not supported, a {} is of {}",
                    dialect.kind(),
                    dialect.api_version()
                ),
            );
        }
        dialect
    }

    fn section(&mut self, prefix: &str, fields: Map<String, Value>) -> Map<String, Value> {
        let mut kept = Map::new();
        for (name, value) in fields {
            let path = format!("{prefix}{name}");
            if let Some(info) = table::field(&path) {
                if let Some(value) = self.field(info, value) {
                    kept.insert(name, value);
                }
            } else if table::is_section(&path) {
                if let Some(below) = self.mapping(&path, value) {
                    let below = self.section(&format!("{path}."), below);
                    kept.insert(name, Value::Object(below));
                }
            } else {
                self.unknown(&path);
            }
        }
        kept
    }

    fn mapping(&mut self, path: &str, value: Value) -> Option<Map<String, Value>> {
        match value {
            Value::Null => None,
            Value::Object(below) => Some(below),
            other => {
                self.wrong(path, format!("must be a mapping, not {}", describe(&other)));
                None
            }
        }
    }

    /// The value, if it is right, says something and acts.
    fn field(&mut self, info: &'static FieldInfo, value: Value) -> Option<Value> {
        if value.is_null() {
            return None;
        }
        let value = match self.layer {
            Layer::File(_) => with_words_as_booleans(info.kind, value),
            Layer::Flags => value,
        };
        if info.ours && self.dialect == Dialect::KubeProxy {
            self.wrong(
                info.path,
                format!(
                    "is no field of kube-proxy's: write it in a file of apiVersion {}, kind {}",
                    Dialect::Ours.api_version(),
                    Dialect::Ours.kind()
                ),
            );
            return None;
        }
        let problems = problems(info.kind, &value);
        let wrong = problems
            .iter()
            .any(|problem| !problem.harmless || info.ours);
        self.tell(info, problems);
        if wrong || is_default(info, &value) {
            return self.zero_by_flag(info, &value);
        }
        if info.path == "featureGates" {
            return self.gates(info, value);
        }
        if info.effect == Effect::Nothing {
            if says_something(&value) && !same(info, &value) {
                self.warn(info.path, "has no effect");
            }
            return None;
        }
        self.checked
            .origins
            .insert(info.path, self.layer.origin(info));
        Some(value)
    }

    /// The gate that says the same as a field of ours. The others are kube-proxy's own.
    fn gates(&mut self, info: &'static FieldInfo, gates: Value) -> Option<Value> {
        let Value::Object(mut gates) = gates else {
            return None;
        };
        let allows = gates.remove(EXTERNAL_IPS);
        if gates.values().any(says_something) {
            self.warn(info.path, "has no effect");
        }
        let denies = allows.filter(|allows| *allows == Value::Bool(false))?;
        let origin = self.layer.origin(info);
        self.checked
            .origins
            .entry("externalIPPolicy")
            .or_insert(origin);
        Some(Map::from_iter([(EXTERNAL_IPS.to_owned(), denies)]).into())
    }

    fn tell(&mut self, info: &FieldInfo, problems: Vec<Problem>) {
        for problem in problems {
            let path = format!("{}{}", info.path, problem.inner);
            if problem.harmless && !info.ours {
                self.warn(&path, &problem.message);
            } else {
                self.wrong(path, problem.message);
            }
        }
    }

    /// A zero period means the default in a file, and is wrong as a flag, as kube-proxy has it.
    fn zero_by_flag(&mut self, info: &FieldInfo, value: &Value) -> Option<Value> {
        let zero = value.as_str().and_then(parse_duration) == Some(std::time::Duration::ZERO);
        if info.zero_is_default && zero && matches!(self.layer, Layer::Flags) {
            self.wrong(info.path, "must be above 0".to_owned());
        }
        None
    }

    fn unknown(&mut self, path: &str) {
        let message = match (table::retired(path), table::nearly(path)) {
            (Some(instead), _) => format!("is no field of kube-proxy any more: {instead}"),
            (None, meant) => {
                let meant = meant.map(|meant| format!(", is {meant} meant?"));
                let meant = meant.unwrap_or_default();
                format!("is no field of a {}{meant}", self.dialect.kind())
            }
        };
        self.tolerate(path, message);
    }

    /// Adds what kube-proxy passes over in its own file: a warning there, unless the operator wants it strict.
    fn tolerate(&mut self, path: &str, message: String) {
        match self.dialect {
            Dialect::KubeProxy if !self.strict => self.warn(path, &message),
            Dialect::KubeProxy | Dialect::Ours => self.wrong(path, message),
        }
    }

    fn wrong(&mut self, path: impl Into<String>, message: String) {
        self.checked.errors.push(ConfigError {
            path: path.into(),
            message,
        });
    }

    fn warn(&mut self, path: &str, message: &str) {
        self.checked.warnings.push(ConfigWarning {
            path: path.to_owned(),
            message: message.to_owned(),
        });
    }
}

/// The feature gate of kube-proxy 1.36 by which no external address is served.
const EXTERNAL_IPS: &str = "AllowServiceExternalIPs";

/// Turns the other words of YAML 1.1 for true and false into booleans, for a field that holds these.
fn with_words_as_booleans(kind: Kind, value: Value) -> Value {
    match (kind, value) {
        (Kind::Bool, Value::String(text)) => {
            boolean_word(&text).map_or(Value::String(text), Value::Bool)
        }
        (Kind::Gates, Value::Object(gates)) => (gates.into_iter())
            .map(|(name, gate)| (name, with_words_as_booleans(Kind::Bool, gate)))
            .collect(),
        (_, value) => value,
    }
}

/// Returns true if a value only says that the default is wanted.
fn is_default(info: &FieldInfo, value: &Value) -> bool {
    match value {
        Value::String(text) if text.is_empty() => true,
        Value::String(text) => {
            info.zero_is_default && parse_duration(text) == Some(std::time::Duration::ZERO)
        }
        Value::Number(number) => info.zero_is_default && number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// Returns true if a value is kube-proxy's default in words.
fn same(info: &FieldInfo, value: &Value) -> bool {
    match (info.kind, value) {
        (Kind::Duration, Value::String(text)) => {
            parse_duration(text) == parse_duration(info.default)
        }
        (_, value) => text(value) == info.default,
    }
}

/// Returns true if a value differs from what is written for "nothing set", as in kubeadm's files.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !text.is_empty() && parse_duration(text) != Some(std::time::Duration::ZERO)
        }
        Value::Array(values) => values.iter().any(says_something),
        Value::Object(map) => map.values().any(says_something),
    }
}
