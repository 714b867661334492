//! Requests for single objects: get, create, update, patch, delete.

use super::body::json_bytes;
use super::path::Target;
use crate::http::Body;
use crate::object::Object;
use crate::resource::Resource;
use crate::server::Inner;
use crate::status::ApiError;
use http::Response;
use serde_json::{Value, json};

pub(super) fn get(server: &Inner, target: &Target) -> Result<Response<Body>, ApiError> {
    let key = target.key();
    let object = server.cluster.store().get(target.resource, &key).cloned();
    let object = object.ok_or_else(|| ApiError::not_found(target.resource, &key.name))?;
    Ok(whole(200, target.resource, &object))
}

pub(super) fn create(
    server: &Inner,
    target: &Target,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    let resource = target.resource;
    if resource.is_namespaced() && target.namespace.is_none() {
        return Err(ApiError::method_not_allowed());
    }
    let object = server.create(resource, decode(target, body)?)?;
    Ok(whole(201, resource, &object))
}

/// Replaces or creates an object. The path has the name and the namespace.
pub(super) fn update(
    server: &Inner,
    target: &Target,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    let resource = target.resource;
    let object = decode(target, body)?;
    let object = (server.cluster).write(resource, |store| store.put(resource, object));
    Ok(whole(200, resource, &object))
}

/// Merges a patch (RFC 7386), the only supported kind of patch.
pub(super) fn patch(
    server: &Inner,
    target: &Target,
    content_type: &str,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    const MERGE: &str = "application/merge-patch+json";
    if content_type != MERGE {
        let why = format!("patches are {MERGE}, not {content_type:?}");
        return Err(ApiError::new(415, "UnsupportedMediaType", why));
    }
    let (resource, key) = (target.resource, target.key());
    let patch = parse(body)?;
    let patched = server.cluster.write(resource, |store| {
        let mut object = store.get(resource, &key)?.value.clone();
        json_patch::merge(&mut object, &patch);
        Some(store.put(resource, object))
    });
    let object = patched.ok_or_else(|| ApiError::not_found(resource, &key.name))?;
    Ok(whole(200, resource, &object))
}

pub(super) fn delete(server: &Inner, target: &Target) -> Result<Response<Body>, ApiError> {
    let (resource, key) = (target.resource, target.key());
    let last = (server.cluster).write(resource, |store| store.remove(resource, &key));
    let last = last.ok_or_else(|| ApiError::not_found(resource, &key.name))?;
    Ok(whole(200, resource, &last))
}

fn whole(code: u16, resource: Resource, object: &Object) -> Response<Body> {
    let mut out = Vec::with_capacity(2048);
    object.write_full(resource, &mut out);
    json_bytes(code, out)
}

/// Decodes the object of a body, with the namespace and name of the path.
fn decode(target: &Target, body: &[u8]) -> Result<Value, ApiError> {
    let mut object = parse(body)?;
    if !object["metadata"].is_object() {
        return Err(ApiError::bad_request("the object has no metadata"));
    }
    let places = [("namespace", &target.namespace), ("name", &target.name)];
    for (field, place) in places {
        if let Some(place) = place {
            object["metadata"][field] = json!(place);
        }
    }
    Ok(object)
}

fn parse(body: &[u8]) -> Result<Value, ApiError> {
    let bad = |error| ApiError::bad_request(format!("the body must be of type JSON: {error}"));
    serde_json::from_slice(body).map_err(bad)
}
