//! `/faults`: the switches of [`crate::faults`] for another process. They need no token.
//!
//! `GET /faults` returns the active faults; every `POST` answers the same. A body is JSON:
//!
//! | path | body |
//! |---|---|
//! | `/faults/clear` | none |
//! | `/faults/delay` | `{"ms": 250}` |
//! | `/faults/fail-next` | `{"count": 3, "code": 429, "retry_after": 1}` |
//! | `/faults/unauthorized`, `/faults/half-open`, `/faults/without-discovery-v1`, `/faults/without-streaming-lists` | `{"on": true}` |
//! | `/faults/forbid` | `[{"resource": "services", "verb": "list"}]` |
//! | `/faults/cut-events` | `{"count": 1}` |
//! | `/faults/close-watches`, `/faults/compact` | none |
//! | `/faults/down` | `{"for_ms": 2000, "state": "kept"}` (or `"lost"`) |

use super::body::answer;
use crate::faults::{FailNext, Forbid};
use crate::http::Body;
use crate::server::{Inner, State};
use crate::status::ApiError;
use http::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delay {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    count: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Down {
    for_ms: u64,
    #[serde(default)]
    state: State,
}

pub(super) fn serve(
    server: &Arc<Inner>,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    let knob = path
        .strip_prefix("/faults")
        .unwrap_or_default()
        .trim_matches('/');
    let faults = &server.faults;
    match (method, knob) {
        (&Method::GET, "") => {}
        (&Method::POST, "clear") => faults.clear(),
        (&Method::POST, "delay") => faults.delay(Duration::from_millis(read::<Delay>(body)?.ms)),
        (&Method::POST, "fail-next") => {
            let fail: FailNext = read(body)?;
            if !(400..600).contains(&fail.code) {
                return Err(ApiError::bad_request("code must be from 400 to 599"));
            }
            faults.fail_next(fail);
        }
        (&Method::POST, "unauthorized") => faults.unauthorized(read::<Switch>(body)?.on),
        (&Method::POST, "forbid") => faults.forbid(read::<Vec<Forbid>>(body)?),
        (&Method::POST, "half-open") => faults.half_open(read::<Switch>(body)?.on),
        (&Method::POST, "cut-events") => faults.cut_events(read::<Count>(body)?.count),
        (&Method::POST, "close-watches") => faults.close_watches(),
        (&Method::POST, "compact") => drop(server.compact()),
        (&Method::POST, "without-discovery-v1") => {
            faults.without_discovery_v1(read::<Switch>(body)?.on);
        }
        (&Method::POST, "without-streaming-lists") => {
            faults.without_streaming_lists(read::<Switch>(body)?.on);
        }
        (&Method::POST, "down") => {
            let down: Down = read(body)?;
            server.down_for(Duration::from_millis(down.for_ms), down.state);
        }
        _ => return Err(ApiError::no_such_path()),
    }
    Ok(answer(200, &serde_json::json!(faults.state())))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|e| ApiError::bad_request(format!("the body of this knob: {e}")))
}
