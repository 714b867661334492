//! Reads a document field by field into a configuration, and collects all problems.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kind::{Problem, describe};
use super::relations::{self, HOSTNAME_OVERRIDE, KUBECONFIG};
use super::show::text;
use super::table::{self, Effect, FIELDS, Field};
use super::{
    ConfigErrors, ConfigProblem, Dialect, Document, NodeOverrides, Origin, Resolved, node_name,
    parse_duration,
};

/// The values of a file and of flags, by the fields' paths.
type Given = BTreeMap<&'static str, (Value, Origin)>;

/// A configuration that is being read.
pub(super) struct Reader<'a> {
    /// Defaults, and the fields that are read. Its warnings have no flags as paths yet.
    pub(super) config: Resolved,
    errors: Vec<ConfigProblem>,
    overrides: &'a NodeOverrides,
    /// True if a file is read.
    has_file: bool,
    dialect: Dialect,
}

/// Resolves `document`.
pub(super) fn resolve(
    document: Document,
    overrides: &NodeOverrides,
    hostname: &str,
) -> Result<Resolved, ConfigErrors> {
    let mut config = Resolved {
        taken_from: document.taken_from,
        ..Resolved::default()
    };
    config.node.node_name = node_name(hostname);
    let mut reader = Reader {
        config,
        errors: Vec::new(),
        overrides,
        has_file: document.file.is_some(),
        dialect: Dialect::Ours,
    };
    reader.set_origin(HOSTNAME_OVERRIDE, Origin::Host);
    let mut given = Given::new();
    if let Some(file) = document.file {
        reader.document(document.fields, &Origin::File(file), &mut given);
    }
    for error in document.repeated {
        reader.tolerate(error.path, error.message);
    }
    for (field, value, origin) in overrides.flags.values(reader.has_file) {
        given.insert(field.path, (value, origin));
    }
    for field in FIELDS {
        if let Some((value, origin)) = given.get(field.path) {
            reader.field(field, value, origin);
        }
    }
    reader.program_flags();
    relations::settle(&mut reader);
    reader.finish(&given)
}

impl Reader<'_> {
    fn document(&mut self, mut fields: Map<String, Value>, origin: &Origin, given: &mut Given) {
        let text = |value: Option<Value>| match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => describe(&other),
        };
        let kind = text(fields.remove("kind"));
        let api_version = text(fields.remove("apiVersion"));
        self.set_dialect(&kind, &api_version);
        self.section("", fields, origin, given);
    }

    fn set_dialect(&mut self, kind: &str, api_version: &str) {
        let (ours, of_kube_proxy) = (Dialect::Ours, Dialect::KubeProxy);
        self.dialect = match (kind, api_version) {
            (kind, _) if kind == ours.kind() => ours,
            ("", version) if version == ours.api_version() => ours,
            _ => of_kube_proxy,
        };
        let its_kind = self.dialect.kind();
        let its_version = self.dialect.api_version();
        if !kind.is_empty() && kind != its_kind {
            let kinds = format!("{} and {}", of_kube_proxy.kind(), ours.kind());
            self.wrong("kind", format!("{kind:?} is not supported, only {kinds}"));
        }
        if !api_version.is_empty() && api_version != its_version {
            let what = format!("is not supported, a {its_kind} is of {its_version}");
            self.wrong("apiVersion", format!("{api_version:?} {what}"));
        }
    }

    fn section(
        &mut self,
        prefix: &str,
        fields: Map<String, Value>,
        origin: &Origin,
        given: &mut Given,
    ) {
        for (name, value) in fields {
            let path = format!("{prefix}{name}");
            match (table::field(&path), value) {
                (Some(field), value) => {
                    given.insert(field.path, (value, origin.clone()));
                }
                (None, _) if !table::is_section(&path) => {
                    let message = table::unknown(&path, self.dialect.kind());
                    self.tolerate(path, message);
                }
                (None, Value::Null) => {}
                (None, Value::Object(below)) => {
                    self.section(&format!("{path}."), below, origin, given);
                }
                (None, other) => {
                    self.wrong(path, format!("must be a mapping, not {}", describe(&other)));
                }
            }
        }
    }

    fn field(&mut self, field: &'static Field, value: &Value, origin: &Origin) {
        if value.is_null() {
            return;
        }
        if field.ours && self.dialect == Dialect::KubeProxy {
            let (version, kind) = (Dialect::Ours.api_version(), Dialect::Ours.kind());
            let place = format!("write it in a file of apiVersion {version}, kind {kind}");
            self.wrong(field.path, format!("is no field of kube-proxy's: {place}"));
        } else if field.zero_is_default && is_zero(value) {
            if value.is_string() && !matches!(origin, Origin::File(_)) {
                self.wrong(field.path, "must be above 0");
            }
        } else {
            field.place.load(field, value, origin, self);
        }
    }

    /// Adds the problems of a value. Returns true if the value is valid nevertheless.
    pub(super) fn report(&mut self, field: &Field, problems: Vec<Problem>) -> bool {
        let mut is_right = true;
        for problem in problems {
            let path = format!("{}{}", field.path, problem.inner);
            if problem.harmless && !field.ours {
                self.warn(path, problem.message);
            } else {
                is_right = false;
                self.wrong(path, problem.message);
            }
        }
        is_right
    }

    /// Records the origin of a valid value, and warns if the value has no effect.
    pub(super) fn accept(&mut self, field: &'static Field, value: &Value, origin: &Origin) {
        self.set_origin(field.path, origin.clone());
        let message = match field.effect {
            Effect::Acts => return,
            Effect::Later => "has no effect yet",
            Effect::Nothing => "has no effect",
        };
        if says_something(value) && text(value) != field.default() {
            self.warn(field.path, message);
        }
    }

    /// Applies the flags that belong to the program and win over a file.
    fn program_flags(&mut self) {
        let NodeOverrides {
            node_name,
            kubeconfig,
            ..
        } = self.overrides;
        let name = self::node_name(node_name.as_deref().unwrap_or_default());
        if !name.is_empty() {
            self.config.node.node_name = name;
            self.set_origin(HOSTNAME_OVERRIDE, Origin::Override("hostname-override"));
        }
        if kubeconfig.is_some() {
            self.config.kubeconfig.clone_from(kubeconfig);
            self.set_origin(KUBECONFIG, Origin::Override("kubeconfig"));
        }
    }

    fn finish(self, given: &Given) -> Result<Resolved, ConfigErrors> {
        let Self {
            mut config,
            mut errors,
            overrides,
            has_file,
            ..
        } = self;
        let shown = |path: String| match table::field_around(&path) {
            Some(Field {
                path: field,
                flag: Some(flag),
                ..
            }) if !has_file || matches!(given.get(field), Some((_, Origin::Override(_)))) => {
                format!("--{flag}")
            }
            _ => path,
        };
        for problem in errors.iter_mut().chain(&mut config.warnings) {
            problem.path = shown(std::mem::take(&mut problem.path));
        }
        config.warnings.extend(overrides.flags.warnings(has_file));
        config.warnings.sort();
        errors.sort();
        match errors.is_empty() {
            true => Ok(config),
            false => Err(ConfigErrors(errors)),
        }
    }

    pub(super) fn set_origin(&mut self, path: &'static str, origin: Origin) {
        self.config.origins.insert(path, origin);
    }

    /// Adds an error about fields that contradict each other, unless one of `others` is invalid
    /// itself and has its default.
    pub(super) fn conflict(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        others: &[&str],
    ) {
        let is_wrong = |path: &&str| {
            let mut errors = self.errors.iter();
            errors.any(|error| table::is_in(&error.path, path))
        };
        if !others.iter().any(is_wrong) {
            self.wrong(path, message);
        }
    }

    /// Adds a problem that kube-proxy ignores in its own file. It is a warning there, unless
    /// reading is strict.
    fn tolerate(&mut self, path: String, message: String) {
        match self.dialect {
            Dialect::KubeProxy if !self.overrides.strict => self.warn(path, message),
            Dialect::KubeProxy | Dialect::Ours => self.wrong(path, message),
        }
    }

    fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(ConfigProblem {
            path: path.into(),
            message: message.into(),
        });
    }

    pub(super) fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.config.warnings.push(ConfigProblem {
            path: path.into(),
            message: message.into(),
        });
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => parse_duration(text).is_some_and(|duration| duration.is_zero()),
        value => value.as_f64() == Some(0.0),
    }
}

/// Returns true if a value differs from those that mean "nothing set", as in kubeadm's files.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Array(values) => values.iter().any(says_something),
        Value::Object(map) => map.values().any(says_something),
        Value::String(text) => !text.is_empty() && !is_zero(value),
        Value::Number(_) => !is_zero(value),
    }
}
