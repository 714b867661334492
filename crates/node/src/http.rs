//! The daemon's HTTP pages: [`health_pages`] for load balancers and the kubelet, [`metrics_pages`]
//! for Prometheus and operators.
//!
//! [`telemetry`] combines them with the health-check node ports behind one interface for the loop.
//!
//! The server answers one request for each connection. It closes connections of clients that send
//! or read too slowly. A [`ConnectionPool`] limits the connections of all listeners together.

mod changes_page;
pub mod flagz;
pub mod health_pages;
pub mod metrics_pages;
pub mod owners_page;
pub mod slow_starts_page;
pub mod status;
pub mod telemetry;

mod listen;
mod pool;
mod serve;
mod server;
mod service_port;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

pub use self::listen::listen;
pub use self::pool::{ConnectionPool, Share};
pub use self::serve::{Connections, Limits, accept, serve};
pub use self::server::{BindError, Server};

/// Path and query of a request. Every page ignores methods and bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Path as it was sent.
    pub path: &'a str,
    /// Query after the question mark; empty without one.
    pub query: &'a str,
}

/// Answers a request from data in memory, without blocking.
pub type Handler = Arc<dyn Fn(&Request<'_>) -> Reply + Send + Sync>;

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Headers in addition to those of HTTP itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: String,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Keeps browsers from guessing another content type.
const NOSNIFF: (HeaderName, HeaderValue) = (
    hyper::header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);

/// Version of the JSON documents of the pages. It changes if the meaning of a field changes.
const API_VERSION: &str = "kube-ipvs.io/v1alpha1";

/// A JSON document with a kind and a version, as in Kubernetes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

impl<'a, T: Serialize> Document<'a, T> {
    fn new(kind: &'static str, content: &'a T) -> Self {
        Self {
            api_version: API_VERSION,
            kind,
            content,
        }
    }
}

impl Reply {
    /// Returns `value` as JSON for people and programs.
    fn document(value: &impl Serialize) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(text) => Self::json(StatusCode::OK, text + "\n"),
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    /// Returns JSON, as kube-proxy's servers send it.
    #[must_use]
    pub fn json(status: StatusCode, body: String) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, JSON), NOSNIFF],
            body: model::escaped_json(body),
        }
    }

    /// Returns text, as kube-proxy's servers send it.
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, TEXT), NOSNIFF],
            body: body.into(),
        }
    }

    /// Returns the answer for unknown paths, with the text of Go's servers.
    #[must_use]
    pub fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "404 page not found\n")
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}
