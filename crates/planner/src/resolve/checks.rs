//! Applies health checks to the chosen endpoints of a Service and to the real servers of a
//! VirtualServer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;

use ipnetwork::IpNetwork;
use ipvs::{Protocol, RealServer, VirtualServerKey};
use model::cluster::{Service, StaticServer};
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::frontend::Backend;
use model::names::{Name, ObjectName};
use model::policy::{
    CheckTarget, EndpointCheck, FailedTargets, OnFailure, PolicyField, ServicePolicy,
};

use super::ports::UsablePort;
use super::service_policy::{Origins, place_of};
use crate::explain::{EndpointExplanation, EndpointVerdict};

/// Maximum number of endpoints of one object with a finding of their own.
const MOST_FINDINGS: usize = 8;

/// Health check of one Service port or VirtualServer.
#[derive(Clone, Copy)]
pub(crate) struct Checks<'a> {
    check: &'a EndpointCheck,
    /// Networks that may be probed; `None` does not restrict the addresses.
    networks: Option<&'a [IpNetwork]>,
    /// True if the port of an endpoint is one of the probe's protocol.
    has_port: bool,
    failed: &'a FailedTargets,
}

/// Backends of one frontend, and their weights; `None` if every weight is 1.
pub(super) type Weighted = (Vec<Backend>, Option<Vec<u32>>);

/// Facts about the checks of one Service or VirtualServer.
#[derive(Default)]
pub(crate) struct CheckNotes {
    /// Targets to probe.
    pub(crate) targets: BTreeSet<CheckTarget>,
    /// Endpoints without a target.
    unchecked: BTreeSet<SocketAddr>,
    /// Endpoints that fail, with their last errors.
    failed: BTreeMap<SocketAddr, Name>,
    /// Number of failed endpoints and of all endpoints, of Service ports that use all of them.
    panics: BTreeSet<(Option<PortName>, usize, usize)>,
}

/// An object with a health check, for its findings.
struct Subject<'a> {
    kind: &'static str,
    name: &'a ObjectName,
    /// The field that sets the check.
    field: String,
    /// Term for the servers that are checked.
    noun: &'static str,
    /// Reason why servers have no target, and the consequence.
    unchecked: [&'static str; 2],
}

/// Number and protocol of a Service port.
type PortName = (u16, Protocol);

/// Failed endpoints among those chosen for a frontend.
struct Failing<'a> {
    /// Error of each backend that failed, in the order of the backends.
    errors: Vec<Option<&'a Name>>,
    /// Numbers of endpoints that failed, and of all endpoints; both count those that would get
    /// connections.
    counts: [usize; 2],
    /// True if so many failed that all are used.
    panics: bool,
}

impl<'a> Checks<'a> {
    /// Returns the check of `port`; `None` if it has none.
    pub(super) fn of(
        policy: Option<&'a ServicePolicy>,
        protocol: Protocol,
        config: &'a NodeConfig,
        failed: &'a FailedTargets,
    ) -> Option<Self> {
        let check = policy?.health_check.as_ref()?;
        let lacks_authority = check.missing_authority(&config.health_check_authorities);
        (applies(check, protocol) && lacks_authority.is_none()).then_some(Self {
            check,
            networks: Some(&config.health_check_networks),
            has_port: protocol == check.probe.kind.protocol(),
            failed,
        })
    }

    /// Returns the check of `object`; `None` if it has none. The file that describes the object
    /// belongs to the administrator of the node, so it may name any address.
    pub(crate) fn of_virtual_server(
        object: &'a StaticServer,
        config: &NodeConfig,
        failed: &'a FailedTargets,
    ) -> Option<Self> {
        let check = object.policy.as_ref()?.health_check.as_ref()?;
        let has_port = match object.server.key {
            VirtualServerKey::Address { protocol, .. } => protocol == check.probe.kind.protocol(),
            // Every protocol may have the mark. A port is taken for one of the probe's.
            VirtualServerKey::Fwmark { .. } => true,
        };
        let lacks_authority = check.missing_authority(&config.health_check_authorities);
        lacks_authority.is_none().then_some(Self {
            check,
            networks: None,
            has_port,
            failed,
        })
    }

    /// Returns the target of the endpoint at `place`; `None` if it may not be probed, or if there
    /// is no port to probe.
    fn target(&self, place: SocketAddr) -> Option<CheckTarget> {
        let own = || NonZeroU16::new(place.port()).filter(|_| self.has_port);
        let port = self.check.port.or_else(own)?;
        let contains =
            |networks: &[IpNetwork]| (networks.iter()).any(|network| network.contains(place.ip()));
        self.networks.is_none_or(contains).then(|| CheckTarget {
            address: place.ip(),
            port,
            probe: self.check.probe.clone(),
        })
    }

    /// Finds the failed ones of the endpoints at `places`. Endpoints with weight 0 get no
    /// connections anyway, and do not count.
    fn failing(&self, places: &[SocketAddr], weights: Option<&[u32]>) -> Failing<'a> {
        let errors: Vec<Option<&Name>> = (places.iter())
            .map(|place| self.failed.get(&self.target(*place)?))
            .collect();
        let counts = |index: &usize| weights.is_none_or(|weights| weights[*index] > 0);
        let all = (0..places.len()).filter(counts).count();
        let failed = (0..places.len()).filter(counts);
        let failed = failed.filter(|index| errors[*index].is_some()).count();
        Failing {
            errors,
            counts: [failed, all],
            panics: failed * 100 > all * usize::from(self.check.panic_threshold),
        }
    }

    /// Quiesces or removes the failed endpoints of a frontend, unless too many failed.
    pub(super) fn apply(
        &self,
        port: &UsablePort,
        (backends, weights): Weighted,
        notes: &mut CheckNotes,
    ) -> Weighted {
        let places: Vec<SocketAddr> = backends.iter().map(place).collect();
        let name = (port.number.get(), port.protocol);
        let Some(is_left) = self.usable(Some(name), &places, weights.as_deref(), notes) else {
            return (backends, weights);
        };
        match self.check.on_failure {
            OnFailure::Quiesce => {
                let mut weights = weights.unwrap_or_else(|| vec![1; backends.len()]);
                for (weight, is_left) in weights.iter_mut().zip(is_left) {
                    if !is_left {
                        *weight = 0;
                    }
                }
                (backends, Some(weights))
            }
            OnFailure::Remove => (
                left(backends, &is_left),
                weights.map(|weights| left(weights, &is_left)),
            ),
        }
    }

    /// Quiesces or removes the failed real servers of a VirtualServer, unless too many failed.
    pub(crate) fn apply_to_real_servers(
        &self,
        mut real_servers: Vec<RealServer>,
        notes: &mut CheckNotes,
    ) -> Vec<RealServer> {
        let places: Vec<SocketAddr> = (real_servers.iter())
            .map(|real| SocketAddr::new(real.key.address, real.key.port))
            .collect();
        let weights: Vec<u32> = real_servers.iter().map(|real| real.weight).collect();
        let Some(is_left) = self.usable(None, &places, Some(&weights), notes) else {
            return real_servers;
        };
        match self.check.on_failure {
            OnFailure::Quiesce => {
                for (real, is_left) in real_servers.iter_mut().zip(is_left) {
                    if !is_left {
                        real.weight = 0;
                    }
                }
                real_servers
            }
            OnFailure::Remove => left(real_servers, &is_left),
        }
    }

    /// Notes the targets of the endpoints at `places`, and which of them fail. Returns for each
    /// whether it remains in use; `None` if all of them do.
    fn usable(
        &self,
        port: Option<PortName>,
        places: &[SocketAddr],
        weights: Option<&[u32]>,
        notes: &mut CheckNotes,
    ) -> Option<Vec<bool>> {
        for place in places {
            match self.target(*place) {
                Some(target) => drop(notes.targets.insert(target)),
                None => drop(notes.unchecked.insert(*place)),
            }
        }
        if self.failed.is_empty() {
            return None;
        }
        let Failing {
            errors,
            counts: [failed, all],
            panics,
        } = self.failing(places, weights);
        for (place, error) in places.iter().zip(&errors) {
            if let Some(error) = error {
                notes.failed.insert(*place, (*error).clone());
            }
        }
        if panics {
            notes.panics.insert((port, failed, all));
            return None;
        }
        (errors.iter().any(Option::is_some)).then(|| errors.iter().map(Option::is_none).collect())
    }

    /// Corrects the verdicts about endpoints that fail the check. `verdict` selects one of them.
    pub(super) fn explain(
        &self,
        (backends, weights): (&[Backend], Option<&[u32]>),
        endpoints: &mut [EndpointExplanation],
        verdict: impl Fn(&mut EndpointExplanation) -> Option<&mut EndpointVerdict>,
    ) {
        let places: Vec<SocketAddr> = backends.iter().map(place).collect();
        let failing = self.failing(&places, weights);
        if failing.panics {
            return;
        }
        for (backend, error) in backends.iter().zip(failing.errors) {
            let Some(error) = error else { continue };
            let is_it = |endpoint: &&mut EndpointExplanation| {
                endpoint.address.as_result() == Ok(&backend.address)
                    && endpoint.port == Some(backend.port)
            };
            for endpoint in endpoints.iter_mut().filter(is_it) {
                if let Some(verdict) = verdict(endpoint).filter(|verdict| verdict.is_chosen()) {
                    *verdict = EndpointVerdict::HealthCheckFailed(error.to_string());
                }
            }
        }
    }
}

/// Returns true if the endpoints of a port with this protocol are checked. A port of another
/// protocol than the probe's needs a port to probe.
pub(super) fn applies(check: &EndpointCheck, protocol: Protocol) -> bool {
    protocol == check.probe.kind.protocol() || check.port.is_some()
}

fn place(backend: &Backend) -> SocketAddr {
    SocketAddr::new(backend.address, backend.port.get())
}

fn left<T>(items: Vec<T>, is_left: &[bool]) -> Vec<T> {
    let items = items.into_iter().zip(is_left);
    items
        .filter_map(|(item, left)| left.then_some(item))
        .collect()
}

impl CheckNotes {
    /// Reports endpoints of `service` that may not be probed and endpoints that fail.
    pub(super) fn report(
        &self,
        service: &Service,
        policy: Option<&ServicePolicy>,
        config: &NodeConfig,
        origins: &Origins,
        findings: &mut Vec<Finding>,
    ) {
        let Some(check) = policy.and_then(|policy| policy.health_check.as_ref()) else {
            return;
        };
        let field = place_of(PolicyField::HealthCheck, origins);
        let subject = Subject {
            kind: "Service",
            name: &service.name,
            field,
            noun: "endpoint",
            unchecked: [
                "healthChecks.networks of the configuration does not contain",
                "they are not probed and count as healthy",
            ],
        };
        self.report_about(check, &subject, config, findings);
    }

    /// Reports real servers of `object` without a port to probe and real servers that fail.
    pub(crate) fn report_real_servers(
        &self,
        object: &StaticServer,
        config: &NodeConfig,
        findings: &mut Vec<Finding>,
    ) {
        let policy = object.policy.as_ref();
        let Some(check) = policy.and_then(|policy| policy.health_check.as_ref()) else {
            return;
        };
        let subject = Subject {
            kind: "VirtualServer",
            name: &object.name,
            field: format!("spec.{}", PolicyField::HealthCheck.name()),
            noun: "real server",
            unchecked: [
                match check.probe.kind.protocol() {
                    Protocol::Udp => "the check has no port=NUMBER, and there is no UDP port at",
                    _ => "the check has no port=NUMBER, and there is no TCP port at",
                },
                "they are not probed and count as healthy; add port=NUMBER to the check",
            ],
        };
        self.report_about(check, &subject, config, findings);
    }

    fn report_about(
        &self,
        check: &EndpointCheck,
        subject: &Subject<'_>,
        config: &NodeConfig,
        findings: &mut Vec<Finding>,
    ) {
        let noun = subject.noun;
        let mut report = |code, problem, consequence: &str| {
            findings.push(Finding {
                code,
                kind: subject.kind,
                object: subject.name.clone(),
                field: subject.field.clone(),
                problem,
                consequence: consequence.to_owned(),
            });
        };
        if let Some(name) = check.missing_authority(&config.health_check_authorities) {
            report(
                Code::EndpointNotChecked,
                format!(
                    "verify={name}: healthChecks.authorities of the configuration has no {name}"
                ),
                &format!("the {noun}s are not probed and count as healthy"),
            );
        }
        if let Some(first) = self.unchecked.first() {
            let [reason, consequence] = subject.unchecked;
            let problem = format!(
                "{reason} {} of the {noun}s, such as {}",
                self.unchecked.len(),
                first.ip()
            );
            report(Code::EndpointNotChecked, problem, consequence);
        }
        let consequence = match check.on_failure {
            OnFailure::Quiesce => {
                format!(
                    "it keeps its connections and gets no new ones, unless too many {noun}s fail"
                )
            }
            OnFailure::Remove => {
                format!("it is removed and drains, unless too many {noun}s fail")
            }
        };
        for (place, error) in self.failed.iter().take(MOST_FINDINGS) {
            let problem = format!("{noun} {place} fails: {error}");
            report(Code::EndpointFailed, problem, &consequence);
        }
        if let Some(more) = self.failed.len().checked_sub(MOST_FINDINGS + 1) {
            let problem = format!("{} more {noun}s fail", more + 1);
            report(Code::EndpointFailed, problem, "as for the others");
        }
        for (port, failed, all) in &self.panics {
            let of_port = port.map(|(port, protocol)| format!(" of port {port}/{protocol}"));
            report(
                Code::HealthCheckPanic,
                format!(
                    "{failed} of {all} {noun}s{} fail, more than panicThreshold={}",
                    of_port.unwrap_or_default(),
                    check.panic_threshold
                ),
                "all of them are used, since the check or the network of this node may be at fault",
            );
        }
    }
}
