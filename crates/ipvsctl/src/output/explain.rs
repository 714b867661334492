//! Text output of explanations.

mod address;
mod endpoints;
mod places;

use std::fmt::Write as _;

pub use self::address::{address, pod};
pub(crate) use self::places::address as place_text;
use crate::schema::{Change, Finding, LastChange, PolicyValue, ServiceExplanation, Verdict};
use crate::style;

/// Maximum number of rows of each section in text. JSON has all of them.
const SHOWN: usize = 100;

/// Maximum number of changes that concern all Services in text. JSON has all of them.
const NODE_CHANGES: usize = 5;

/// Returns the explanation of a Service. With `endpoints_only` it has the endpoints and the verdict
/// only. Contains escape sequences for colours.
#[must_use]
pub fn service(object: &ServiceExplanation, endpoints_only: bool) -> String {
    let mut text = header(object);
    if object.addresses.is_empty() && object.endpoints.is_empty() {
        verdict(&mut text, &object.verdict);
        return text;
    }
    if endpoints_only {
        section(&mut text, "Endpoints", &endpoints::text(object));
        verdict(&mut text, &object.verdict);
        return text;
    }
    section(&mut text, "Policy", &policy(&object.policy));
    section(&mut text, "Addresses", &places::text(object));
    section(&mut text, "Endpoints", &endpoints::text(object));
    section(&mut text, "Sets", &places::sets(object));
    section(&mut text, "Rules that match", &lines(&object.rules));
    section(&mut text, "Findings", &findings(&object.findings));
    section(&mut text, "Drift", &drift(object));
    if let Some(change) = &object.last_change {
        section(&mut text, "Last change", &last_change(change));
    }
    verdict(&mut text, &object.verdict);
    text
}

fn header(object: &ServiceExplanation) -> String {
    let ServiceExplanation {
        namespace,
        name,
        node_name,
        service_type,
        internal_traffic_policy,
        external_traffic_policy,
        affinity_seconds,
        scheduler,
        slices,
        ..
    } = object;
    let heading = style::HEADING;
    let mut text = format!("{heading}Service {namespace}/{name} on node {node_name}{heading:#}\n");
    let scheduler = scheduler.as_deref().unwrap_or("none");
    let affinity = match affinity_seconds {
        Some(seconds) => format!("ClientIP for {seconds} s"),
        None => "none".to_owned(),
    };
    let _ = writeln!(
        text,
        "  type {service_type}, scheduler {scheduler}, session affinity {affinity}, slices {slices}\n  \
         internalTrafficPolicy {internal_traffic_policy}, externalTrafficPolicy {external_traffic_policy}"
    );
    if let Some(check) = &object.health_check {
        let _ = writeln!(
            text,
            "  health check at port {}: ready endpoints on this node: {}",
            check.port, check.local_endpoints
        );
    }
    if !object.live_known {
        text.push_str("  live state unknown: only the desired tables are explained\n");
    }
    text
}

/// Returns the values of a policy with their origins; nothing if the node's configuration alone
/// decides.
fn policy(values: &[PolicyValue]) -> String {
    if values.iter().all(|value| value.origin == "configuration") {
        return String::new();
    }
    let width = values.iter().map(|value| value.field.len()).max();
    let width = width.unwrap_or(0);
    let line = |value: &PolicyValue| {
        let PolicyValue {
            field,
            value,
            origin,
        } = value;
        format!("{field:width$}  {value}    {origin}")
    };
    shown(values.iter().map(line))
}

/// Adds a section, unless `content` is empty.
fn section(text: &mut String, title: &str, content: &str) {
    if content.is_empty() {
        return;
    }
    let heading = style::HEADING;
    let _ = writeln!(text, "\n{heading}{title}{heading:#}");
    for line in content.lines() {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
}

fn lines(lines: &[String]) -> String {
    shown(lines.iter().cloned())
}

/// Joins the first lines, and counts the others.
fn shown(lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(SHOWN);
    let mut text: String = lines.take(SHOWN).map(|line| line + "\n").collect();
    if more > 0 {
        let _ = writeln!(text, "and {more} more: see -o json");
    }
    text
}

fn findings(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let Finding {
            code,
            level,
            kind,
            name,
            field,
            problem,
            consequence,
            ..
        } = finding;
        format!("{code} {level} {kind} {name}: {field}: {problem}; {consequence}")
    });
    shown(lines)
}

fn drift(object: &ServiceExplanation) -> String {
    if !object.live_known {
        return String::new();
    }
    let mut text = shown(object.drift.iter().map(change));
    for planned in object.node_changes.iter().take(NODE_CHANGES) {
        let _ = writeln!(text, "{}", change(planned));
    }
    if object.node_drift > 0 {
        let _ = writeln!(
            text,
            "{} of rules, sets or settings, which concern all Services: see ipvsctl diff",
            match object.node_drift {
                1 => "1 change".to_owned(),
                number => format!("{number} changes"),
            }
        );
    }
    text
}

fn change(change: &Change) -> String {
    format!(
        "{} {}    {}",
        mark(change.effect),
        change.line,
        change.reason
    )
}

fn mark(effect: &str) -> char {
    match effect {
        "add" => '+',
        "delete" => '-',
        _ => '~',
    }
}

fn last_change(change: &LastChange) -> String {
    let LastChange {
        time,
        effect,
        line,
        reason,
        cause,
        latency_seconds,
    } = change;
    let mut text = format!("{time}  {} {line}    {reason}", mark(effect));
    match (latency_seconds, cause) {
        (Some(seconds), _) => {
            let _ = write!(text, ", {seconds:.3} s after the event of the API server");
        }
        (None, Some(cause)) => {
            let _ = write!(text, " ({cause})");
        }
        (None, None) => {}
    }
    text
}

fn verdict(text: &mut String, verdict: &Verdict) {
    let style = if verdict.ok { style::ADD } else { style::ERROR };
    let _ = writeln!(text, "\n{style}{}{style:#}", verdict.text);
}
