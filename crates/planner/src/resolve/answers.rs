//! Findings that explain why a valid Service does not answer.

use std::collections::BTreeSet;

use ipvs::AddressFamily;
use model::cluster::{EndpointSlice, Service};
use model::finding::{Code, Finding};

use super::addresses::{Addresses, text};
use super::endpoints::numbers;
use super::ports::UsablePort;

/// Maximum number of ports of slices that a finding names.
const MAX_NAMES: usize = 5;

/// Adds a finding for the first reason that applies:
/// 1. The Service has no slice.
/// 2. No endpoint is ready.
/// 3. A family has no endpoint, or no slice has a port of that name.
pub(super) fn check(
    service: &Service,
    slices: &[EndpointSlice],
    ports: &[UsablePort],
    addresses: &Addresses,
    findings: &mut Vec<Finding>,
) {
    let mut report = |code, field: &str, problem: String, consequence: &str| {
        findings.push(Finding {
            code,
            kind: "Service",
            object: service.name.clone(),
            field: field.to_owned(),
            problem,
            consequence: consequence.to_owned(),
        });
    };
    if slices.is_empty() {
        let advice = match service.has_selector {
            true => "connections are refused until the control plane makes one",
            false => "connections are refused until one is written, as the Service has no selector",
        };
        let problem = "no EndpointSlice names it in the label kubernetes.io/service-name";
        return report(Code::NoSlices, "spec.selector", problem.to_owned(), advice);
    }
    let usable: Vec<&EndpointSlice> = (slices.iter())
        .filter(|slice| slice.family.is_some())
        .collect();
    if usable.is_empty() {
        // Each of them has its own finding.
        return;
    }
    let states = States::of(&usable);
    if states.ready == 0 {
        let consequence = match states.last_resort {
            0 => "connections are refused until one is ready",
            _ => "those that terminate and still serve are used",
        };
        return report(
            Code::NoReadyEndpoint,
            "spec.selector",
            states.problem(),
            consequence,
        );
    }
    let mut unmatched = BTreeSet::new();
    for family in addresses.families() {
        let with_endpoints: Vec<&EndpointSlice> = (usable.iter().copied())
            .filter(|slice| slice.family == Some(family) && !slice.endpoints.is_empty())
            .collect();
        if with_endpoints.is_empty() {
            let problem = format!("it has endpoints, and none of {}", text(family));
            let consequence = format!("connections by {} are refused", text(family));
            report(
                Code::NoEndpointOfFamily,
                "spec.ipFamilies",
                problem,
                &consequence,
            );
            continue;
        }
        for port in ports {
            let offers = |slice: &&EndpointSlice| numbers(slice, port).next().is_some();
            if !with_endpoints.iter().any(offers) && unmatched.insert(port.index) {
                let field = format!("spec.ports[{}].name", port.index);
                let problem = format!(
                    "no slice with endpoints has a port {} of {}; {}",
                    name_text(&port.name),
                    port.protocol,
                    offered(&with_endpoints, family)
                );
                report(
                    Code::PortNotOffered,
                    &field,
                    problem,
                    "connections to this port are refused",
                );
            }
        }
    }
}

/// Describes the ports of `slices` in a sentence.
fn offered(slices: &[&EndpointSlice], family: AddressFamily) -> String {
    let ports: BTreeSet<String> = (slices.iter())
        .flat_map(|slice| &slice.ports)
        .map(|port| {
            let name = port.name.as_deref().unwrap_or_default();
            match port.protocol.as_result() {
                Ok(protocol) => format!("{} of {protocol}", name_text(name)),
                Err(text) => format!("{} of `{text}`", name_text(name)),
            }
        })
        .collect();
    if ports.is_empty() {
        return format!("those of {} have no ports", text(family));
    }
    let more = match ports.len() > MAX_NAMES {
        true => " and others",
        false => "",
    };
    let named: Vec<String> = ports.into_iter().take(MAX_NAMES).collect();
    format!("there is one {}{more}", named.join(", one "))
}

fn name_text(name: &str) -> String {
    match name {
        "" => "without a name".to_owned(),
        name => format!("named `{name}`"),
    }
}

/// Number of endpoints by condition.
#[derive(Default)]
struct States {
    ready: usize,
    not_ready: usize,
    /// Endpoints that terminate and still serve.
    last_resort: usize,
    /// Endpoints that terminate and no longer serve.
    gone: usize,
}

impl States {
    fn of(slices: &[&EndpointSlice]) -> Self {
        let mut states = Self::default();
        for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
            let state = match (endpoint.ready, endpoint.terminating, endpoint.serving) {
                (true, ..) => &mut states.ready,
                (false, false, _) => &mut states.not_ready,
                (false, true, true) => &mut states.last_resort,
                (false, true, false) => &mut states.gone,
            };
            *state += 1;
        }
        states
    }

    fn problem(&self) -> String {
        let counts = [
            (self.not_ready, "not ready"),
            (self.last_resort, "terminating and serving"),
            (self.gone, "terminating"),
        ];
        let counts: Vec<String> = (counts.iter())
            .filter(|(count, _)| *count > 0)
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        if counts.is_empty() {
            return "its EndpointSlices hold no endpoint, as when it is scaled to zero".to_owned();
        }
        format!("no endpoint is ready: {}", counts.join(", "))
    }
}
