//! Addresses and ports at which a Service is not served because the node itself needs them
//! (deviation D22) or because the Service exceeds a limit.

use std::collections::{BTreeMap, BTreeSet};

use model::cluster::Service;
use model::finding::{Code, Finding};
use model::frontend::FrontendKind;

use super::Site;
use super::ports::UsablePort;
use crate::node_context::NodeContext;
use crate::protected::NodeResource;

/// The refusals of one Service.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    unserved: BTreeSet<NodeResource>,
    /// Fields with refused ports, with the port and the program of the node that needs it.
    ports: BTreeMap<String, (u16, &'static str)>,
}

impl Refusals {
    /// Returns true and records the refusal if the node itself needs the port of `site` at this
    /// address.
    pub(super) fn refuse(&mut self, site: &Site, port: &UsablePort, node: &NodeContext) -> bool {
        let number = site.port.get();
        let Some(user) = node.protected.ports.get(&number) else {
            return false;
        };
        if !node.is_own(site.address) {
            return false;
        }
        self.note(site);
        let field = match site.kind {
            FrontendKind::NodePort => "nodePort",
            FrontendKind::ClusterIp | FrontendKind::ExternalIp | FrontendKind::LoadBalancerIp => {
                "port"
            }
        };
        let field = format!("spec.ports[{}].{field}", port.index);
        self.ports.insert(field, (number, user));
        true
    }

    /// Records that `site` is not served.
    pub(super) fn note(&mut self, site: &Site) {
        self.unserved.extend([
            NodeResource::Port(site.port.get()),
            NodeResource::Address(site.address),
        ]);
    }

    /// Adds a finding for each field with a refused port, and returns the addresses and ports that
    /// are not served.
    pub(super) fn report(
        self,
        service: &Service,
        findings: &mut Vec<Finding>,
    ) -> BTreeSet<NodeResource> {
        findings.extend(
            (self.ports.into_iter()).map(|(field, (number, user))| Finding {
                code: Code::HostPort,
                kind: "Service",
                object: service.name.clone(),
                field,
                problem: taken(number, user),
                consequence: "it is not served there; choose another port".to_owned(),
            }),
        );
        self.unserved
    }
}

/// Describes the problem of a requested port that the node needs.
pub(super) fn taken(port: u16, user: &str) -> String {
    format!("port {port} at this node's addresses belongs to {user}")
}
