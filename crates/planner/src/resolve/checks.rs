//! Applies the health check of a Service to its chosen endpoints.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::Protocol;
use model::cluster::Service;
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::frontend::Backend;
use model::names::Name;
use model::policy::{
    CheckTarget, EndpointCheck, FailedTargets, OnFailure, PolicyField, ServicePolicy,
};

use super::ports::UsablePort;
use super::service_policy::{Origins, place};
use crate::explain::{EndpointExplanation, EndpointVerdict};

/// Maximum number of endpoints of one Service with a finding of their own.
const MOST_FINDINGS: usize = 8;

/// Health check of one Service port.
#[derive(Clone, Copy)]
pub(super) struct Checks<'a> {
    check: &'a EndpointCheck,
    config: &'a NodeConfig,
    failed: &'a FailedTargets,
}

/// Backends of one frontend, and their weights; `None` if every weight is 1.
pub(super) type Weighted = (Vec<Backend>, Option<Vec<u32>>);

/// Facts about the checks of one Service.
#[derive(Default)]
pub(super) struct CheckNotes {
    /// Targets to probe.
    pub(super) targets: BTreeSet<CheckTarget>,
    /// Endpoints outside the networks that may be probed.
    outside: BTreeSet<Backend>,
    /// Endpoints that fail, with their last errors.
    failed: BTreeMap<Backend, Name>,
    /// Number of failed endpoints and of all endpoints, of Service ports that use all of them.
    panics: BTreeSet<(PortName, usize, usize)>,
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
        applies(check, protocol).then_some(Self {
            check,
            config,
            failed,
        })
    }

    /// Returns the target of `backend`; `None` if it may not be probed.
    fn target(&self, backend: Backend) -> Option<CheckTarget> {
        let networks = &self.config.health_check_networks;
        let may = (networks.iter()).any(|network| network.contains(backend.address));
        may.then(|| CheckTarget {
            address: backend.address,
            port: self.check.port.unwrap_or(backend.port),
            probe: self.check.probe.clone(),
        })
    }

    /// Finds the failed ones of `backends`. Endpoints with weight 0 get no connections anyway, and
    /// do not count.
    fn failing(&self, backends: &[Backend], weights: Option<&[u32]>) -> Failing<'a> {
        let errors: Vec<Option<&Name>> = (backends.iter())
            .map(|backend| self.failed.get(&self.target(*backend)?))
            .collect();
        let counts = |index: &usize| weights.is_none_or(|weights| weights[*index] > 0);
        let all = (0..backends.len()).filter(counts).count();
        let failed = (0..backends.len()).filter(counts);
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
        for backend in &backends {
            match self.target(*backend) {
                Some(target) => drop(notes.targets.insert(target)),
                None => drop(notes.outside.insert(*backend)),
            }
        }
        if self.failed.is_empty() {
            return (backends, weights);
        }
        let Failing {
            errors,
            counts: [failed, all],
            panics,
        } = self.failing(&backends, weights.as_deref());
        for (backend, error) in backends.iter().zip(&errors) {
            if let Some(error) = error {
                notes.failed.insert(*backend, (*error).clone());
            }
        }
        if panics {
            let name = (port.number.get(), port.protocol);
            notes.panics.insert((name, failed, all));
            return (backends, weights);
        }
        if errors.iter().all(Option::is_none) {
            return (backends, weights);
        }
        let mut errors = errors.into_iter().map(|error| error.is_some());
        match self.check.on_failure {
            OnFailure::Quiesce => {
                let mut weights = weights.unwrap_or_else(|| vec![1; backends.len()]);
                for (weight, has_failed) in weights.iter_mut().zip(errors) {
                    if has_failed {
                        *weight = 0;
                    }
                }
                (backends, Some(weights))
            }
            OnFailure::Remove => {
                let is_left: Vec<bool> = errors.by_ref().map(|has_failed| !has_failed).collect();
                (
                    left(backends, &is_left),
                    weights.map(|weights| left(weights, &is_left)),
                )
            }
        }
    }

    /// Corrects the verdicts about endpoints that fail the check. `verdict` selects one of them.
    pub(super) fn explain(
        &self,
        (backends, weights): (&[Backend], Option<&[u32]>),
        endpoints: &mut [EndpointExplanation],
        verdict: impl Fn(&mut EndpointExplanation) -> Option<&mut EndpointVerdict>,
    ) {
        let failing = self.failing(backends, weights);
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

/// Returns true if the endpoints of a port with this protocol are checked. Every probe uses TCP, so
/// a port of another protocol needs a port to probe.
pub(super) fn applies(check: &EndpointCheck, protocol: Protocol) -> bool {
    protocol == Protocol::Tcp || check.port.is_some()
}

fn left<T>(items: Vec<T>, is_left: &[bool]) -> Vec<T> {
    let items = items.into_iter().zip(is_left);
    items
        .filter_map(|(item, left)| left.then_some(item))
        .collect()
}

impl CheckNotes {
    /// Reports endpoints that may not be probed and endpoints that fail.
    pub(super) fn report(
        &self,
        service: &Service,
        policy: Option<&ServicePolicy>,
        origins: &Origins,
        findings: &mut Vec<Finding>,
    ) {
        let Some(check) = policy.and_then(|policy| policy.health_check.as_ref()) else {
            return;
        };
        let field = place(PolicyField::HealthCheck, origins);
        let mut report = |code, problem, consequence: &str| {
            findings.push(Finding {
                code,
                kind: "Service",
                object: service.name.clone(),
                field: field.clone(),
                problem,
                consequence: consequence.to_owned(),
            });
        };
        if let Some(first) = self.outside.first() {
            report(
                Code::EndpointNotChecked,
                format!(
                    "healthChecks.networks of the configuration does not contain {} of the \
                     endpoints, such as {}",
                    self.outside.len(),
                    first.address
                ),
                "they are not probed and count as healthy",
            );
        }
        let consequence = match check.on_failure {
            OnFailure::Quiesce => {
                "it keeps its connections and gets no new ones, unless too many endpoints fail"
            }
            OnFailure::Remove => "it is removed and drains, unless too many endpoints fail",
        };
        for (backend, error) in self.failed.iter().take(MOST_FINDINGS) {
            let Backend { address, port } = *backend;
            let place = std::net::SocketAddr::new(address, port.get());
            let problem = format!("endpoint {place} fails: {error}");
            report(Code::EndpointFailed, problem, consequence);
        }
        if let Some(more) = self.failed.len().checked_sub(MOST_FINDINGS + 1) {
            let problem = format!("{} more endpoints fail", more + 1);
            report(Code::EndpointFailed, problem, "as for the others");
        }
        for ((port, protocol), failed, all) in &self.panics {
            report(
                Code::HealthCheckPanic,
                format!(
                    "{failed} of {all} endpoints of port {port}/{protocol} fail, more than \
                     panicThreshold={}",
                    check.panic_threshold
                ),
                "all of them are used, since the check or the network of this node may be at fault",
            );
        }
    }
}
