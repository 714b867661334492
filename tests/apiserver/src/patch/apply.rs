//! Server-side apply.
//!
//! Ownership is kept in `metadata.managedFields` for managers that apply; fields written by create,
//! update and the other patches have no owner here and therefore never conflict.

use crate::resource::{Api, Resource};
use crate::status::ApiError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The manager that applies, and whether it takes fields from others.
#[derive(Debug, Clone)]
pub(crate) struct Applier {
    pub(crate) manager: String,
    pub(crate) force: bool,
}

/// The steps to a field: `f:name` into a map, `k:{…}` into a list by its keys, `.` for an item itself.
type Path = Vec<String>;

/// The new version of an object (`old` is `None` where there is none yet).
pub(crate) fn apply(
    api: &Api,
    old: Option<&Value>,
    config: &Value,
    applier: &Applier,
    now: &str,
) -> Result<Value, ApiError> {
    if applier.manager.is_empty() {
        return Err(ApiError::new(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let resource = api.resource;
    let mut wanted = BTreeSet::new();
    collect(
        resource,
        &mut Vec::new(),
        &mut Vec::new(),
        config,
        &mut wanted,
    );
    let mut new = old.cloned().unwrap_or_else(|| json!({"metadata": {}}));
    let mut entries = new["metadata"]["managedFields"]
        .take()
        .as_array()
        .cloned()
        .unwrap_or_default();
    let own = |entry: &Value| {
        entry["manager"] == applier.manager.as_str() && entry["operation"] == "Apply"
    };

    let mut before = BTreeSet::new();
    let mut others: BTreeSet<Path> = BTreeSet::new();
    let mut conflicts = Vec::new();
    for entry in &mut entries {
        let mut owned = BTreeSet::new();
        read_fields(&mut Vec::new(), &entry["fieldsV1"], &mut owned);
        if own(entry) {
            before = owned;
            continue;
        }
        let differing: Vec<Path> = owned
            .intersection(&wanted)
            .filter(|p| find(&new, p) != find(config, p))
            .cloned()
            .collect();
        if applier.force {
            owned.retain(|p| !differing.contains(p));
            entry["fieldsV1"] = write_fields(&owned);
        } else {
            let manager = entry["manager"].as_str().unwrap_or_default();
            let version = entry["apiVersion"].as_str().unwrap_or_default();
            conflicts.extend(differing.iter().map(|p| {
                (
                    format!("conflict with {manager:?} using {version}"),
                    dotted(p),
                )
            }));
        }
        others.extend(owned);
    }
    if !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    for path in before.difference(&wanted).filter(|p| !others.contains(*p)) {
        remove(&mut new, path);
    }
    merge(resource, &mut Vec::new(), &mut new, config);
    entries.retain(|entry| !own(entry));
    entries.push(json!({
        "manager": applier.manager,
        "operation": "Apply",
        "apiVersion": config["apiVersion"],
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": write_fields(&wanted),
    }));
    new["metadata"]["managedFields"] = Value::Array(entries);
    Ok(new)
}

fn conflict(conflicts: &[(String, String)]) -> ApiError {
    let lines: Vec<String> = conflicts
        .iter()
        .map(|(who, path)| format!("{who}: {path}"))
        .collect();
    let plural = if conflicts.len() == 1 {
        "conflict"
    } else {
        "conflicts"
    };
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(who, path)| json!({"reason": "FieldManagerConflict", "message": who, "field": path}))
        .collect();
    ApiError {
        details: Some(json!({"causes": causes})),
        ..ApiError::new(
            409,
            "Conflict",
            format!(
                "Apply failed with {} {plural}: {}",
                conflicts.len(),
                lines.join(", ")
            ),
        )
    }
}

/// The keys of lists that are maps (`listType=map`); all other lists are atomic.
fn list_keys(resource: Resource, path: &[&str]) -> Option<&'static [&'static str]> {
    match (resource, path) {
        (Resource::Services, ["spec", "ports"]) => Some(&["port", "protocol"]),
        (Resource::Services | Resource::Nodes | Resource::Namespaces, ["status", "conditions"])
        | (Resource::Nodes, ["status", "addresses"]) => Some(&["type"]),
        (_, ["metadata", "ownerReferences"]) => Some(&["uid"]),
        _ => None,
    }
}

/// `mapType=atomic`.
fn is_atomic_map(resource: Resource, path: &[&str]) -> bool {
    matches!((resource, path), (Resource::Services, ["spec", "selector"]))
}

fn item_step(keys: &[&str], item: &Value) -> String {
    let mut id = Map::new();
    for key in keys {
        let value = &item[*key];
        let value = if value.is_null() && *key == "protocol" {
            json!("TCP")
        } else {
            value.clone()
        };
        id.insert((*key).to_owned(), value);
    }
    format!("k:{}", Value::Object(id))
}

fn collect<'a>(
    resource: Resource,
    names: &mut Vec<&'a str>,
    path: &mut Path,
    value: &'a Value,
    out: &mut BTreeSet<Path>,
) {
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic_map(resource, names) => {
            for (key, value) in map {
                let identity = matches!(
                    (names.as_slice(), key.as_str()),
                    ([], "apiVersion" | "kind")
                        | (
                            ["metadata"],
                            "name" | "namespace" | "creationTimestamp" | "uid" | "resourceVersion"
                        )
                );
                if identity {
                    continue;
                }
                names.push(key);
                path.push(format!("f:{key}"));
                collect(resource, names, path, value, out);
                path.pop();
                names.pop();
            }
        }
        Value::Array(items) => match list_keys(resource, names) {
            Some(keys) => {
                for item in items {
                    path.push(item_step(keys, item));
                    path.push(".".to_owned());
                    out.insert(path.clone());
                    path.pop();
                    for (key, value) in item.as_object().into_iter().flatten() {
                        path.push(format!("f:{key}"));
                        names.push(key);
                        collect(resource, names, path, value, out);
                        names.pop();
                        path.pop();
                    }
                    path.pop();
                }
            }
            None => drop(out.insert(path.clone())),
        },
        _ => {
            out.insert(path.clone());
        }
    }
}

fn read_fields(path: &mut Path, fields: &Value, out: &mut BTreeSet<Path>) {
    let Some(map) = fields.as_object().filter(|m| !m.is_empty()) else {
        if !path.is_empty() {
            out.insert(path.clone());
        }
        return;
    };
    for (step, below) in map {
        path.push(step.clone());
        read_fields(path, below, out);
        path.pop();
    }
}

fn write_fields(paths: &BTreeSet<Path>) -> Value {
    let mut root = json!({});
    for path in paths {
        let mut at = &mut root;
        for step in path {
            at = &mut at[step.as_str()];
            if at.is_null() {
                *at = json!({});
            }
        }
    }
    root
}

fn dotted(path: &Path) -> String {
    path.iter()
        .filter(|step| *step != ".")
        .map(|step| match step.strip_prefix("k:") {
            Some(id) => format!(
                "[{}]",
                id.trim_matches(['{', '}'])
                    .replace("\":", "=")
                    .replace('"', "")
            ),
            None => format!(".{}", step.trim_start_matches("f:")),
        })
        .collect()
}

fn find<'a>(object: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter()
        .try_fold(object, |at, step| match step.split_once(':') {
            Some(("f", name)) => at.get(name),
            Some(("k", id)) => {
                let id: Map<String, Value> = serde_json::from_str(id).ok()?;
                at.as_array()?.iter().find(|item| is_item(item, &id))
            }
            _ => Some(at),
        })
}

fn is_item(item: &Value, id: &Map<String, Value>) -> bool {
    id.iter().all(|(key, value)| {
        item[key] == *value || (item[key].is_null() && key == "protocol" && value == "TCP")
    })
}

fn remove(object: &mut Value, path: &Path) {
    let path = if path.last().is_some_and(|step| step == ".") {
        &path[..path.len() - 1]
    } else {
        path
    };
    let Some((last, front)) = path.split_last() else {
        return;
    };
    let mut at = object;
    for step in front {
        let next = match step.split_once(':') {
            Some(("f", name)) => at.get_mut(name),
            Some(("k", id)) => {
                let Ok(id) = serde_json::from_str::<Map<String, Value>>(id) else {
                    return;
                };
                at.as_array_mut()
                    .and_then(|items| items.iter_mut().find(|item| is_item(item, &id)))
            }
            _ => None,
        };
        let Some(next) = next else { return };
        at = next;
    }
    match last.split_once(':') {
        Some(("f", name)) => {
            if let Some(map) = at.as_object_mut() {
                map.remove(name);
            }
        }
        Some(("k", id)) => {
            if let (Some(items), Ok(id)) = (
                at.as_array_mut(),
                serde_json::from_str::<Map<String, Value>>(id),
            ) {
                items.retain(|item| !is_item(item, &id));
            }
        }
        _ => {}
    }
}

fn merge<'a>(resource: Resource, names: &mut Vec<&'a str>, target: &mut Value, config: &'a Value) {
    match config {
        Value::Object(map) if !is_atomic_map(resource, names) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in map {
                names.push(key);
                merge(resource, names, &mut target[key.as_str()], value);
                names.pop();
            }
        }
        Value::Array(items) => {
            let Some(keys) = list_keys(resource, names) else {
                *target = config.clone();
                return;
            };
            if !target.is_array() {
                *target = json!([]);
            }
            let Some(list) = target.as_array_mut() else {
                return;
            };
            for item in items {
                let step = item_step(keys, item);
                match list.iter_mut().find(|old| item_step(keys, old) == step) {
                    Some(old) => {
                        for (key, value) in item.as_object().into_iter().flatten() {
                            old[key.as_str()] = value.clone();
                        }
                    }
                    None => list.push(item.clone()),
                }
            }
        }
        plain => *target = plain.clone(),
    }
}
