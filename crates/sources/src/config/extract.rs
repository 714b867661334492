//! Finds the configuration in a text with other documents: those of kubeadm, a ConfigMap, or a list
//! of these.

use serde_json::{Map, Value};

use super::kind::describe;
use super::{ConfigErrors, ConfigProblem, Dialect, Document, file_error};
use crate::yaml;

type Fields = Map<String, Value>;

/// Finds the one configuration in `text`, which came from `origin`. An empty text is a
/// configuration without fields. A single mapping is a configuration of any kind, unless it is a
/// ConfigMap or a list.
pub(super) fn find(origin: &str, text: &str) -> Result<Document, ConfigErrors> {
    let mut search = Search {
        origin,
        repeated: Vec::new(),
        found: Vec::new(),
        others: Vec::new(),
    };
    let (mut values, repeated) = documents(origin, text)?;
    search.repeated.extend(repeated);
    let (fields, taken_from) = match (values.len(), values.pop()) {
        (_, None) => (Fields::new(), None),
        (1, Some(Value::Object(fields))) if !holds_others(&fields) => (fields, None),
        (1, Some(other)) if !other.is_object() => {
            let what = format!("must hold a mapping, not {}", describe(&other));
            return Err(file_error(origin, what));
        }
        (count, Some(last)) => {
            for (number, value) in (1..).zip(values.into_iter().chain([last])) {
                let place = match count {
                    1 => String::new(),
                    _ => format!("document {number}"),
                };
                search.value(&place, value)?;
            }
            let (place, fields) = search.one()?;
            (fields, Some(place))
        }
    };
    Ok(Document {
        file: Some(origin.to_owned()),
        fields,
        taken_from,
        repeated: search.repeated,
    })
}

/// Reads all documents. If a key occurs twice, the last value counts and a problem is returned.
fn documents(
    origin: &str,
    text: &str,
) -> Result<(Vec<Value>, Option<ConfigProblem>), ConfigErrors> {
    let (values, error) = yaml::documents(text);
    let Some(error) = error else {
        return Ok((values, None));
    };
    let place = (error.place).map_or_else(String::new, |place| {
        format!(":{}:{}", place.line, place.column)
    });
    let path = format!("{origin}{place}");
    let (values, other_error) = yaml::documents_with_repeated_keys(text);
    if other_error.is_some() {
        return Err(file_error(path, error.what));
    }
    let message = "a key is given twice in one mapping, the last one counts".to_owned();
    Ok((values, Some(ConfigProblem { path, message })))
}

struct Search<'a> {
    origin: &'a str,
    repeated: Vec<ConfigProblem>,
    /// The configurations, by place.
    found: Vec<(String, Fields)>,
    /// The kinds of everything else.
    others: Vec<String>,
}

impl Search<'_> {
    /// Returns the one configuration that was found, after its place.
    fn one(&mut self) -> Result<(String, Fields), ConfigErrors> {
        let what = match (self.found.pop(), &self.found[..]) {
            (Some(found), []) => return Ok(found),
            (Some((last, _)), others) => {
                let places = others.iter().map(|(place, _)| place.as_str());
                let places: Vec<_> = places.chain([last.as_str()]).collect();
                format!("one configuration is wanted, not {}", places.join(" and "))
            }
            (None, _) => {
                let [ours, theirs] = [Dialect::Ours.kind(), Dialect::KubeProxy.kind()];
                let others = self.others.join(", ");
                format!("holds no {theirs} and no {ours}, but {others}")
            }
        };
        Err(file_error(self.origin, what))
    }

    fn value(&mut self, place: &str, value: Value) -> Result<(), ConfigErrors> {
        let Value::Object(mut fields) = value else {
            self.others.push(describe(&value));
            return Ok(());
        };
        let kind = text(&fields, "kind").to_owned();
        if is_configuration(&fields) {
            self.found.push((at(&kind, place), fields));
        } else if let Some(Value::Array(items)) = list(&mut fields) {
            for (index, item) in items.into_iter().enumerate() {
                self.value(&at(&format!("item {index}"), place), item)?;
            }
        } else if let Some(inner) = of_old_kubeadm(&mut fields) {
            let place = at(OLD_KUBEADM, &at(&kind, place));
            self.found.push((place, inner));
        } else if kind == CONFIG_MAP {
            self.config_map(place, &fields.into())?;
        } else if kind.is_empty() {
            self.others.push("a mapping without a kind".to_owned());
        } else {
            self.others.push(kind);
        }
        Ok(())
    }

    fn config_map(&mut self, place: &str, map: &Value) -> Result<(), ConfigErrors> {
        let part = |name: &str| map["metadata"][name].as_str().unwrap_or_default();
        let name = match (part("namespace"), part("name")) {
            ("", "") => format!("{CONFIG_MAP} {place}"),
            ("", name) => format!("{CONFIG_MAP} {name}"),
            (namespace, name) => format!("{CONFIG_MAP} {namespace}/{name}"),
        };
        let name = name.trim_end();
        let before = self.found.len();
        for (key, value) in map["data"].as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let key = format!("data[{key:?}]");
            let (values, repeated) = match documents(&format!("{}: {key}", self.origin), text) {
                Ok(read) => read,
                // Any text may be in a ConfigMap.
                Err(_) if !KINDS.iter().any(|kind| text.contains(kind.kind())) => continue,
                Err(errors) => return Err(errors),
            };
            let old = self.found.len();
            for value in values {
                if let Value::Object(fields) = value
                    && is_configuration(&fields)
                {
                    self.found.push((at(&key, name), fields));
                }
            }
            self.repeated
                .extend(repeated.filter(|_| self.found.len() > old));
        }
        if self.found.len() == before {
            self.others.push(name.to_owned());
        }
        Ok(())
    }
}

const CONFIG_MAP: &str = "ConfigMap";

/// The field in which kubeadm's own configuration held kube-proxy's up to Kubernetes 1.11
/// (`cmd/kubeadm/app/apis/kubeadm/v1alpha2/types.go`), without a kind.
const OLD_KUBEADM: &str = "kubeProxy.config";

/// Takes kube-proxy's configuration out of kubeadm's old one.
fn of_old_kubeadm(fields: &mut Fields) -> Option<Fields> {
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

fn is_configuration(fields: &Fields) -> bool {
    let kind = text(fields, "kind");
    KINDS.iter().any(|ours| ours.kind() == kind)
}

/// Returns true if a mapping is no configuration itself and may hold one.
fn holds_others(fields: &Fields) -> bool {
    let kind = text(fields, "kind");
    kind == CONFIG_MAP
        || kind == "MasterConfiguration"
        || kind.ends_with("List") && fields.contains_key("items")
}

/// Takes the items out of a list.
fn list(fields: &mut Fields) -> Option<Value> {
    let is_list = text(fields, "kind").ends_with("List");
    fields.remove("items").filter(|_| is_list)
}

/// Returns `what` with its place: `a of b`.
fn at(what: &str, place: &str) -> String {
    match place {
        "" => what.to_owned(),
        place => format!("{what} of {place}"),
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}
