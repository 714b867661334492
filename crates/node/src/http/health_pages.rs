//! The pages of the proxy health server (`healthzBindAddress`).

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use serde::Serialize;

use super::{Handler, Reply};
use crate::health::{Health, Moment};
use crate::metrics::{HealthPage, Metrics};

/// Answers `/healthz`, `/livez` and `/readyz`, and counts the answers.
#[must_use]
pub fn handler(health: Arc<Mutex<Health>>, metrics: Arc<Metrics>) -> Handler {
    Arc::new(move |request| {
        let health = health.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::now();
        let (page, reply) = match request.path {
            "/healthz" => {
                let answer = health.healthz(now);
                (HealthPage::Healthz, reply(answer.healthy, &answer))
            }
            "/livez" => {
                let answer = health.livez(now);
                (HealthPage::Livez, reply(answer.healthy, &answer))
            }
            "/readyz" => {
                let answer = health.readyz(now);
                (HealthPage::Readyz, reply(answer.ready, &answer))
            }
            _ => return Reply::not_found(),
        };
        drop(health);
        metrics.health_asked(page, reply.status.as_u16());
        reply
    })
}

fn reply(good: bool, answer: &impl Serialize) -> Reply {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Text, numbers and booleans can always be written as JSON.
    let body = serde_json::to_string(answer).unwrap_or_default();
    Reply::json(status, body)
}
