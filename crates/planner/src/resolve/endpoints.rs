//! The choice of endpoints for one Service port.

use std::collections::BTreeMap;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointSlice};
use model::frontend::Backend;
use model::names::Name;

use super::NodeView;
use super::slices::usable_address;

/// Which endpoints a frontend may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// All, nearest first where the control plane gave hints.
    Cluster,
    /// Those on this node and no others.
    LocalOnly,
}

/// Every endpoint that could serve one Service port in one family.
pub(super) struct Candidates<'a> {
    endpoints: BTreeMap<Backend, Candidate<'a>>,
}

struct Candidate<'a> {
    endpoint: &'a Endpoint,
    local: bool,
}

impl Candidate<'_> {
    /// Takes connections although it is going away: better than none (KEP-1669).
    fn is_last_resort(&self) -> bool {
        self.endpoint.serving && self.endpoint.terminating
    }
}

impl<'a> Candidates<'a> {
    /// Endpoints of all `slices` of this family that serve `port`. Where two entries name the same
    /// address and port, one on this node is preferred.
    pub(super) fn gather(
        slices: &[&'a EndpointSlice],
        port: &Name,
        protocol: Protocol,
        family: AddressFamily,
        node: &NodeView,
    ) -> Self {
        let mut endpoints: BTreeMap<Backend, Candidate<'a>> = BTreeMap::new();
        for slice in slices.iter().filter(|slice| slice.family == Some(family)) {
            let numbers: Vec<_> = (slice.ports.iter())
                .filter(|offered| offered.name.as_ref() == Some(port))
                .filter(|offered| offered.protocol.as_result() == Ok(&protocol))
                .filter_map(|offered| offered.port)
                .collect();
            for endpoint in &slice.endpoints {
                let Ok(address) = usable_address(endpoint, family) else {
                    continue;
                };
                let local = endpoint.node.as_ref() == Some(&node.name);
                for &port in &numbers {
                    let candidate = Candidate { endpoint, local };
                    endpoints
                        .entry(Backend { address, port })
                        .and_modify(|known| {
                            // Equal claims to locality are settled by content, so that the order
                            // of slices does not matter.
                            let ours = (candidate.local, candidate.endpoint);
                            if ours > (known.local, known.endpoint) {
                                *known = Candidate { endpoint, local };
                            }
                        })
                        .or_insert(candidate);
                }
            }
        }
        Self { endpoints }
    }

    /// The endpoints to use: ready ones, else those that still serve while terminating.
    pub(super) fn choose(&self, policy: Policy, node: &NodeView) -> Vec<Backend> {
        match policy {
            Policy::Cluster => {
                let topology = self.topology(node);
                self.pick(|candidate| topology.admits(candidate, node))
            }
            Policy::LocalOnly => self.pick(|candidate| candidate.local),
        }
    }

    fn pick(&self, admits: impl Fn(&Candidate<'_>) -> bool) -> Vec<Backend> {
        let pass = |wanted: &dyn Fn(&Candidate<'_>) -> bool| -> Vec<Backend> {
            self.endpoints
                .iter()
                .filter(|(_, candidate)| wanted(candidate))
                .map(|(backend, _)| *backend)
                .collect()
        };
        let ready = pass(&|candidate| candidate.endpoint.ready && admits(candidate));
        if !ready.is_empty() {
            return ready;
        }
        pass(&|candidate| candidate.is_last_resort() && admits(candidate))
    }

    /// Hints count only where every ready endpoint has them and one of them names this node or its
    /// zone: otherwise they were made for another state of the cluster (KEP-2433, KEP-3015).
    fn topology(&self, node: &NodeView) -> Topology {
        let ready = || {
            self.endpoints
                .values()
                .map(|candidate| candidate.endpoint)
                .filter(|endpoint| endpoint.ready)
        };
        if ready().next().is_none() {
            return Topology::Anywhere;
        }
        if ready().all(|endpoint| !endpoint.node_hints.is_empty())
            && ready().any(|endpoint| endpoint.node_hints.contains(&node.name))
        {
            return Topology::SameNode;
        }
        let Some(zone) = &node.zone else {
            return Topology::Anywhere;
        };
        if ready().all(|endpoint| !endpoint.zone_hints.is_empty())
            && ready().any(|endpoint| endpoint.zone_hints.contains(zone))
        {
            return Topology::SameZone;
        }
        Topology::Anywhere
    }
}

#[derive(Clone, Copy)]
enum Topology {
    Anywhere,
    SameNode,
    SameZone,
}

impl Topology {
    fn admits(self, candidate: &Candidate<'_>, node: &NodeView) -> bool {
        match self {
            Self::Anywhere => true,
            Self::SameNode => candidate.endpoint.node_hints.contains(&node.name),
            Self::SameZone => (node.zone.as_ref())
                .is_some_and(|zone| candidate.endpoint.zone_hints.contains(zone)),
        }
    }
}
