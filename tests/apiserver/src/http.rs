//! The server's HTTP face: who may ask, what for, and the answer.

mod body;
mod discovery;
mod fault_routes;
mod list;
mod objects;
mod path;
mod query;
mod watch;

pub(crate) use body::Body;

use crate::resource::Resource;
use crate::server::Inner;
use crate::status::ApiError;
use body::error;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use path::{Target, Topic};
use query::Query;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;

/// Answers one request.
pub(crate) async fn handle(
    server: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = route(&server, request).await.unwrap_or_else(|e| error(&e));
    tracing::debug!(%method, path, status = response.status().as_u16(), "request");
    Ok(response)
}

async fn route(
    server: &Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (parts, incoming) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path == "/faults" || path.starts_with("/faults/") {
        let body = read(incoming).await?;
        return fault_routes::serve(server, &parts.method, &path, &body);
    }
    if matches!(path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return Ok(body::text("ok"));
    }
    let faults = server.faults.state();
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay).await;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let topic = path::parse(&path);
    let verb = verb_of(&parts.method, &topic, &query);
    server.record(verb, &parts.method, &parts.uri);
    authenticate(server, &parts, faults.unauthorized)?;
    if let Some(failure) = server.faults.take_failure() {
        return Err(failure);
    }
    let target = match topic {
        Topic::Resource(target) => target,
        Topic::Other => return discovery::serve(&path, &faults),
    };
    if faults.hides(target.api.resource) {
        return Ok(body::page_not_found());
    }
    if faults.forbids(verb, target.api.plural) {
        let name = target.name.as_deref().unwrap_or_default();
        let ns = target.namespace.as_deref();
        return Err(ApiError::forbidden(
            &server.config.user,
            verb,
            target.api.group,
            target.api.plural,
            name,
            ns,
        ));
    }
    match (&parts.method, &target.name) {
        (&Method::GET, None) if query.is_true("watch") => watch::serve(server, &target, &query),
        (&Method::GET, None) => list::serve(server, &target, &query),
        (&Method::GET, Some(name)) => objects::get(server, &target, name),
        (&Method::DELETE, None) => objects::delete_collection(server, &target, &query),
        (method, name) => {
            let content_type = parts.headers.get(header::CONTENT_TYPE);
            let body = read(incoming).await?;
            let request = objects::Write {
                server,
                target: &target,
                query: &query,
                content_type: content_type
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
                body: &body,
            };
            match (method, name) {
                (&Method::POST, None) => objects::create(&request),
                (&Method::PUT, Some(name)) => objects::update(&request, name),
                (&Method::PATCH, Some(name)) => objects::patch(&request, name),
                (&Method::DELETE, Some(name)) => objects::delete(&request, name),
                _ => Err(ApiError::method_not_allowed()),
            }
        }
    }
}

fn authenticate(
    server: &Inner,
    parts: &http::request::Parts,
    refuse: bool,
) -> Result<(), ApiError> {
    let sent = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let sent = sent.and_then(|v| v.strip_prefix("Bearer ")).map(str::trim);
    let known = server
        .config
        .token
        .as_deref()
        .is_none_or(|token| sent == Some(token));
    if known && !refuse {
        Ok(())
    } else {
        Err(ApiError::unauthorized())
    }
}

fn verb_of(method: &Method, topic: &Topic, query: &Query) -> &'static str {
    let named = matches!(topic, Topic::Resource(Target { name: Some(_), .. }))
        || matches!(topic, Topic::Other);
    match *method {
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD if query.is_true("watch") => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let whole = body.collect().await;
    whole
        .map(http_body_util::Collected::to_bytes)
        .map_err(|e| ApiError::bad_request(format!("reading the body: {e}")))
}

/// The number of objects of each kind and the revision, for people who look.
pub(crate) fn summary(server: &Inner) -> serde_json::Value {
    let counts: serde_json::Map<String, serde_json::Value> = Resource::ALL
        .into_iter()
        .map(|r| (r.storage().plural.to_owned(), json!(server.cluster.len(r))))
        .collect();
    json!({"revision": server.cluster.revision(), "objects": counts, "watches": server.open_watches()})
}
