//! What users of Kubernetes are told, as Events: on Services and Nodes, beside the log.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::finding::{Code, Finding, Level};
use model::names::{Name, ObjectName};
use model::plan::PlannedOp;
use sources::kube::events::{Events, ObjectEvent, Regarding, Severity};

use crate::health_checks::ListenFailure;
use crate::http::BindError;
use crate::run::Observer;
use reconciler::Report;

/// What was tried when the daemon started; kube-proxy's word.
const START: &str = "StartKubeProxy";

/// The reason of an event about a finding.
#[must_use]
pub fn reason(code: Code) -> &'static str {
    match code {
        Code::InvalidServiceAddress => "InvalidServiceAddress",
        Code::InvalidServicePort => "InvalidServicePort",
        Code::InvalidEndpointAddress => "InvalidEndpointAddress",
        Code::InvalidEndpointPort => "InvalidEndpointPort",
        Code::InvalidSourceRange => "InvalidSourceRange",
        Code::NoSourceRangeOfFamily => "NoSourceRangeOfFamily",
        Code::OwnAddress => "AddressOfThisNode",
        Code::OtherNodesAddress => "AddressOfOtherNode",
        Code::ProtectedAddress => "ProtectedAddress",
        Code::ExternalIpNotAllowed => "ExternalIPNotAllowed",
        Code::NoLocalEndpoints => "NoLocalEndpoints",
        Code::NoHealthCheck => "NoHealthCheck",
        Code::NoNodePortAddress => "NoNodePortAddress",
        Code::UnusableSlice => "UnusableEndpointSlice",
        Code::InvalidScheduler => "InvalidScheduler",
        Code::ServiceClash => "ServiceClash",
        Code::HealthCheckClash => "HealthCheckClash",
        Code::ForeignVirtualServer => "ForeignVirtualServer",
        Code::UnknownNode => "UnknownNode",
        Code::NoLocalDetection => "NoLocalDetection",
        Code::IdleTcpForgotten => "IdleTCPForgotten",
        Code::UdpTrackedTooBriefly => "UDPTrackedTooBriefly",
        Code::OtherModesLeftovers => "LeftoversOfOtherModes",
    }
}

/// The event about a finding, on its object. None about a mere remark: on most nodes most Services have
/// no endpoint, and that is nothing to warn of.
#[must_use]
pub fn finding(finding: &Finding) -> Option<ObjectEvent> {
    let Finding {
        code,
        kind,
        object,
        field,
        problem,
        consequence,
    } = finding;
    let regarding = match *kind {
        "Node" => about_node(&object.name),
        "EndpointSlice" => about("discovery.k8s.io/v1", kind, object),
        _ => about("v1", kind, object),
    };
    (code.level() > Level::Info).then(|| ObjectEvent {
        regarding,
        severity: Severity::Warning,
        reason: reason(*code),
        action: "Program",
        note: format!("{code}: {field}: {problem}; {consequence}"),
    })
}

/// The daemon starts on `node`.
///
/// Source: `birthCry` in `cmd/kube-proxy/app/server.go`, Kubernetes 1.34.
#[must_use]
pub fn starting(node: &Name) -> ObjectEvent {
    ObjectEvent {
        severity: Severity::Normal,
        ..about_start(node, "Starting", String::new())
    }
}

/// `node` could not open a health-check node port.
///
/// Source: `pkg/proxy/healthcheck/service_health.go`, Kubernetes 1.34.
#[must_use]
pub fn listen_failure(node: &Name, failure: &ListenFailure) -> ObjectEvent {
    ObjectEvent {
        regarding: about("v1", "Service", &failure.service),
        severity: Severity::Warning,
        reason: "FailedToStartServiceHealthcheck",
        action: "Listen",
        note: format!("node {node}: {}", model::chain(failure)),
    }
}

/// `node` could not open the port of its health or its metrics.
///
/// Source: `pkg/proxy/healthcheck/proxy_health.go` and `cmd/kube-proxy/app/server.go`, Kubernetes 1.34.
#[must_use]
pub fn bind_failure(node: &Name, failure: &BindError) -> ObjectEvent {
    let reason = match failure.name {
        "metrics server" => "FailedToStartMetricServer",
        _ => "FailedToStartProxierHealthcheck",
    };
    about_start(node, reason, model::chain(failure).to_string())
}

fn about_start(node: &Name, reason: &'static str, note: String) -> ObjectEvent {
    ObjectEvent {
        regarding: about_node(node),
        severity: Severity::Warning,
        reason,
        action: START,
        note,
    }
}

fn about(api_version: &'static str, kind: &'static str, object: &ObjectName) -> Regarding {
    Regarding {
        api_version,
        kind,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: None,
    }
}

/// The Node, with its name as its UID: so does the kubelet, and so `kubectl describe node` finds it.
fn about_node(node: &Name) -> Regarding {
    Regarding {
        api_version: "v1",
        kind: "Node",
        namespace: Name::default(),
        name: node.clone(),
        uid: Some(node.clone()),
    }
}

/// Repairs of one synchronisation, by Service; those of none are the node's.
#[derive(Debug, Default)]
pub struct Repairs(BTreeMap<Option<ObjectName>, Repaired>);

#[derive(Debug)]
struct Repaired {
    first: String,
    others: usize,
}

impl Repairs {
    /// One more.
    pub fn add(&mut self, repair: &PlannedOp) {
        let PlannedOp { op, owner, reason } = repair;
        let service = owner.as_ref().map(|owner| owner.service.clone());
        (self.0.entry(service))
            .and_modify(|repaired| repaired.others += 1)
            .or_insert_with(|| Repaired {
                first: format!("{op}: {reason}"),
                others: 0,
            });
    }

    /// One event for each Service and the node; none are left.
    pub fn take(&mut self, node: &Name) -> Vec<ObjectEvent> {
        (std::mem::take(&mut self.0).into_iter())
            .map(|(service, Repaired { first, others })| ObjectEvent {
                regarding: service.map_or_else(
                    || about_node(node),
                    |service| about("v1", "Service", &service),
                ),
                severity: Severity::Warning,
                reason: "DriftRepaired",
                action: "Repair",
                note: match others {
                    0 => format!("node {node}: somebody else changed the kernel's tables: {first}"),
                    _ => format!(
                        "node {node}: somebody else changed the kernel's tables: {first}; and \
                         {others} more"
                    ),
                },
            })
            .collect()
    }
}

/// Tells what the reconciler reports.
#[derive(Debug)]
pub struct Teller {
    events: Events,
    node: Name,
    repairs: Repairs,
}

impl Teller {
    /// Tells `events` that `node` starts, and then what it reports.
    #[must_use]
    pub fn start(events: Events, node: Name) -> Self {
        events.tell(starting(&node));
        Self {
            events,
            node,
            repairs: Repairs::default(),
        }
    }
}

impl Observer for Teller {
    fn reported(&mut self, report: &Report) {
        match report {
            Report::FindingRaised(raised) => {
                if let Some(event) = finding(raised) {
                    self.events.tell(event);
                }
            }
            Report::Drift(repair) => self.repairs.add(repair),
            Report::Synced { .. } => {
                for event in self.repairs.take(&self.node) {
                    self.events.tell(event);
                }
            }
            _ => {}
        }
    }
}
