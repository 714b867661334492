//! Tables, as `kubectl get` asks for them, and objects cut down to their metadata.
//!
//! Columns follow k8s.io/kubernetes `pkg/printers/internalversion/printers.go`, 1.32.

use crate::object::Object;
use crate::resource::{Api, Resource};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A `Table` of objects.
pub(super) fn table<'a>(
    api: &Api,
    version: &str,
    objects: impl Iterator<Item = &'a Object>,
    metadata: &Value,
    now: Timestamp,
) -> Value {
    let columns: Vec<Value> = columns(api.resource)
        .iter()
        .map(|name| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
        })
        .collect();
    let rows: Vec<Value> = objects
        .map(|o| {
            let mut cells = vec![json!(o.key.name)];
            cells.extend(
                cells_of(api.resource, &o.value, now)
                    .into_iter()
                    .map(Value::from),
            );
            json!({"cells": cells, "object": partial(&o.value, version)})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// The object of a bookmark in a watch of tables.
pub(super) fn bookmark(version: &str, revision: u64, end_of_initial: bool) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if end_of_initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let row = json!({"cells": [], "object": partial(&json!({"metadata": metadata}), version)});
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": {"resourceVersion": revision.to_string()},
        "columnDefinitions": null,
        "rows": [row],
    })
}

/// An object's `PartialObjectMetadata`.
pub(super) fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

fn columns(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Services => &[
            "Name",
            "Type",
            "Cluster-IP",
            "External-IP",
            "Port(s)",
            "Age",
        ],
        Resource::Nodes => &["Name", "Status", "Roles", "Age", "Version"],
        Resource::Namespaces => &["Name", "Status", "Age"],
        Resource::Endpoints => &["Name", "Endpoints", "Age"],
        Resource::EndpointSlices => &["Name", "AddressType", "Ports", "Endpoints", "Age"],
        Resource::Events => &["Name", "Last Seen", "Type", "Reason", "Object", "Message"],
    }
}

/// The cells after the name.
fn cells_of(resource: Resource, object: &Value, now: Timestamp) -> Vec<String> {
    let created = age(&object["metadata"]["creationTimestamp"], now);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match resource {
        Resource::Services => service_cells(&object["spec"], &object["status"], created),
        Resource::Nodes => {
            let ready = items(&object["status"]["conditions"])
                .find(|c| c["type"] == "Ready")
                .map_or("Unknown", |c| {
                    if c["status"] == "True" {
                        "Ready"
                    } else {
                        "NotReady"
                    }
                });
            let roles: Vec<&str> = object["metadata"]["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
                .collect();
            let version = text(&object["status"]["nodeInfo"]["kubeletVersion"]);
            vec![
                ready.to_owned(),
                or_none(&roles.join(",")),
                created,
                version,
            ]
        }
        Resource::Namespaces => vec![text(&object["status"]["phase"]), created],
        Resource::Endpoints => vec![or_none(&few(endpoints_of(object))), created],
        Resource::EndpointSlices => {
            let ports = few(items(&object["ports"])
                .map(|p| p["port"].to_string())
                .collect());
            let addresses: Vec<String> = items(&object["endpoints"])
                .flat_map(|e| items(&e["addresses"]))
                .map(text)
                .collect();
            vec![
                text(&object["addressType"]),
                or_unset(&ports),
                or_unset(&few(addresses)),
                created,
            ]
        }
        Resource::Events => {
            let about = &object["involvedObject"];
            let seen = ["lastTimestamp", "eventTime", "firstTimestamp"].map(|f| &object[f]);
            let seen = seen
                .into_iter()
                .find(|v| v.is_string())
                .unwrap_or(&Value::Null);
            let about = format!(
                "{}/{}",
                text(&about["kind"]).to_lowercase(),
                text(&about["name"])
            );
            vec![
                age(seen, now),
                text(&object["type"]),
                text(&object["reason"]),
                about,
                text(&object["message"]),
            ]
        }
    }
}

fn service_cells(spec: &Value, status: &Value, created: String) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&spec["type"]);
    let mut external: Vec<String> = items(&spec["externalIPs"]).map(text).collect();
    for ingress in items(&status["loadBalancer"]["ingress"]) {
        external.extend(
            ["ip", "hostname"]
                .iter()
                .filter_map(|f| ingress[*f].as_str().map(str::to_owned)),
        );
    }
    let external = match kind.as_str() {
        "ExternalName" => text(&spec["externalName"]),
        "LoadBalancer" if external.is_empty() => "<pending>".to_owned(),
        _ => or_none(&external.join(",")),
    };
    let ports: Vec<String> = items(&spec["ports"])
        .map(|p| {
            let protocol = text(&p["protocol"]);
            match p["nodePort"].as_u64() {
                Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", p["port"]),
                _ => format!("{}/{protocol}", p["port"]),
            }
        })
        .collect();
    vec![
        kind,
        or_none(&text(&spec["clusterIP"])),
        external,
        or_none(&ports.join(",")),
        created,
    ]
}

fn endpoints_of(object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for subset in items(&object["subsets"]) {
        for port in items(&subset["ports"]) {
            for address in items(&subset["addresses"]) {
                out.push(format!(
                    "{}:{}",
                    address["ip"].as_str().unwrap_or_default(),
                    port["port"]
                ));
            }
        }
    }
    out
}

/// The first three, and how many more there are.
fn few(all: Vec<String>) -> String {
    let more = all.len().saturating_sub(3);
    let first = all.into_iter().take(3).collect::<Vec<_>>().join(",");
    if more > 0 {
        format!("{first} + {more} more...")
    } else {
        first
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn or_none(text: &str) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text.to_owned()
    }
}

fn or_unset(text: &str) -> String {
    if text.is_empty() {
        "<unset>".to_owned()
    } else {
        text.to_owned()
    }
}

/// A short duration, such as `5m` or `3d`.
fn age(since: &Value, now: Timestamp) -> String {
    let Some(since) = since.as_str().and_then(|s| s.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let seconds = (now.as_second() - since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
