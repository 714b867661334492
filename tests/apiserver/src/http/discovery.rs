//! The APIs that are served, and their versions.

use super::body::{answer, bytes, text};
use super::openapi;
use crate::faults::FaultState;
use crate::http::Body;
use crate::resource::{APIS, Api};
use crate::status::ApiError;
use http::{Method, Response};
use serde_json::{Value, json};

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Answers every path that is not about objects.
pub(super) fn serve(
    path: &str,
    method: &Method,
    accept: &str,
    faults: &FaultState,
) -> Result<Response<Body>, ApiError> {
    if *method != Method::GET {
        return Err(ApiError::no_such_path());
    }
    let groups = || -> Vec<Value> {
        ["discovery.k8s.io", "events.k8s.io"]
            .into_iter()
            .filter(|g| !(faults.without_discovery_v1 && *g == "discovery.k8s.io"))
            .map(group)
            .collect()
    };
    Ok(match path.trim_end_matches('/') {
        "/api" => answer(
            200,
            &json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [],
            }),
        ),
        "/apis" => answer(
            200,
            &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()}),
        ),
        "/api/v1" => answer(200, &resources("")),
        "/version" => answer(
            200,
            &json!({
                "major": "1", "minor": "32", "gitVersion": "v1.32.0", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2024-12-11T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
            }),
        ),
        "/openapi/v2" => {
            let (content_type, document) = openapi::v2(accept);
            bytes(200, content_type, document)
        }
        "" => answer(
            200,
            &json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/readyz", "/version"]}),
        ),
        "/metrics" => text(""),
        other => {
            let name = other.strip_prefix("/apis/").unwrap_or_default();
            let name = name.strip_suffix("/v1").unwrap_or(name);
            let hidden = faults.without_discovery_v1 && name == "discovery.k8s.io";
            if hidden || !APIS.iter().any(|a| !a.group.is_empty() && a.group == name) {
                return Err(ApiError::no_such_path());
            }
            if other.ends_with("/v1") {
                answer(200, &resources(name))
            } else {
                answer(200, &whole_group(name))
            }
        }
    })
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn whole_group(name: &str) -> Value {
    let mut group = group(name);
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    group
}

fn resources(group: &str) -> Value {
    let mut out = Vec::new();
    for api in APIS.iter().filter(|a| a.group == group) {
        out.push(resource(api));
        if api.has_status {
            out.push(json!({
                "name": format!("{}/status", api.plural),
                "singularName": "",
                "namespaced": api.namespaced,
                "kind": api.kind,
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": out})
}

fn resource(api: &Api) -> Value {
    let mut out = json!({
        "name": api.plural,
        "singularName": api.singular,
        "namespaced": api.namespaced,
        "kind": api.kind,
        "verbs": VERBS,
    });
    if !api.short_names.is_empty() {
        out["shortNames"] = json!(api.short_names);
    }
    if api.plural == "services" {
        out["categories"] = json!(["all"]);
    }
    out
}
