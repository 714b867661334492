//! Chooses the endpoints of one Service port.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointSlice, Service, TrafficPolicy};
use model::config::ServiceLimits;
use model::frontend::{Backend, LocalEndpoint};
use model::names::Name;

use super::ports::UsablePort;
use super::slices::usable_address;

/// Returns an upper bound of the number of endpoints that serve `port` in `family`, without reading
/// each of them.
pub(super) fn offered(slices: &[EndpointSlice], port: &UsablePort, family: AddressFamily) -> usize {
    (slices.iter())
        .filter(|slice| slice.family == Some(family))
        .map(|slice| slice.endpoints.len() * numbers(slice, port).count())
        .sum()
}

/// Returns the numbers that `port` has at the endpoints of `slice`.
pub(super) fn numbers(
    slice: &EndpointSlice,
    port: &UsablePort,
) -> impl Iterator<Item = NonZeroU16> {
    (slice.ports.iter())
        .filter(|offered| offered.name.as_ref() == Some(&port.name))
        .filter(|offered| offered.protocol.as_result() == Ok(&port.protocol))
        .filter_map(|offered| offered.port)
}

/// All endpoints that could serve one Service port in one family.
pub(super) struct Candidates<'a> {
    endpoints: BTreeMap<Backend, Candidate<'a>>,
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    local: bool,
}

impl Candidate<'_> {
    /// Returns the rank among the entries of one address and port. The entry with the greatest rank
    /// is used.
    ///
    /// An address has two entries in two cases:
    /// - Its endpoint moves from one slice to another.
    /// - A pod took the address over from a terminating pod, which may be on another node
    ///   (k/k#135266).
    ///
    /// Readiness decides first. Among equals, an entry on this node precedes others. The content of
    /// the endpoint decides the rest, so that the order of slices does not matter.
    fn rank(&self) -> (bool, bool, bool, &Endpoint) {
        let Endpoint {
            ready, terminating, ..
        } = *self.endpoint;
        (ready, !terminating, self.local, self.endpoint)
    }

    /// Returns true if the endpoint terminates and still serves, so that it is used if no endpoint
    /// is ready (KEP-1669).
    fn is_last_resort(&self) -> bool {
        self.endpoint.serving && self.endpoint.terminating
    }
}

impl<'a> Candidates<'a> {
    /// Collects the endpoints of all `slices` of this family that serve `port`. Each address and
    /// port is kept once, by [`Candidate::rank`].
    pub(super) fn gather(
        slices: &'a [EndpointSlice],
        port: &UsablePort,
        family: AddressFamily,
        node: &Name,
    ) -> Self {
        let mut endpoints: BTreeMap<Backend, Candidate<'a>> = BTreeMap::new();
        for slice in slices.iter().filter(|slice| slice.family == Some(family)) {
            let numbers: Vec<_> = numbers(slice, port).collect();
            for endpoint in &slice.endpoints {
                let Ok(address) = usable_address(endpoint, family) else {
                    continue;
                };
                let local = !node.is_empty() && endpoint.node.as_ref() == Some(node);
                for &port in &numbers {
                    let candidate = Candidate { endpoint, local };
                    endpoints
                        .entry(Backend { address, port })
                        .and_modify(|known| {
                            if candidate.rank() > known.rank() {
                                *known = candidate;
                            }
                        })
                        .or_insert(candidate);
                }
            }
        }
        Self { endpoints }
    }

    /// Returns the endpoints on this node, in any condition.
    pub(super) fn local(&self, protocol: Protocol) -> impl Iterator<Item = LocalEndpoint> {
        let local = (self.endpoints.iter()).filter(|(_, candidate)| candidate.local);
        local.map(move |(backend, _)| LocalEndpoint {
            backend: *backend,
            protocol,
        })
    }

    /// Returns the addresses of ready endpoints on this node.
    pub(super) fn local_ready(&self) -> impl Iterator<Item = IpAddr> {
        (self.endpoints.iter())
            .filter(|(_, candidate)| candidate.local && candidate.endpoint.ready)
            .map(|(backend, _)| backend.address)
    }

    /// Returns the endpoints of a UDP port that terminate and still serve, at most as many as one
    /// Service may have real servers.
    ///
    /// Other protocols need no list: a TCP real server drains whatever its endpoint does, and an
    /// SCTP real server never drains.
    pub(super) fn finishing(&self, protocol: Protocol, limits: ServiceLimits) -> Arc<[Backend]> {
        if protocol != Protocol::Udp {
            return Arc::default();
        }
        (self.endpoints.iter())
            .filter(|(_, candidate)| candidate.is_last_resort())
            .map(|(backend, _)| *backend)
            .take(limits.real_servers)
            .collect()
    }

    /// Chooses the endpoints for each policy: the ready ones, or else those that terminate and
    /// still serve.
    ///
    /// `external` is true if the port is also reached from outside the cluster. Only then does a
    /// Service with internalTrafficPolicy Local use endpoints of other nodes, as
    /// `CategorizeEndpoints` does (pkg/proxy/topology.go, 1.34).
    pub(super) fn choose(
        &self,
        service: &Service,
        external: bool,
        node: &Name,
        zone: Option<&Name>,
    ) -> Choice {
        let uses_cluster = service.internal_policy == TrafficPolicy::Cluster || external;
        let cluster = if uses_cluster {
            let topology = self.topology(node, zone);
            self.pick(|candidate| topology.admits(candidate))
        } else {
            Vec::new()
        };
        Choice {
            cluster,
            local: self.pick(|candidate| candidate.local),
            anywhere: (self.endpoints.values())
                .any(|candidate| candidate.endpoint.ready || candidate.is_last_resort()),
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

    /// Returns the topology constraint. Hints apply only if every ready endpoint has them and one
    /// of them names this node or its zone. Otherwise they were computed for another state of the
    /// cluster (KEP-2433, KEP-3015).
    fn topology<'n>(&self, node: &'n Name, zone: Option<&'n Name>) -> Topology<'n> {
        let ready = || {
            (self.endpoints.values())
                .map(|candidate| candidate.endpoint)
                .filter(|endpoint| endpoint.ready)
        };
        let covers = |hints: fn(&Endpoint) -> &[Name], name: &Name| {
            ready().all(|endpoint| !hints(endpoint).is_empty())
                && ready().any(|endpoint| hints(endpoint).contains(name))
        };
        match zone {
            _ if covers(|endpoint| &endpoint.node_hints, node) => Topology::SameNode(node),
            Some(zone) if covers(|endpoint| &endpoint.zone_hints, zone) => Topology::SameZone(zone),
            _ => Topology::Anywhere,
        }
    }
}

/// Endpoints chosen for one Service port in one family.
pub(super) struct Choice {
    /// Endpoints of the whole cluster, or the nearest ones if the control plane set hints.
    cluster: Vec<Backend>,
    /// Endpoints of this node.
    local: Vec<Backend>,
    /// True if any usable endpoint exists.
    pub(super) anywhere: bool,
}

impl Choice {
    /// Returns the endpoints for `policy`, and true if the policy is `Local` and no endpoint is on
    /// this node.
    ///
    /// In that case the endpoints of the cluster are used. Pods and the node itself reach them, but
    /// answers to a client outside the cluster are lost, as the policy demands (k/k#97081).
    pub(super) fn backends(&self, policy: TrafficPolicy) -> (&[Backend], bool) {
        match policy {
            TrafficPolicy::Cluster => (&self.cluster, false),
            TrafficPolicy::Local if self.local.is_empty() => (&self.cluster, true),
            TrafficPolicy::Local => (&self.local, false),
        }
    }
}

#[derive(Clone, Copy)]
enum Topology<'a> {
    Anywhere,
    SameNode(&'a Name),
    SameZone(&'a Name),
}

impl Topology<'_> {
    fn admits(self, candidate: &Candidate<'_>) -> bool {
        match self {
            Self::Anywhere => true,
            Self::SameNode(node) => candidate.endpoint.node_hints.contains(node),
            Self::SameZone(zone) => candidate.endpoint.zone_hints.contains(zone),
        }
    }
}
