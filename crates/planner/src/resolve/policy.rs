//! Traffic policies, and findings about policies without endpoints on a node.

use std::collections::BTreeSet;

use ipvs::AddressFamily;
use model::cluster::{PolicyScope, Service, ServiceKind, TrafficPolicy};
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;
use model::tables::WithoutLocal;

/// Returns the traffic policy for an address of this kind.
pub(super) fn of(service: &Service, kind: FrontendKind) -> TrafficPolicy {
    match kind {
        FrontendKind::ClusterIp => service.internal_policy,
        FrontendKind::ExternalIp | FrontendKind::LoadBalancerIp | FrontendKind::NodePort => {
            external(service)
        }
    }
}

/// Returns the externalTrafficPolicy of a Service. It has no effect for a Service of type ClusterIP
/// without external addresses (`ExternalPolicyLocal`, k/k pkg/apis/core/v1/helper, Kubernetes
/// 1.30).
pub(super) fn external(service: &Service) -> TrafficPolicy {
    match service.kind {
        ServiceKind::LoadBalancer | ServiceKind::NodePort => service.external_policy,
        _ if !service.external_ips.is_empty() => service.external_policy,
        _ => TrafficPolicy::Cluster,
    }
}

/// Policies `Local` of a Service without an endpoint on this node, though endpoints exist
/// elsewhere.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) without_local: WithoutLocal,
}

impl Policies {
    /// Records an address of this kind and family that lacks local endpoints.
    pub(super) fn note(&mut self, kind: FrontendKind, family: AddressFamily, lacks_local: bool) {
        if lacks_local {
            let scope = match kind {
                FrontendKind::ClusterIp => PolicyScope::Internal,
                _ => PolicyScope::External,
            };
            self.without_local.insert((family, scope));
        }
    }

    /// Adds a finding for each such policy.
    pub(super) fn report(&self, service: &Service, findings: &mut Vec<Finding>) {
        let scopes: BTreeSet<_> = self.without_local.iter().map(|(_, scope)| *scope).collect();
        for scope in scopes {
            let consequence = match scope {
                PolicyScope::Internal => {
                    "its cluster IPs have no endpoints here, unless it is reached from outside too"
                }
                PolicyScope::External => "connections from outside get no answer at this node",
            };
            findings.push(Finding {
                code: Code::NoLocalEndpoints,
                kind: "Service",
                object: service.name.clone(),
                field: scope.field().to_owned(),
                problem: "it is Local, and no endpoint is on this node".to_owned(),
                consequence: consequence.to_owned(),
            });
        }
    }
}
