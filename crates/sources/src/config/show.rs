//! The configuration in force, field by field.

use serde_json::{Map, Value, json};

use super::table::{Effect, FIELDS, Field};
use super::{Dialect, Origin, Resolved};

/// One field with its value in force.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveValue {
    /// Path of the field: `ipvs.scheduler`.
    pub path: &'static str,
    /// Value as a file holds it.
    pub value: Value,
    /// Origin of the value.
    pub origin: Origin,
}

impl EffectiveValue {
    /// Returns the value on one line: `30s`, `[10.0.0.0/8, fd00::/8]`, nothing for an empty text.
    #[must_use]
    pub fn text(&self) -> String {
        text(&self.value)
    }
}

impl Resolved {
    /// Returns every field that acts, now or later, with its value; in the order of the table.
    #[must_use]
    pub fn values(&self) -> Vec<EffectiveValue> {
        let values = shown_fields().map(|field| EffectiveValue {
            path: field.path,
            value: field.place.show(self),
            origin: self.origins.get(field.path).cloned().unwrap_or_default(),
        });
        values.collect()
    }

    /// Returns the configuration as a file of our own kind, which resolves to the same
    /// configuration.
    #[must_use]
    pub fn document(&self) -> Value {
        self.document_of(Dialect::Ours)
    }

    /// Returns [`Self::document`] as YAML.
    ///
    /// # Errors
    ///
    /// No error is known: the document has only numbers and texts.
    pub fn to_yaml(&self) -> Result<String, impl std::error::Error + Send + Sync + use<>> {
        serde_saphyr::to_string(&self.document())
    }

    /// Returns the page `/configz`: the configuration below the name of its API group, once as
    /// kube-proxy shows its own, without the fields of our own kind, and once in full.
    ///
    /// Source: `k8s.io/component-base/configz` and `cmd/kube-proxy/app/server.go`, Kubernetes 1.36.
    #[must_use]
    pub fn configz(&self) -> Value {
        let groups = [Dialect::KubeProxy, Dialect::Ours].map(|dialect| {
            let group = dialect.api_version().split('/').next().unwrap_or_default();
            (group.to_owned(), self.document_of(dialect))
        });
        Value::Object(groups.into_iter().collect())
    }

    fn document_of(&self, dialect: Dialect) -> Value {
        let mut document = json!({"apiVersion": dialect.api_version(), "kind": dialect.kind()});
        for field in shown_fields().filter(|field| dialect == Dialect::Ours || !field.ours) {
            let value = match self.origins.get(field.path) {
                // The host's name is no setting: the file may be for another host.
                Some(Origin::Host) => json!(""),
                _ => field.place.show(self),
            };
            put(&mut document, field.path, value);
        }
        document
    }
}

fn shown_fields() -> impl Iterator<Item = &'static Field> {
    let is_shown = |field: &&Field| field.effect != Effect::Nothing;
    FIELDS.iter().filter(is_shown)
}

/// Puts `value` at a dotted path of mappings.
pub(super) fn put(mapping: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(mapping, |place, name| {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        &mut place[name]
    });
    *place = value;
}

/// Returns a value on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        value => value.to_string(),
    }
}
