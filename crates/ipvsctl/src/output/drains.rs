//! Text output of draining real servers.

use super::servers::table;
use crate::schema::Drain;

/// Text for an unknown value.
const UNKNOWN: &str = "unknown";

/// Returns a table with a row for each drain.
#[must_use]
pub fn text(drains: &[Drain]) -> String {
    let titles = [
        "VIRTUAL SERVER",
        "REAL SERVER",
        "SERVICE",
        "SINCE",
        "ACTIVE",
        "INACTIVE",
        "DEADLINE",
    ];
    let rows = drains.iter().map(row).collect();
    table(&titles, rows, "No real server drains.\n")
}

fn row(drain: &Drain) -> Vec<String> {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let number = |value: Option<u32>| value.map_or(UNKNOWN.to_owned(), |value| value.to_string());
    let deadline = match (&drain.deadline, drain.known_to_daemon) {
        (None, true) => "none".to_owned(),
        (deadline, _) => known(deadline),
    };
    vec![
        drain.virtual_server.clone(),
        drain.real_server.clone(),
        known(&drain.service),
        known(&drain.since),
        number(drain.active_connections),
        number(drain.inactive_connections),
        deadline,
    ]
}
