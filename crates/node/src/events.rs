//! Events for users of Kubernetes, on Services and Nodes, beside the log.

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

/// The action at the start of the daemon; kube-proxy's word.
const START: &str = "StartKubeProxy";

/// Minimum time between two events about failures of one object.
const REPEAT: Duration = Duration::from_secs(600);

/// Maximum number of events that wait for the UIDs of their objects.
const MOST_PENDING: usize = 256;

/// Objects at most about whose failures there are events.
const MOST_FAILING: usize = 256;

/// Failures in a row of a reading that are worth an event.
const FAILED_READINGS: u32 = 3;

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

/// The event about a finding, on its object. None about a mere remark: on most nodes most Services have
/// no endpoint, and that is nothing to warn of. None about an object without a name: no event can name it.
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
    (code.level() > Level::Info && !object.name.is_empty()).then(|| ObjectEvent {
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

/// Adds the UID of a Service or slice: `kubectl describe` shows no event without the right one.
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

/// Changes that the kernel refuses again and again, by Service; those of none are the node's.
///
/// A change that fails once is retried within a fraction of a second and is no news. A Service, or the node, has an
/// event once a retry failed or no retry can help, and again each [`REPEAT`] while that lasts.
#[derive(Debug, Default)]
pub struct Failures {
    /// Failures of the sync under way.
    failing: BTreeMap<Option<ObjectName>, Failing>,
    /// When an event was sent; limited to [`MOST_FAILING`].
    told: BTreeMap<Option<ObjectName>, Instant>,
    /// The last reading that failed.
    unread: Option<String>,
    /// When an event about readings was sent.
    told_unread: Option<Instant>,
}

#[derive(Debug)]
struct Failing {
    first: String,
    advice: &'static str,
    others: usize,
    permanent: bool,
}

impl Failures {
    /// A change failed in the sync under way.
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

    /// Ends the sync, which `retried` what had failed or not. Returns the events that are due.
    pub fn take(&mut self, node: &Name, retried: bool, now: Instant) -> Vec<ObjectEvent> {
        let recent = |told: &Instant| now.saturating_duration_since(*told) < REPEAT;
        self.told.retain(|_, told| recent(told));
        let mut events = Vec::new();
        for (service, failing) in std::mem::take(&mut self.failing) {
            let Failing {
                first,
                advice,
                others,
                permanent,
            } = failing;
            let lasts = retried || permanent;
            if !lasts || self.told.contains_key(&service) || self.told.len() >= MOST_FAILING {
                continue;
            }
            self.told.insert(service.clone(), now);
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

    /// A reading failed.
    pub fn unread(&mut self, error: &ObserveError) {
        self.unread = Some(model::chain(error).to_string());
    }

    /// Returns the event about a reading that failed since the last call, if `failures` in a row are enough for one.
    pub fn take_unread(
        &mut self,
        node: &Name,
        failures: impl FnOnce() -> u32,
        now: Instant,
    ) -> Option<ObjectEvent> {
        let problem = self.unread.take()?;
        let recent = |told: Instant| now.saturating_duration_since(told) < REPEAT;
        if failures() < FAILED_READINGS || self.told_unread.is_some_and(recent) {
            return None;
        }
        self.told_unread = Some(now);
        Some(ObjectEvent {
            regarding: about_node(node),
            severity: Severity::Warning,
            reason: "ReadingFails",
            action: "Observe",
            note: format!(
                "node {node}: {problem}; what depends on it is not compared with the cluster"
            ),
        })
    }
}

/// Sends events about what the loop does.
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
    /// Sends that `node` starts. Later reports follow.
    #[must_use]
    pub fn start(events: Events, node: Name) -> Self {
        events.tell(starting(&node));
        Self {
            events,
            node,
            repairs: Repairs::default(),
            failures: Failures::default(),
            pending: Vec::new(),
        }
    }

    /// Sends `event` when the loop is idle; without a UID if too many wait.
    fn send(&mut self, event: ObjectEvent) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push(event);
        } else {
            self.events.tell(event);
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
            Report::Audited | Report::FindingCleared(_) | Report::DeletionsWithheld(_) => {}
        }
    }

    fn idle(&mut self, reconciler: &Reconciler, now: Moment) {
        for event in std::mem::take(&mut self.pending) {
            self.events.tell(with_uid(event, reconciler.cluster()));
        }
        let failures = || {
            let readings = reconciler.failing_readings();
            readings.map(|(_, due)| due.failures).max().unwrap_or(0)
        };
        let event = (self.failures).take_unread(&self.node, failures, now.instant);
        if let Some(event) = event {
            self.events.tell(event);
        }
    }
}
