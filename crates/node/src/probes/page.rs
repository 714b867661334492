//! `/healthchecks`: the targets of health checks with their states, as JSON.

use serde::Serialize;

use super::Checks;

/// Content of the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Targets, ordered by address and port.
    targets: Vec<Target>,
}

/// One target.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    address: String,
    port: u16,
    /// The probe as an annotation holds it.
    check: String,
    /// `healthy` or `failed`.
    state: &'static str,
    /// Time of the last change of the state.
    since: String,
    /// Error with which the target failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Error of the last probe that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// Services that use the result, `NAMESPACE/NAME`.
    services: Vec<String>,
}

impl Checks {
    /// Returns the content of the page.
    #[must_use]
    pub fn page(&self) -> Page {
        let schedule = self.schedule();
        let targets = schedule.targets().map(|(target, entry)| Target {
            address: target.address.to_string(),
            port: target.port.get(),
            check: target.probe.to_string(),
            state: match entry.state.failed() {
                Some(_) => "failed",
                None => "healthy",
            },
            since: entry.since.to_string(),
            error: entry.state.failed().map(ToString::to_string),
            last_error: entry.state.last_error().map(ToString::to_string),
            services: entry.services.iter().map(ToString::to_string).collect(),
        });
        Page {
            targets: targets.collect(),
        }
    }
}
