//! Counts the requests to the API server, as client-go does.
//!
//! Source: `k8s.io/component-base/metrics/prometheus/restclient/metrics.go` and
//! `k8s.io/client-go/rest/request.go`, Kubernetes 1.34.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request, Response, Uri};
use kube::Client;
use kube::client::Body;

/// Upper bounds of client-go's `rest_client_request_duration_seconds`, seconds.
pub const LATENCY_BUCKETS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0,
];

/// client-go's `code` of a request without an answer.
const NO_ANSWER: &str = "<error>";

/// Codes whose counts exist from the start, so that `rate()` sees the first one.
const KNOWN_CODES: [&str; 7] = ["200", "401", "403", "429", "500", "503", NO_ANSWER];

/// Counts of the requests to one server. Clones share them.
#[derive(Clone, Debug)]
pub struct RequestStats {
    host: Arc<str>,
    counts: Arc<Mutex<RequestCounts>>,
}

/// Requests so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestCounts {
    /// Number of requests by status code (`<error>` without an answer) and HTTP method.
    pub results: BTreeMap<(String, Method), u64>,
    /// Time until the headers of the answer, by HTTP method. The length of a watch does not count.
    pub latencies: BTreeMap<Method, Latencies>,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Number of requests within each bound of [`LATENCY_BUCKETS`] and above the previous bound.
    pub buckets: [u64; LATENCY_BUCKETS.len()],
    /// Number of all requests, including those above the last bound.
    pub count: u64,
    /// Sum of the durations.
    pub sum: Duration,
}

impl RequestStats {
    /// Returns counts without requests to `server`.
    pub(super) fn new(server: &Uri) -> Self {
        let results = KNOWN_CODES.map(|code| ((code.to_owned(), Method::GET), 0));
        let counts = RequestCounts {
            results: results.into(),
            latencies: [(Method::GET, Latencies::default())].into(),
        };
        Self {
            host: server.authority().map_or("", |host| host.as_str()).into(),
            counts: Arc::new(Mutex::new(counts)),
        }
    }

    /// Returns host and port of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns a copy of the counts.
    #[must_use]
    pub fn counts(&self) -> RequestCounts {
        self.lock().clone()
    }

    /// Returns a client that counts the requests of `client`. An abandoned request counts as one
    /// without an answer.
    pub(super) fn watch(&self, client: Client) -> Client {
        let stats = self.clone();
        let send = move |request: Request<Body>| {
            let (stats, client) = (stats.clone(), client.clone());
            async move {
                let mut pending = Pending {
                    stats,
                    method: request.method().clone(),
                    began: Instant::now(),
                    code: None,
                };
                let answer: kube::Result<Response<Body>> = client.send(request).await;
                pending.code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
                answer
            }
        };
        Client::new(tower::service_fn(send), "default")
    }

    fn record(&self, method: &Method, code: Option<u16>, took: Duration) {
        let code = code.map_or_else(|| NO_ANSWER.to_owned(), |code| code.to_string());
        let mut counts = self.lock();
        (counts.latencies.entry(method.clone()))
            .or_default()
            .record(took);
        *counts.results.entry((code, method.clone())).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, RequestCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pending request. It is recorded when it is dropped.
struct Pending {
    stats: RequestStats,
    method: Method,
    began: Instant,
    /// Status code of the answer.
    code: Option<u16>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.stats
            .record(&self.method, self.code, self.began.elapsed());
    }
}

impl Latencies {
    fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bound = LATENCY_BUCKETS.iter().position(|bound| seconds <= *bound);
        if let Some(bound) = bound {
            self.buckets[bound] += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}
