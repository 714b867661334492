//! The answer of a health-check node port. It is the same for every path.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use model::names::ObjectName;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::ProxyHealthy;
use super::listener::Count;
use crate::http::{Handler, Reply};

/// Header with the number of local endpoints, for load balancers that support weights (KEP-3669).
const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// Body of the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    service: Service<'a>,
    local_endpoints: usize,
    service_proxy_healthy: bool,
}

#[derive(Serialize)]
struct Service<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// Returns the handler of the health check of `service`.
pub(super) fn handler(service: ObjectName, count: Count, proxy_healthy: ProxyHealthy) -> Handler {
    std::sync::Arc::new(move |_| match count.get() {
        Some(count) => reply(&service, count, proxy_healthy()),
        // The Service was deleted during the request. kube-proxy sends an empty answer, too.
        None => Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: String::new(),
        },
    })
}

fn reply(service: &ObjectName, count: usize, proxy_healthy: bool) -> Reply {
    let status = if count > 0 && proxy_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let answer = Answer {
        service: Service {
            namespace: &service.namespace,
            name: &service.name,
        },
        local_endpoints: count,
        service_proxy_healthy: proxy_healthy,
    };
    let mut reply = Reply::json(status, text(&answer));
    reply.headers.push((WEIGHT, HeaderValue::from(count)));
    reply
}

/// Formats the answer as JSON that is indented by tabs, as kube-proxy does.
fn text(answer: &Answer<'_>) -> String {
    let mut bytes = Vec::new();
    let mut to = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"\t"));
    // Writing text, a number and a boolean to memory cannot fail.
    let _ = answer.serialize(&mut to);
    String::from_utf8_lossy(&bytes).into_owned()
}
