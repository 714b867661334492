//! Traffic policies, and what to say where they leave a node without endpoints.

use std::collections::BTreeSet;

use model::cluster::{Service, ServiceKind, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;

/// The policy of traffic to an address of this kind.
pub(super) fn of(service: &Service, kind: FrontendKind) -> TrafficPolicy {
    match kind {
        FrontendKind::ClusterIp => service.internal_policy,
        FrontendKind::ExternalIp | FrontendKind::LoadBalancerIp | FrontendKind::NodePort => {
            external(service)
        }
    }
}

/// externalTrafficPolicy means nothing for a Service of type ClusterIP, unless it has external addresses
/// (`ExternalPolicyLocal`, k/k pkg/apis/core/v1/helper, Kubernetes 1.30).
pub(super) fn external(service: &Service) -> TrafficPolicy {
    match service.kind {
        ServiceKind::LoadBalancer | ServiceKind::NodePort => service.external_policy,
        _ if !service.external_ips.is_empty() => service.external_policy,
        _ => TrafficPolicy::Cluster,
    }
}

/// The policies of a Service that found no endpoint on this node though there are some elsewhere.
#[derive(Debug, Default)]
pub(super) struct Policies {
    without_local: BTreeSet<&'static str>,
}

impl Policies {
    /// Notes whether an address of this kind lacks local endpoints.
    pub(super) fn note(&mut self, kind: FrontendKind, lacks_local: bool) {
        if lacks_local {
            self.without_local.insert(match kind {
                FrontendKind::ClusterIp => "spec.internalTrafficPolicy",
                _ => "spec.externalTrafficPolicy",
            });
        }
    }

    /// Says so, once for each policy.
    pub(super) fn report(&self, service: &Service, findings: &mut Vec<Finding>) {
        for field in &self.without_local {
            let consequence = match *field {
                "spec.internalTrafficPolicy" => {
                    "its cluster IPs have no endpoints here, unless it is reached from outside too"
                }
                _ => "connections from outside get no answer at this node",
            };
            findings.push(Finding {
                code: Code::NoLocalEndpoints,
                kind: "Service",
                object: service.name.clone(),
                field: (*field).to_owned(),
                problem: "it is Local, and no endpoint is on this node".to_owned(),
                consequence: consequence.to_owned(),
            });
        }
    }
}
