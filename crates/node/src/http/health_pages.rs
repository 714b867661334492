//! The pages of the proxy health server (`healthzBindAddress`).

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;

use super::{Handler, Reply};
use crate::health::{Health, Moment, ProxyHealth};
use crate::metrics::{HealthPage, Metrics};

/// Answers `/healthz` and `/livez`, and counts the answers.
#[must_use]
pub fn handler(health: Arc<Mutex<Health>>, metrics: Arc<Metrics>) -> Handler {
    Arc::new(move |request| {
        let health = health.lock().unwrap_or_else(PoisonError::into_inner);
        let (page, answer) = match request.path {
            "/healthz" => (HealthPage::Healthz, health.healthz(Moment::now())),
            "/livez" => (HealthPage::Livez, health.livez(Moment::now())),
            _ => return Reply::not_found(),
        };
        drop(health);
        let reply = reply(&answer);
        metrics.health_asked(page, reply.status.as_u16());
        reply
    })
}

fn reply(answer: &ProxyHealth) -> Reply {
    let status = if answer.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Text and truth values alone: nothing that JSON could lack a word for.
    let body = serde_json::to_string(answer).unwrap_or_default();
    Reply::json(status, body)
}
