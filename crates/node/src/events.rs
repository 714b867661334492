//! Kubernetes Events on Services, EndpointSlices and Nodes, in addition to the log.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kernel::{ObserveError, OpError};
use model::cluster::ClusterState;
use model::finding::{Code, Finding, Level};
use model::names::{Name, ObjectName};
use model::plan::PlannedOp;
use sources::kube::events::{Events, ObjectEvent, Regarding, Severity};

use crate::health::Moment;
use crate::health_checks::ListenFailure;
use crate::http::BindError;
use crate::run::Observer;
use reconciler::{Failure, Reconciler, Report, Trigger};

/// Action of events about the start of the daemon, as in kube-proxy.
const START: &str = "StartKubeProxy";

/// Minimum time between two events about failures of one object.
const REPEAT: Duration = Duration::from_secs(600);

/// Maximum number of events that wait for the UIDs of their objects.
const MOST_PENDING: usize = 256;

/// Maximum number of objects with events about failures.
const MOST_FAILING: usize = 256;

/// Number of consecutive failures of a reading that cause an event.
const FAILED_READINGS: u32 = 3;

/// Returns the reason of an event about a finding.
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
        Code::ApiServerAddress => "ApiServerAddress",
        Code::HostPort => "HostPort",
        Code::ServiceLimit => "ServiceLimit",
        Code::UndecodableObject => "UndecodableObject",
        Code::NoSlices => "NoEndpointSlices",
        Code::NoReadyEndpoint => "NoReadyEndpoint",
        Code::PortNotOffered => "PortNotOffered",
        Code::NoEndpointOfFamily => "NoEndpointOfFamily",
        Code::OtherFamilyAddress => "AddressOfOtherFamily",
        Code::OtherNodesBalancer => "BalancerAddressOfOtherNode",
        Code::SeveralAddresses => "SeveralAddresses",
        Code::UnlabelledSlice => "UnlabelledEndpointSlice",
        Code::InvalidPolicy => "InvalidPolicy",
        Code::PolicyNotAllowed => "PolicyNotAllowed",
        Code::PolicyWithoutEffect => "PolicyWithoutEffect",
        Code::EndpointNotChecked => "EndpointNotChecked",
        Code::EndpointFailed => "EndpointFailed",
        Code::HealthCheckPanic => "HealthCheckPanic",
        Code::ForwardingNotUsed => "ForwardingMethodNotUsed",
        Code::InvalidVirtualServer => "InvalidVirtualServer",
        Code::InvalidRealServer => "InvalidRealServer",
        Code::NoRealServer => "NoRealServer",
        Code::PortHasNoEffect => "PortHasNoEffect",
        Code::ServiceClash => "ServiceClash",
        Code::HealthCheckClash => "HealthCheckClash",
        Code::ForeignVirtualServer => "ForeignVirtualServer",
        Code::UnknownNode => "UnknownNode",
        Code::NoLocalDetection => "NoLocalDetection",
        Code::IdleTcpForgotten => "IdleTCPForgotten",
        Code::UdpTrackedTooBriefly => "UDPTrackedTooBriefly",
        Code::OtherModesLeftovers => "LeftoversOfOtherModes",
        Code::InputDrops => "ServicePacketsDropped",
        Code::NotTracked => "ServicePacketsNotTracked",
        Code::MissingFamily => "AddressFamilyMissing",
        Code::InputMayDrop => "ServicePacketsMayBeDropped",
        Code::SecondProxy => "SecondProxy",
        Code::ShrunkList => "ListLacksMostObjects",
    }
}

/// Returns the event about a finding, on the object of the finding. There is no event:
///
/// - about a finding of level info: most Services have no endpoint on most nodes, which is not
///   worth a warning
/// - about an object without a name, since an event has to name its object
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
    let regarding = regarding(kind, object);
    (code.level() > Level::Info && !object.name.is_empty()).then(|| ObjectEvent {
        regarding,
        severity: Severity::Warning,
        reason: reason(*code),
        action: "Program",
        note: format!("{code}: {field}: {problem}; {consequence}"),
    })
}

fn regarding(kind: &'static str, object: &ObjectName) -> Regarding {
    match kind {
        "Node" => about_node(&object.name),
        "EndpointSlice" => about("discovery.k8s.io/v1", kind, object),
        "VirtualServer" => about("kube-ipvs.io/v1alpha1", kind, object),
        _ => about("v1", kind, object),
    }
}

/// Returns the event about the end of a failure; only the failure of a health check has one.
#[must_use]
pub fn recovery(cleared: &Finding) -> Option<ObjectEvent> {
    let Finding {
        code,
        kind,
        object,
        problem,
        ..
    } = cleared;
    (*code == Code::EndpointFailed).then(|| ObjectEvent {
        regarding: regarding(kind, object),
        severity: Severity::Normal,
        reason: "EndpointNoLongerFails",
        action: "Probe",
        note: format!("{code}: over, or no longer checked: {problem}"),
    })
}

/// Returns the event about the start of the daemon on `node`.
///
/// Source: `birthCry` in `cmd/kube-proxy/app/server.go`, Kubernetes 1.34.
#[must_use]
pub fn starting(node: &Name) -> ObjectEvent {
    ObjectEvent {
        severity: Severity::Normal,
        ..about_start(node, "Starting", String::new())
    }
}

/// Returns the event about a health-check node port that `node` could not open.
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

/// Returns the event about the port of the health or metrics server that `node` could not open.
///
/// Source: `pkg/proxy/healthcheck/proxy_health.go` and `cmd/kube-proxy/app/server.go`, Kubernetes
/// 1.34.
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

/// Adds the UID of a Service or EndpointSlice. `kubectl describe` shows only events with the
/// object's UID.
#[must_use]
pub fn with_uid(mut event: ObjectEvent, cluster: &ClusterState) -> ObjectEvent {
    let regarding = &mut event.regarding;
    let name = ObjectName::new(regarding.namespace.clone(), regarding.name.clone());
    let uid = match regarding.kind {
        "Service" => cluster.service(&name).and_then(|service| service.uid),
        "EndpointSlice" => cluster.slice(&name).and_then(|slice| slice.uid),
        _ => return event,
    };
    regarding.uid = uid.map(|uid| uid.to_string().into());
    event
}

/// Returns a reference to the Node with its name as UID, as the kubelet does. `kubectl describe
/// node` searches for it.
fn about_node(node: &Name) -> Regarding {
    Regarding {
        api_version: "v1",
        kind: "Node",
        namespace: Name::default(),
        name: node.clone(),
        uid: Some(node.clone()),
    }
}

/// Repairs of one sync, by Service. Repairs without a Service belong to the node.
#[derive(Debug, Default)]
pub struct Repairs(BTreeMap<Option<ObjectName>, Repaired>);

#[derive(Debug)]
struct Repaired {
    first: String,
    others: usize,
}

impl Repairs {
    /// Adds a repair.
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

    /// Takes all repairs. Returns one event for each Service and one for the node.
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
                    0 => {
                        format!("node {node}: another program changed the kernel's tables: {first}")
                    }
                    _ => format!(
                        "node {node}: another program changed the kernel's tables: {first}; and \
                         {others} more"
                    ),
                },
            })
            .collect()
    }
}

/// Changes that the kernel refuses repeatedly, by Service. Changes without a Service belong to the
/// node.
///
/// A change that fails once is retried within a fraction of a second and causes no event. A
/// Service, or the node, gets an event as soon as a retry fails or no retry can succeed, and again
/// after each [`REPEAT`] while the failure lasts.
#[derive(Debug, Default)]
pub struct Failures {
    /// Failures of the sync under way.
    failing: BTreeMap<Option<ObjectName>, Failing>,
    /// Time of the last event by Service; limited to [`MOST_FAILING`].
    sent: BTreeMap<Option<ObjectName>, Instant>,
    /// The last reading that failed.
    unread: Option<String>,
    /// Time of the last event about readings.
    sent_unread: Option<Instant>,
}

#[derive(Debug)]
struct Failing {
    first: String,
    advice: &'static str,
    others: usize,
    permanent: bool,
}

impl Failures {
    /// Records a change that failed in the sync under way.
    pub fn add(&mut self, planned: &PlannedOp, error: &OpError) {
        let service = planned.owner.as_ref().map(|owner| owner.service.clone());
        let permanent = Failure::Refused(error.kind().clone()).is_permanent();
        if let Some(failing) = self.failing.get_mut(&service) {
            failing.others += 1;
            failing.permanent |= permanent;
        } else if self.failing.len() < MOST_FAILING {
            let failing = Failing {
                first: model::chain(error).to_string(),
                advice: error.kind().advice(),
                others: 0,
                permanent,
            };
            self.failing.insert(service, failing);
        }
    }

    /// Ends the sync. `retried` is true if it was a retry. Returns the events that are due.
    pub fn take(&mut self, node: &Name, retried: bool, now: Instant) -> Vec<ObjectEvent> {
        let recent = |sent: &Instant| now.saturating_duration_since(*sent) < REPEAT;
        self.sent.retain(|_, sent| recent(sent));
        let mut events = Vec::new();
        for (service, failing) in std::mem::take(&mut self.failing) {
            let Failing {
                first,
                advice,
                others,
                permanent,
            } = failing;
            let lasts = retried || permanent;
            if !lasts || self.sent.contains_key(&service) || self.sent.len() >= MOST_FAILING {
                continue;
            }
            self.sent.insert(service.clone(), now);
            let more = match others {
                0 => String::new(),
                _ => format!("; and {others} more"),
            };
            events.push(ObjectEvent {
                regarding: service.map_or_else(
                    || about_node(node),
                    |service| about("v1", "Service", &service),
                ),
                severity: Severity::Warning,
                reason: "ProgrammingFails",
                action: "Program",
                note: format!("node {node}: {first}{more}; {advice}"),
            });
        }
        events
    }

    /// Records a reading that failed.
    pub fn unread(&mut self, error: &ObserveError) {
        self.unread = Some(model::chain(error).to_string());
    }

    /// Returns the event about a reading that failed since the last call, if its number of
    /// consecutive `failures` is high enough.
    pub fn take_unread(
        &mut self,
        node: &Name,
        failures: impl FnOnce() -> u32,
        now: Instant,
    ) -> Option<ObjectEvent> {
        let problem = self.unread.take()?;
        let recent = |sent: Instant| now.saturating_duration_since(sent) < REPEAT;
        if failures() < FAILED_READINGS || self.sent_unread.is_some_and(recent) {
            return None;
        }
        self.sent_unread = Some(now);
        Some(ObjectEvent {
            regarding: about_node(node),
            severity: Severity::Warning,
            reason: "ReadingFails",
            action: "Observe",
            note: format!(
                "node {node}: {problem}; until a reading succeeds, kube-ipvsd does not repair these entries"
            ),
        })
    }
}

/// Sends events about the reports of the loop.
#[derive(Debug)]
pub struct EventRecorder {
    events: Events,
    node: Name,
    repairs: Repairs,
    failures: Failures,
    /// Events that wait for the UIDs of their objects, at most [`MOST_PENDING`].
    pending: Vec<ObjectEvent>,
}

impl EventRecorder {
    /// Sends the event about the start of `node`.
    #[must_use]
    pub fn start(events: Events, node: Name) -> Self {
        events.record(starting(&node));
        Self {
            events,
            node,
            repairs: Repairs::default(),
            failures: Failures::default(),
            pending: Vec::new(),
        }
    }

    /// Queues `event` until the loop is idle and can add the UID. If the queue is full, sends it
    /// without a UID.
    fn send(&mut self, event: ObjectEvent) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push(event);
        } else {
            self.events.record(event);
        }
    }
}

impl Observer for EventRecorder {
    fn reported(&mut self, report: &Report, now: Moment) {
        match report {
            Report::FindingRaised(raised) => {
                if let Some(event) = finding(raised) {
                    self.send(event);
                }
            }
            Report::Drift(repair) => self.repairs.add(repair),
            Report::OpFailed(planned, error) => self.failures.add(planned, error),
            Report::ObserveFailed(error) => self.failures.unread(error),
            Report::Synced { trigger, .. } => {
                let retried = *trigger == Trigger::Retry;
                let failures = self.failures.take(&self.node, retried, now.instant);
                for event in self.repairs.take(&self.node).into_iter().chain(failures) {
                    self.send(event);
                }
            }
            Report::FindingCleared(cleared) => {
                if let Some(event) = recovery(cleared) {
                    self.send(event);
                }
            }
            Report::Audited
            | Report::ChecksWanted(_)
            | Report::SlowStartsSkipped(_)
            | Report::DeletionsWithheld(_) => {}
        }
    }

    fn idle(&mut self, reconciler: &Reconciler, now: Moment) {
        for event in std::mem::take(&mut self.pending) {
            self.events.record(with_uid(event, reconciler.cluster()));
        }
        let failures = || {
            let readings = reconciler.failing_readings();
            readings.map(|(_, due)| due.failures).max().unwrap_or(0)
        };
        let event = (self.failures).take_unread(&self.node, failures, now.instant);
        if let Some(event) = event {
            self.events.record(event);
        }
    }
}
