//! HTTP handling: authentication, routing, responses.

mod body;
mod discovery;
mod fault_routes;
mod list;
mod objects;
mod path;
mod query;
mod watch;

pub(crate) use body::Body;

use crate::server::Inner;
use crate::status::ApiError;
use body::error;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use path::Target;
use query::Query;
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
    let faults = server.faults.state();
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay).await;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let target = path::parse(&path);
    let verb = verb_of(&parts.method, target.as_ref(), &query);
    server.record(verb, &parts.uri);
    authenticate(server, &parts, faults.unauthorized)?;
    if let Some(failure) = server.faults.take_failure() {
        return Err(failure);
    }
    let Some(target) = target else {
        return discovery::serve(&path, &faults);
    };
    if faults.hides(target.resource) {
        return Ok(body::page_not_found());
    }
    if faults.forbids(verb, target.resource.plural()) {
        return Err(ApiError::forbidden(verb, target.resource));
    }
    match verb {
        "watch" => watch::serve(server, &target, &query),
        "list" => list::serve(server, &target, &query),
        "get" => objects::get(server, &target),
        "delete" => objects::delete(server, &target),
        "create" => objects::create(server, &target, &read(incoming).await?),
        "update" => objects::update(server, &target, &read(incoming).await?),
        "patch" => {
            let content_type = (parts.headers.get(header::CONTENT_TYPE))
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            objects::patch(server, &target, content_type, &read(incoming).await?)
        }
        _ => Err(ApiError::method_not_allowed()),
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

fn verb_of(method: &Method, target: Option<&Target>, query: &Query) -> &'static str {
    let named = target.is_none_or(|target| target.name.is_some());
    match (method, named) {
        (&Method::GET, true) => "get",
        (&Method::GET, false) if query.is_true("watch") => "watch",
        (&Method::GET, false) => "list",
        (&Method::POST, false) => "create",
        (&Method::PUT, true) => "update",
        (&Method::PATCH, true) => "patch",
        (&Method::DELETE, true) => "delete",
        _ => "other",
    }
}

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    let whole = body.collect().await;
    whole
        .map(http_body_util::Collected::to_bytes)
        .map_err(|e| ApiError::bad_request(format!("reading the body: {e}")))
}
