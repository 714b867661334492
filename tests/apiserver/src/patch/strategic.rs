//! Kubernetes' strategic merge patch (k8s.io/apimachinery `pkg/util/strategicpatch/patch.go`, 1.32),
//! with the directives `$patch`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`, `$retainKeys`.

use crate::resource::Resource;
use crate::status::ApiError;
use serde_json::{Map, Value};

/// The way a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// The patch's list takes the place of the old one.
    Replace,
    /// A set of plain values.
    Set,
    /// Objects told apart by this field.
    Keyed(&'static str),
}

/// The `patchStrategy` and `patchMergeKey` of the Go types; everything else is replaced.
fn list_kind(resource: Resource, path: &[&str]) -> ListKind {
    match (resource, path) {
        (_, ["metadata", "ownerReferences"]) => ListKind::Keyed("uid"),
        (_, ["metadata", "finalizers"]) | (Resource::Nodes, ["spec", "podCIDRs"]) => ListKind::Set,
        (Resource::Services, ["spec", "ports"]) => ListKind::Keyed("port"),
        (Resource::Services | Resource::Nodes | Resource::Namespaces, ["status", "conditions"])
        | (Resource::Nodes, ["status", "addresses"]) => ListKind::Keyed("type"),
        _ => ListKind::Replace,
    }
}

/// Merges a patch into an object.
pub(super) fn merge(resource: Resource, target: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let Some(patch) = patch.as_object() else {
        return Err(ApiError::bad_request(
            "a strategic merge patch must be an object",
        ));
    };
    merge_map(resource, &mut Vec::new(), target, patch)
}

fn merge_map<'a>(
    resource: Resource,
    path: &mut Vec<&'a str>,
    target: &mut Value,
    patch: &'a Map<String, Value>,
) -> Result<(), ApiError> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove("$patch");
            *target = Value::Object(whole);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "unknown patch directive {other:?}"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array)
        && let Some(map) = target.as_object_mut()
    {
        map.retain(|key, _| keep.iter().any(|k| k == key.as_str()));
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(list), Some(gone)) = (target[field].as_array_mut(), value.as_array()) {
                list.retain(|v| !gone.contains(v));
            }
        } else if !key.starts_with('$') {
            merge_field(resource, path, target, key, value)?;
        }
    }
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix("$setElementOrder/")
            && let (Some(list), Some(order)) = (
                target.get_mut(field).and_then(Value::as_array_mut),
                order.as_array(),
            )
        {
            path.push(field);
            let kind = list_kind(resource, path);
            path.pop();
            set_order(kind, list, order);
        }
    }
    Ok(())
}

fn merge_field<'a>(
    resource: Resource,
    path: &mut Vec<&'a str>,
    target: &mut Value,
    key: &'a str,
    value: &'a Value,
) -> Result<(), ApiError> {
    let Some(map) = target.as_object_mut() else {
        return Ok(());
    };
    path.push(key);
    match value {
        Value::Null => drop(map.remove(key)),
        Value::Object(patch) => {
            merge_map(resource, path, map.entry(key).or_insert(Value::Null), patch)?;
        }
        Value::Array(patch) => match (
            list_kind(resource, path),
            map.get_mut(key).and_then(Value::as_array_mut),
        ) {
            (ListKind::Keyed(id), Some(list)) => merge_keyed(resource, path, id, list, patch)?,
            (ListKind::Keyed(id), None) => {
                let mut list = Vec::new();
                merge_keyed(resource, path, id, &mut list, patch)?;
                map.insert(key.to_owned(), Value::Array(list));
            }
            (ListKind::Set, Some(list)) => {
                for item in patch {
                    if !list.contains(item) {
                        list.push(item.clone());
                    }
                }
            }
            _ => drop(map.insert(key.to_owned(), value.clone())),
        },
        plain => drop(map.insert(key.to_owned(), plain.clone())),
    }
    path.pop();
    Ok(())
}

fn merge_keyed<'a>(
    resource: Resource,
    path: &mut Vec<&'a str>,
    id: &str,
    list: &mut Vec<Value>,
    patch: &'a [Value],
) -> Result<(), ApiError> {
    if patch.iter().any(|item| item["$patch"] == "replace") {
        list.clear();
    }
    for item in patch {
        let directive = item["$patch"].as_str().unwrap_or_default();
        let Some(fields) = item.as_object() else {
            return Err(ApiError::bad_request(format!(
                "a list merged by {id:?} holds objects"
            )));
        };
        if directive == "replace" && fields.len() == 1 {
            continue;
        }
        if fields.get(id).is_none() {
            return Err(ApiError::bad_request(format!(
                "map: {item} does not contain declared merge key: {id}"
            )));
        }
        if directive == "delete" {
            list.retain(|old| old[id] != item[id]);
        } else if let Some(old) = list.iter_mut().find(|old| old[id] == item[id]) {
            merge_map(resource, path, old, fields)?;
        } else {
            let mut new = Value::Object(Map::new());
            merge_map(resource, path, &mut new, fields)?;
            list.push(new);
        }
    }
    Ok(())
}

/// Items named in the order come in that order, the others keep their places behind those before them.
fn set_order(kind: ListKind, list: &mut Vec<Value>, order: &[Value]) {
    let place = |item: &Value| match kind {
        ListKind::Keyed(id) => order.iter().position(|o| o[id] == item[id]),
        _ => order.iter().position(|o| o == item),
    };
    let mut ranked: Vec<(usize, Value)> = Vec::with_capacity(list.len());
    let mut last = 0;
    for item in list.drain(..) {
        let rank = place(&item).unwrap_or(last);
        last = rank;
        ranked.push((rank, item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, item)| item));
}
