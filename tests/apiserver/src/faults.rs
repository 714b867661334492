//! Faults that a test turns on and off.

use crate::resource::Resource;
use crate::status::ApiError;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::watch;

/// The answer to the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// Number of requests.
    pub count: u32,
    /// 429, 500, 503 or any other code of 400 and above.
    pub code: u16,
    /// Seconds in `Retry-After`; 0 leaves the header out. 429 always has it, of at least 1.
    #[serde(default)]
    pub retry_after: u64,
}

/// A refusal by authorization: matching requests are answered 403.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbid {
    /// The plural name, such as `services`; `*` is every resource.
    pub resource: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; `*` is
    /// every verb.
    pub verb: String,
}

/// All active faults of a server; all off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FaultState {
    /// Delay of each response.
    #[serde(serialize_with = "as_milliseconds", rename = "delay_ms")]
    pub delay: Duration,
    /// The next requests fail.
    pub fail_next: Option<FailNext>,
    /// Every request fails like one with a wrong token.
    pub unauthorized: bool,
    /// These requests are refused.
    pub forbid: Vec<Forbid>,
    /// Watches stay open and send nothing, not even at their time-out. A watch that was open during
    /// the fault stays silent afterwards, as after a lost network path. New watches work.
    pub half_open: bool,
    /// Number of next events that are cut in the middle, with their connections.
    pub cut_events: u32,
    /// `discovery.k8s.io` is not served, so clients must use Endpoints.
    pub without_discovery_v1: bool,
    /// `sendInitialEvents` is refused, as by a server without the feature gate WatchList.
    pub without_streaming_lists: bool,
    /// Raised by one to end all watches, cleanly, as a server's shutdown does.
    #[serde(skip)]
    pub(crate) watch_generation: u64,
}

fn as_milliseconds<S: serde::Serializer>(delay: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u128(delay.as_millis())
}

/// Switches for the faults of a server in memory.
#[derive(Debug)]
pub struct Faults {
    state: watch::Sender<FaultState>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(FaultState::default()),
        }
    }
}

impl Faults {
    /// Returns the faults that are on.
    #[must_use]
    pub fn state(&self) -> FaultState {
        self.state.borrow().clone()
    }

    /// Turns all faults off. Watches silenced by [`Faults::half_open`] stay silent.
    pub fn clear(&self) {
        self.state.send_modify(|s| {
            *s = FaultState {
                watch_generation: s.watch_generation,
                ..FaultState::default()
            }
        });
    }

    /// Delays each response; zero turns it off.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|s| s.delay = delay);
    }

    /// Fails the next requests, except those of `/faults`.
    pub fn fail_next(&self, fail: FailNext) {
        self.state
            .send_modify(|s| s.fail_next = (fail.count > 0).then_some(fail));
    }

    /// Answers every request 401, with any token.
    pub fn unauthorized(&self, on: bool) {
        self.state.send_modify(|s| s.unauthorized = on);
    }

    /// Answers 403 to exactly these requests; an empty list forbids nothing.
    pub fn forbid(&self, what: Vec<Forbid>) {
        self.state.send_modify(|s| s.forbid = what);
    }

    /// Silences watches; see [`FaultState::half_open`].
    pub fn half_open(&self, on: bool) {
        self.state.send_modify(|s| s.half_open = on);
    }

    /// Cuts the next events in the middle, with their connections.
    pub fn cut_events(&self, count: u32) {
        self.state.send_modify(|s| s.cut_events = count);
    }

    /// Ends every open watch with a complete response.
    pub fn close_watches(&self) {
        self.state.send_modify(|s| s.watch_generation += 1);
    }

    /// Stops or resumes serving `discovery.k8s.io/v1`; open watches of it end.
    pub fn without_discovery_v1(&self, on: bool) {
        self.state.send_modify(|s| {
            s.without_discovery_v1 = on;
            s.watch_generation += 1;
        });
    }

    /// Refuses or allows `sendInitialEvents`.
    pub fn without_streaming_lists(&self, on: bool) {
        self.state.send_modify(|s| s.without_streaming_lists = on);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<FaultState> {
        self.state.subscribe()
    }

    /// Returns the failure for this request, if there is one, and counts it.
    pub(crate) fn take_failure(&self) -> Option<ApiError> {
        let mut failure = None;
        self.state.send_if_modified(|s| {
            let Some(fail) = &mut s.fail_next else {
                return false;
            };
            failure = Some(error(*fail));
            fail.count -= 1;
            if fail.count == 0 {
                s.fail_next = None;
            }
            true
        });
        failure
    }

    /// Returns true if the next event must be cut, and counts it.
    pub(crate) fn take_cut(&self) -> bool {
        self.state.send_if_modified(|s| {
            let cut = s.cut_events > 0;
            s.cut_events = s.cut_events.saturating_sub(1);
            cut
        })
    }
}

impl FaultState {
    pub(crate) fn forbids(&self, verb: &str, resource: &str) -> bool {
        self.forbid.iter().any(|f| {
            (f.resource == "*" || f.resource == resource) && (f.verb == "*" || f.verb == verb)
        })
    }

    pub(crate) fn hides(&self, resource: Resource) -> bool {
        self.without_discovery_v1 && resource == Resource::EndpointSlices
    }
}

fn error(fail: FailNext) -> ApiError {
    let reason = match fail.code {
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "",
    };
    let least = u64::from(fail.code == 429);
    ApiError {
        retry_after: Some(fail.retry_after.max(least)).filter(|seconds| *seconds > 0),
        ..ApiError::new(fail.code, reason, "a fault that a test asked for")
    }
}
