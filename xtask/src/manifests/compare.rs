//! Differences of two lists of objects. What must differ between kustomize and Helm is removed
//! first.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Labels that a chart sets on all objects.
const LABELS: [&str; 5] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

/// Annotation with which the chart restarts the pods. kustomize renames the ConfigMaps instead.
const CHECKSUM: &str = "checksum/configuration";

/// Length of the hash that kustomize appends to the name of a ConfigMap.
const HASH: usize = 10;

/// Returns the differences, each with the object and the path of the field.
pub(super) fn differences(kustomize: &[Value], helm: &[Value]) -> Vec<String> {
    let (left, right) = (normal(kustomize), normal(helm));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let mut all = Vec::new();
    for name in names {
        match (left.get(name), right.get(name)) {
            (Some(left), Some(right)) => values(name, left, right, &mut all),
            (Some(_), None) => all.push(format!("{name}: only of kustomize")),
            (None, _) => all.push(format!("{name}: only of Helm")),
        }
    }
    all
}

/// Returns the objects by kind, namespace and name, without what must differ.
fn normal(objects: &[Value]) -> BTreeMap<String, Value> {
    let mut objects = objects.to_vec();
    let renamed: BTreeMap<String, String> = (objects.iter())
        .filter(|object| object["kind"] == "ConfigMap")
        .filter_map(|object| {
            let name = object["metadata"]["name"].as_str()?;
            Some((name.to_owned(), without_hash(name)?.to_owned()))
        })
        .collect();
    let mut all = BTreeMap::new();
    for object in &mut objects {
        rename(object, &renamed);
        let labels = object.pointer_mut("/metadata/labels");
        if let Some(labels) = labels.and_then(Value::as_object_mut) {
            labels.retain(|label, _| !LABELS.contains(&label.as_str()));
            if labels.is_empty() {
                remove(&mut object["metadata"], "labels");
            }
        }
        if let Some(annotations) = object.pointer_mut("/spec/template/metadata/annotations") {
            remove(annotations, CHECKSUM);
        }
        let data = object.pointer_mut("/data").and_then(Value::as_object_mut);
        for (key, text) in data.into_iter().flatten() {
            if let Some(parsed) = text.as_str().and_then(|text| parsed(key, text)) {
                *text = parsed;
            }
        }
        let part = |path: &str| object.pointer(path).and_then(Value::as_str);
        let name = [
            part("/kind"),
            part("/metadata/namespace"),
            part("/metadata/name"),
        ];
        let name: Vec<&str> = name.into_iter().flatten().collect();
        all.insert(name.join(" "), object.clone());
    }
    all
}

fn remove(value: &mut Value, key: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(key);
    }
}

/// Returns `kube-ipvs` of `kube-ipvs-6d2k7h9t4c`. A hash has no vowels and no 0, 1 and 3.
fn without_hash(name: &str) -> Option<&str> {
    let (rest, hash) = name.rsplit_once('-')?;
    let is_hash = |c: char| "bcdfghkm2456789t".contains(c);
    (hash.len() == HASH && hash.chars().all(is_hash)).then_some(rest)
}

fn rename(value: &mut Value, renamed: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = renamed.get(text) {
                name.clone_into(text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, renamed)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, renamed)),
        _ => {}
    }
}

/// Returns the document in an entry of a ConfigMap.
fn parsed(key: &str, text: &str) -> Option<Value> {
    match key.rsplit_once('.')?.1 {
        "yaml" => serde_saphyr::from_str(text).ok(),
        "json" => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn values(path: &str, left: &Value, right: &Value, all: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => fields(path, left, right, all),
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                values(&format!("{path}[{at}]"), left, right, all);
            }
        }
        _ if left == right => {}
        _ => all.push(format!("{path}: kustomize has {left}, Helm has {right}")),
    }
}

fn fields(
    path: &str,
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    all: &mut Vec<String>,
) {
    let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for key in keys {
        let none = &Value::Null;
        let (left, right) = (
            left.get(key).unwrap_or(none),
            right.get(key).unwrap_or(none),
        );
        values(&format!("{path}.{key}"), left, right, all);
    }
}
