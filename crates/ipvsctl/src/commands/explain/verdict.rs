//! One line that says whether a Service is served as its objects ask for.

use std::collections::BTreeSet;

use model::finding::Code;

use super::places;
use crate::output::explain::place_text;
use crate::schema::{ExplainedEndpoint, Place, Presence, ServiceExplanation, Verdict};

/// Returns the verdict about a Service.
pub(super) fn of_service(object: &ServiceExplanation) -> Verdict {
    if matches!(object.service_type, "Headless" | "ExternalName") {
        return Verdict {
            ok: true,
            text: format!(
                "{}: no proxy serves such a Service; its clients use DNS",
                object.service_type
            ),
        };
    }
    let served: Vec<&Place> = (object.addresses.iter())
        .filter(|place| place.served)
        .collect();
    if served.is_empty() {
        return problem(format!("not answering: {}", unserved(object)));
    }
    let silent: Vec<&Place> = (served.iter().copied())
        .filter(|place| place.endpoints == 0)
        .collect();
    if silent.len() == served.len() {
        return problem(format!("not answering: {}", no_endpoint(&object.endpoints)));
    }
    let broken: Vec<&Place> = (served.iter().copied())
        .filter(|place| !places::is_complete(place))
        .collect();
    let absent = |place: &&Place| place.virtual_server == Some(Presence::Missing);
    if object.live_known && served.iter().all(absent) {
        return problem("not answering: the kernel has none of its virtual servers".to_owned());
    }
    let mut problems = Vec::new();
    if !silent.is_empty() {
        problems.push(format!("no endpoint at {}", names(&silent)));
    }
    if !broken.is_empty() {
        problems.push(format!("entries are missing for {}", names(&broken)));
    }
    let refused = object.addresses.len() - served.len();
    if refused > 0 {
        problems.push(format!(
            "{} not served",
            count(refused, "address", "addresses")
        ));
    }
    if !object.drift.is_empty() {
        problems.push(count(
            object.drift.len(),
            "change pending",
            "changes pending",
        ));
    }
    if object.node_drift > 0 {
        let changes = count(object.node_drift, "change", "changes");
        problems.push(format!("{changes} of rules, sets or settings pending"));
    }
    let harmful = [Code::InputDrops, Code::NotTracked].map(Code::as_str);
    let harmful = (object.findings.iter()).filter(|finding| harmful.contains(&finding.code));
    match harmful.count() {
        0 => {}
        rules => problems.push(count(
            rules,
            "rule of another program drops its packets or keeps them from connection tracking",
            "rules of other programs drop its packets or keep them from connection tracking",
        )),
    }
    let errors = (object.findings.iter()).filter(|finding| finding.level == "error");
    let errors = errors.count();
    if errors > 0 && refused == 0 {
        problems.push(count(
            errors,
            "finding of level error",
            "findings of level error",
        ));
    }
    let ok = problems.is_empty();
    let present = served.iter().filter(|place| !absent(place)).count();
    if ok {
        let state = if object.live_known {
            "no drift"
        } else {
            "live state unknown"
        };
        problems.push(state.to_owned());
    }
    Verdict {
        ok,
        text: format!("{}; {}", summary(object, present), problems.join("; ")),
    }
}

fn problem(text: String) -> Verdict {
    Verdict { ok: false, text }
}

/// Returns `served at 3 addresses by 5 of 7 endpoints`. An endpoint counts once, whatever its
/// ports.
fn summary(object: &ServiceExplanation, places: usize) -> String {
    let of_slices = || {
        object
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.slice.is_some())
    };
    let distinct = |chosen: bool| {
        let counted = of_slices().filter(|endpoint| endpoint.chosen || !chosen);
        let addresses: BTreeSet<&str> = counted.map(|endpoint| &*endpoint.address).collect();
        addresses.len()
    };
    format!(
        "served at {} by {} of {}",
        count(places, "address", "addresses"),
        distinct(true),
        count(distinct(false), "endpoint", "endpoints")
    )
}

/// Returns the reason why no address is served.
fn unserved(object: &ServiceExplanation) -> String {
    let first = (object.addresses.iter()).find_map(|place| {
        let reason = place.reason.as_deref()?;
        let code = place.code.unwrap_or_default();
        Some(format!("no address is served ({code}: {reason})"))
    });
    first.unwrap_or_else(|| "it has no port that can be served".to_owned())
}

/// Returns the reason why no endpoint is chosen.
fn no_endpoint(endpoints: &[ExplainedEndpoint]) -> String {
    let has = |reason: &str| endpoints.iter().any(|endpoint| endpoint.reason == reason);
    let all = |reason: &str| endpoints.iter().all(|endpoint| endpoint.reason == reason);
    let text = if endpoints.is_empty() {
        "it has no endpoints"
    } else if has("NotOnThisNode") {
        "no ready endpoint is on this node, and the traffic policy is Local"
    } else if all("PortNotOffered") {
        "no slice has a port with the name and protocol of the Service port"
    } else if all("OtherFamily") {
        "no endpoint has an address of the Service's family"
    } else if all("UnusableAddress") {
        "no endpoint has a usable address"
    } else {
        "no ready endpoint"
    };
    text.to_owned()
}

/// Returns the first places as text.
fn names(places: &[&Place]) -> String {
    const NAMED: usize = 3;
    let names = places.iter().take(NAMED).map(|place| place_text(place));
    let names = names.collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(NAMED) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// Returns the number with the noun in singular or plural.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
