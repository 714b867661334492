//! Single objects: get, create, update, patch, delete; and the deletion of collections.

use super::body::{answer, json_bytes};
use super::path::Target;
use super::query::Query;
use crate::admission::Part;
use crate::cluster::{DeleteOptions, WriteOptions};
use crate::http::Body;
use crate::object::Object;
use crate::resource::{Api, Resource};
use crate::server::Inner;
use crate::status::ApiError;
use crate::store::Range;
use http::Response;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

pub(super) fn get(server: &Inner, target: &Target, name: &str) -> Result<Response<Body>, ApiError> {
    let api = target.api;
    let object = server
        .cluster
        .get(api.resource, &target.key(name))
        .ok_or_else(|| ApiError::not_found(api.group, api.plural, name))?;
    Ok(whole(200, api, &object))
}

/// A request that writes one object, whole.
#[derive(Clone, Copy)]
pub(super) struct Write<'a> {
    pub(super) server: &'a Inner,
    pub(super) target: &'a Target,
    pub(super) query: &'a Query,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

pub(super) fn create(request: &Write<'_>) -> Result<Response<Body>, ApiError> {
    let Write {
        server,
        target,
        query,
        content_type,
        body,
    } = *request;
    let api = target.api;
    let object = decode(api, content_type, body)?;
    let namespace = namespace_of(target, &object)?;
    let object = server
        .cluster
        .create(api, &namespace, object, options(target, query))?;
    Ok(whole(201, api, &object))
}

pub(super) fn update(request: &Write<'_>, name: &str) -> Result<Response<Body>, ApiError> {
    let Write {
        server,
        target,
        query,
        content_type,
        body,
    } = *request;
    let api = target.api;
    let object = decode(api, content_type, body)?;
    namespace_of(target, &object)?;
    if object["metadata"]["name"].as_str() != Some(name) {
        let sent = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "the name of the object ({sent}) does not match the name on the URL ({name})"
        )));
    }
    // `AllowCreateOnUpdate` of each kind's strategy.
    let creates = matches!(
        api.resource,
        Resource::Services | Resource::Endpoints | Resource::Events
    );
    let (object, created) =
        server
            .cluster
            .modify(api, &target.key(name), options(target, query), |old| {
                let versioned = !object["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap_or_default()
                    .is_empty();
                if old.is_none() && (!creates || target.status || versioned) {
                    return Err(ApiError::not_found(api.group, api.plural, name));
                }
                Ok(object)
            })?;
    Ok(whole(if created { 201 } else { 200 }, api, &object))
}

/// Merges a patch (RFC 7386), the only kind of patch here.
pub(super) fn patch(request: &Write<'_>, name: &str) -> Result<Response<Body>, ApiError> {
    let Write {
        server,
        target,
        query,
        content_type,
        body,
    } = *request;
    let api = target.api;
    let patch = parse(content_type, MERGE_PATCH, body)?;
    let (object, _) =
        server
            .cluster
            .modify(api, &target.key(name), options(target, query), |old| {
                let mut new = old
                    .cloned()
                    .ok_or_else(|| ApiError::not_found(api.group, api.plural, name))?;
                json_patch::merge(&mut new, &patch);
                Ok(new)
            })?;
    Ok(whole(200, api, &object))
}

pub(super) fn delete(request: &Write<'_>, name: &str) -> Result<Response<Body>, ApiError> {
    let Write {
        server,
        target,
        query,
        content_type,
        body,
    } = *request;
    let api = target.api;
    let body = if body.is_empty() {
        Value::Null
    } else {
        parse(content_type, JSON, body)?
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let options = DeleteOptions {
        uid: text(&body["preconditions"]["uid"]),
        resource_version: text(&body["preconditions"]["resourceVersion"]),
        dry_run: query.dry_run() || body["dryRun"] == json!(["All"]),
    };
    let object = server.cluster.delete(api, &target.key(name), &options)?;
    let marked = !object.value["metadata"]["deletionTimestamp"].is_null();
    if marked || matches!(api.resource, Resource::Services | Resource::Namespaces) {
        return Ok(whole(200, api, &object));
    }
    let mut details =
        json!({"name": name, "kind": api.plural, "uid": object.value["metadata"]["uid"]});
    if !api.group.is_empty() {
        details["group"] = json!(api.group);
    }
    Ok(answer(
        200,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    ))
}

pub(super) fn delete_collection(
    server: &Inner,
    target: &Target,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let api = target.api;
    // Namespaces and Services of a real server go one by one.
    if api.resource == Resource::Namespaces {
        return Err(ApiError::method_not_allowed());
    }
    let selector = query.selector(api.resource)?;
    let range = Range {
        namespace: target.namespace.as_deref(),
        ..Range::default()
    };
    let page = server
        .cluster
        .list(api.resource, &range, |o| selector.matches(o))
        .map_err(|e| ApiError::expired(e.to_string()))?;
    let options = DeleteOptions {
        dry_run: query.dry_run(),
        ..DeleteOptions::default()
    };
    let mut items = Vec::new();
    for object in &page.items {
        match server.cluster.delete(api, &object.key, &options) {
            Ok(last) => items.push(api.encode(&last.value)),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let metadata = json!({"resourceVersion": server.cluster.revision().to_string()});
    let kind = format!("{}List", api.kind);
    Ok(answer(
        200,
        &json!({"kind": kind, "apiVersion": api.api_version(), "metadata": metadata, "items": items}),
    ))
}

fn whole(code: u16, api: &Api, object: &Object) -> Response<Body> {
    if api.respelled() {
        return answer(code, &api.encode(&object.value));
    }
    let mut out = Vec::with_capacity(2048);
    object.write_full(api.resource, &mut out);
    json_bytes(code, out)
}

fn options(target: &Target, query: &Query) -> WriteOptions {
    WriteOptions {
        part: if target.status {
            Part::Status
        } else {
            Part::Main
        },
        dry_run: query.dry_run(),
    }
}

fn decode(api: &Api, content_type: &str, body: &[u8]) -> Result<Value, ApiError> {
    let mut object = parse(content_type, JSON, body)?;
    let Some(map) = object.as_object_mut() else {
        return Err(ApiError::bad_request(format!(
            "the object provided is no {}",
            api.kind
        )));
    };
    // A client may leave the two out of a request whose path says them.
    map.entry("apiVersion")
        .or_insert_with(|| json!(api.api_version()));
    map.entry("kind").or_insert_with(|| json!(api.kind));
    check_kind(api, &object)?;
    Ok(object)
}

fn check_kind(api: &Api, object: &Value) -> Result<(), ApiError> {
    if object["apiVersion"] == api.api_version() && object["kind"] == api.kind {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the API version in the data ({}, Kind={}) does not match the expected API version ({}, Kind={})",
        object["apiVersion"].as_str().unwrap_or_default(),
        object["kind"].as_str().unwrap_or_default(),
        api.api_version(),
        api.kind
    )))
}

fn parse(content_type: &str, expected: &str, body: &[u8]) -> Result<Value, ApiError> {
    let sent = content_type.split(';').next().unwrap_or_default().trim();
    if !sent.is_empty() && sent != expected {
        return Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {expected} (got {sent:?})"
            ),
        ));
    }
    serde_json::from_slice(body).map_err(|e| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type JSON): {e}"
        ))
    })
}

/// The namespace of the path; the object may repeat it, not contradict it.
fn namespace_of(target: &Target, object: &Value) -> Result<String, ApiError> {
    let sent = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if !target.api.namespaced {
        return Ok(String::new());
    }
    let Some(namespace) = &target.namespace else {
        return Err(ApiError::method_not_allowed());
    };
    if !sent.is_empty() && sent != namespace {
        return Err(ApiError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({sent} != {namespace})"
        )));
    }
    Ok(namespace.clone())
}
