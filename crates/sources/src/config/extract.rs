//! The configuration in a text that may hold other things too: kubeadm's documents, a ConfigMap, a list of these.

use serde_json::{Map, Value};

use super::value::describe;
use super::{ConfigError, ConfigErrors, Dialect, file_error};
use crate::yaml;

/// The configuration that a text holds.
pub(super) struct Found {
    pub(super) fields: Map<String, Value>,
    /// The part of the text that it is, where there are others.
    pub(super) taken_from: Option<String>,
    /// A key that is given twice, with its place.
    pub(super) repeated: Vec<ConfigError>,
}

/// Finds the one configuration in `text`, which came from `origin`. An empty text is one without fields, and a single mapping is one
/// whatever its kind says, but for a ConfigMap or a list.
pub(super) fn find(origin: &str, text: &str) -> Result<Found, ConfigErrors> {
    let mut repeated = Vec::new();
    let mut values = documents(origin, text, &mut repeated)?;
    let fields = match (values.len(), values.first()) {
        (0, _) => Map::new(),
        (1, Some(Value::Object(fields))) if !holds_others(fields) => match values.pop() {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        },
        (1, Some(other)) if !other.is_object() => {
            let what = format!("must hold a mapping, not {}", describe(other));
            return Err(file_error(origin, what));
        }
        _ => {
            let (fields, place) = search(origin, values, &mut repeated)?;
            return Ok(Found {
                fields,
                taken_from: Some(place),
                repeated,
            });
        }
    };
    Ok(Found {
        fields,
        taken_from: None,
        repeated,
    })
}

/// Reads all documents. A key that is given twice is added to `repeated`, the last one counts then.
fn documents(
    origin: &str,
    text: &str,
    repeated: &mut Vec<ConfigError>,
) -> Result<Vec<Value>, ConfigErrors> {
    let (values, error) = yaml::documents(text);
    let Some(error) = error else {
        return Ok(values);
    };
    let place = (error.place).map_or_else(String::new, |place| {
        format!(":{}:{}", place.line, place.column)
    });
    let place = format!("{origin}{place}");
    match yaml::documents_with_repeated_keys(text) {
        (values, None) => {
            repeated.push(ConfigError {
                path: place,
                message: "a key is given twice in one mapping, the last one counts".to_owned(),
            });
            Ok(values)
        }
        (_, Some(_)) => Err(file_error(place, error.what)),
    }
}

/// Returns the one configuration among several things, and its place.
fn search(
    origin: &str,
    values: Vec<Value>,
    repeated: &mut Vec<ConfigError>,
) -> Result<(Map<String, Value>, String), ConfigErrors> {
    let mut search = Search {
        origin,
        repeated,
        found: Vec::new(),
        others: Vec::new(),
    };
    let count = values.len();
    for (number, value) in (1..).zip(values) {
        let place = match count {
            1 => String::new(),
            _ => format!("document {number}"),
        };
        search.value(&place, value)?;
    }
    let Search { found, others, .. } = search;
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some((place, fields)), None) => Ok((fields, place)),
        (Some((first, _)), Some((second, _))) => {
            let places = [first, second]
                .into_iter()
                .chain(found.map(|(place, _)| place));
            let places: Vec<_> = places.collect();
            let what = format!("one configuration is wanted, not {}", places.join(" and "));
            Err(file_error(origin, what))
        }
        (None, _) => {
            let what = format!(
                "holds no {} and no {}, but {}",
                Dialect::KubeProxy.kind(),
                Dialect::Ours.kind(),
                others.join(", ")
            );
            Err(file_error(origin, what))
        }
    }
}

struct Search<'a> {
    origin: &'a str,
    repeated: &'a mut Vec<ConfigError>,
    /// The configurations, by place.
    found: Vec<(String, Map<String, Value>)>,
    /// The kinds of everything else.
    others: Vec<String>,
}

impl Search<'_> {
    fn value(&mut self, place: &str, value: Value) -> Result<(), ConfigErrors> {
        let Value::Object(mut fields) = value else {
            self.others.push(describe(&value));
            return Ok(());
        };
        let kind = text(&fields, "kind").to_owned();
        if is_configuration(&kind) {
            self.found.push((said(&kind, place), fields));
        } else if let Some(Value::Array(items)) = list(&mut fields) {
            for (index, item) in items.into_iter().enumerate() {
                let place = match place {
                    "" => format!("item {index}"),
                    place => format!("item {index} of {place}"),
                };
                self.value(&place, item)?;
            }
        } else if let Some(inner) = of_old_kubeadm(&mut fields) {
            self.found
                .push((said(OLD_KUBEADM, &said(&kind, place)), inner));
        } else if kind == CONFIG_MAP {
            self.config_map(place, &fields)?;
        } else if kind.is_empty() {
            self.others.push("a mapping without a kind".to_owned());
        } else {
            self.others.push(kind);
        }
        Ok(())
    }

    fn config_map(&mut self, place: &str, fields: &Map<String, Value>) -> Result<(), ConfigErrors> {
        let metadata = fields.get("metadata").and_then(Value::as_object);
        let part = |name: &str| metadata.map_or("", |metadata| text(metadata, name));
        let name = match (part("namespace"), part("name")) {
            ("", "") => place.to_owned(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        let before = self.found.len();
        let data = fields.get("data").and_then(Value::as_object);
        for (key, value) in data.into_iter().flatten() {
            let Some(text) = value.as_str() else {
                continue;
            };
            let path = format!("{}: data[{key:?}]", self.origin);
            let mut repeated = Vec::new();
            let values = match documents(&path, text, &mut repeated) {
                Ok(values) => values,
                // Any text may be in a ConfigMap.
                Err(_) if !KINDS.iter().any(|kind| text.contains(kind.kind())) => continue,
                Err(errors) => return Err(errors),
            };
            for value in values {
                if let Value::Object(fields) = value
                    && is_configuration(self::text(&fields, "kind"))
                {
                    let place = said(&format!("data[{key:?}]"), &said(CONFIG_MAP, &name));
                    self.found.push((place, fields));
                    self.repeated.append(&mut repeated);
                }
            }
        }
        if self.found.len() == before {
            self.others.push(said(CONFIG_MAP, &name));
        }
        Ok(())
    }
}

const CONFIG_MAP: &str = "ConfigMap";

/// The field in which kubeadm's own configuration held kube-proxy's up to Kubernetes 1.11
/// (`cmd/kubeadm/app/apis/kubeadm/v1alpha2/types.go`), without a kind.
const OLD_KUBEADM: &str = "kubeProxy.config";

/// Takes kube-proxy's configuration out of kubeadm's old one.
fn of_old_kubeadm(fields: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    match fields.get_mut("kubeProxy")?.get_mut("config")?.take() {
        Value::Object(mut inner) if !text(fields, "kind").is_empty() => {
            let kind = Dialect::KubeProxy;
            for (field, value) in [("apiVersion", kind.api_version()), ("kind", kind.kind())] {
                inner.entry(field).or_insert_with(|| value.into());
            }
            Some(inner)
        }
        _ => None,
    }
}

const KINDS: [Dialect; 2] = [Dialect::KubeProxy, Dialect::Ours];

fn is_configuration(kind: &str) -> bool {
    KINDS.iter().any(|ours| ours.kind() == kind)
}

/// Returns true if a mapping is no configuration itself and may hold one.
fn holds_others(fields: &Map<String, Value>) -> bool {
    let kind = text(fields, "kind");
    kind == CONFIG_MAP
        || kind == "MasterConfiguration"
        || kind.ends_with("List") && fields.contains_key("items")
}

/// Takes out the items of a list.
fn list(fields: &mut Map<String, Value>) -> Option<Value> {
    match text(fields, "kind").ends_with("List") {
        true => fields.remove("items"),
        false => None,
    }
}

/// Returns `what` with its place: `a of b`, for a document `a, document 3`.
fn said(what: &str, place: &str) -> String {
    match place {
        "" => what.to_owned(),
        place if what == CONFIG_MAP => format!("{what} {place}"),
        place => format!("{what} of {place}"),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}
