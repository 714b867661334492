//! The daemon's pages over HTTP: for load balancers and the kubelet ([`health_pages`]), for Prometheus and people
//! ([`metrics_pages`]).
//!
//! [`telemetry`] is all of it, with the health-check node ports, for the loop.
//!
//! The server answers one request for each connection, and each connection within a time: who sends
//! slowly, or reads slowly, is cut off. A [`ConnectionPool`] bounds the connections of all listeners together.

pub mod flagz;
pub mod health_pages;
pub mod metrics_pages;
pub mod status;
pub mod telemetry;

mod listen;
mod pool;
mod serve;
mod server;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

pub use self::listen::listen;
pub use self::pool::{ConnectionPool, Share};
pub use self::serve::{Connections, Limits, accept, serve};
pub use self::server::{BindError, Server};

/// The path and query of a request. Methods and bodies make no difference to any page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The path, as it was sent.
    pub path: &'a str,
    /// The query behind the question mark; empty without one.
    pub query: &'a str,
}

/// Answers requests, at once: a page is made from what is at hand.
pub type Handler = Arc<dyn Fn(&Request<'_>) -> Reply + Send + Sync>;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers besides those of HTTP itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: String,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Says that the type is what it is said to be.
const NOSNIFF: (HeaderName, HeaderValue) = (
    hyper::header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);

impl Reply {
    /// JSON, as kube-proxy's servers send it.
    #[must_use]
    pub fn json(status: StatusCode, body: String) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, JSON), NOSNIFF],
            body: model::escaped_json(body),
        }
    }

    /// Text, as kube-proxy's servers send it.
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, TEXT), NOSNIFF],
            body: body.into(),
        }
    }

    /// For paths behind which there is nothing, in the words of Go's servers.
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
