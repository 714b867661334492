//! Chooses the endpoints of one Service port.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipvs::{AddressFamily, Protocol};
use model::cluster::{Endpoint, EndpointSlice, Service, TrafficPolicy};
use model::config::ServiceLimits;
use model::frontend::{Backend, LocalEndpoint};
use model::names::Name;
use model::policy::{MAX_WEIGHT, Place, ServicePolicy};

use super::ports::UsablePort;
use super::slices::usable_address;
use crate::explain::{EndpointExplanation, EndpointVerdict};

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

/// All endpoints that could serve one Service port in one family, ordered by address and port.
pub(super) struct Candidates<'a> {
    endpoints: Vec<(Backend, Candidate<'a>)>,
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    slice: &'a EndpointSlice,
    endpoint: &'a Endpoint,
    local: bool,
}

impl<'a> Candidate<'a> {
    fn new(slice: &'a EndpointSlice, endpoint: &'a Endpoint, node: &Name) -> Self {
        Self {
            slice,
            endpoint,
            local: !node.is_empty() && endpoint.node.as_ref() == Some(node),
        }
    }

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
    fn rank(&self) -> (bool, bool, bool, &'a Endpoint) {
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

    fn explain(
        &self,
        port: Option<NonZeroU16>,
        internal: EndpointVerdict,
        external: Option<EndpointVerdict>,
    ) -> EndpointExplanation {
        EndpointExplanation {
            slice: self.slice.name.clone(),
            address: self.endpoint.address.clone(),
            port,
            node: self.endpoint.node.clone(),
            local: self.local,
            internal,
            external,
        }
    }
}

impl<'a> Candidates<'a> {
    /// Collects the endpoints of all `slices` of this family that serve `port`. Each address and
    /// port is kept once, by [`Candidate::rank`]. Passes all other endpoints of these slices to
    /// `skips`.
    pub(super) fn gather(
        slices: &'a [EndpointSlice],
        port: &UsablePort,
        family: AddressFamily,
        node: &Name,
        skips: &mut Skips,
    ) -> Self {
        let mut endpoints = Vec::with_capacity(offered(slices, port, family));
        for slice in slices.iter().filter(|slice| slice.family == Some(family)) {
            let numbers: Vec<_> = numbers(slice, port).collect();
            for endpoint in &slice.endpoints {
                let candidate = Candidate::new(slice, endpoint, node);
                match usable_address(endpoint, family) {
                    Ok(_) if numbers.is_empty() => {
                        skips.add(candidate, None, || EndpointVerdict::PortNotOffered);
                    }
                    Ok(address) => {
                        let backends = numbers.iter().map(|&port| Backend { address, port });
                        endpoints.extend(backends.map(|backend| (backend, candidate)));
                    }
                    Err(problem) => skips.add(candidate, None, || {
                        EndpointVerdict::UnusableAddress(problem.to_string())
                    }),
                }
            }
        }
        // Of equal entries, the one of the first slice is used, since the sort is stable.
        endpoints.sort_by(|(backend, candidate), (other, rival)| {
            (backend.cmp(other)).then_with(|| rival.rank().cmp(&candidate.rank()))
        });
        endpoints.dedup_by(|(backend, loser), (other, winner)| {
            let is_duplicate = backend == other;
            if is_duplicate {
                skips.add(*loser, Some(backend.port), || {
                    EndpointVerdict::Duplicate(winner.slice.name.clone())
                });
            }
            is_duplicate
        });
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

    /// Returns true if `backend` is an endpoint on this node.
    pub(super) fn is_local(&self, backend: &Backend) -> bool {
        let index = (self.endpoints).binary_search_by_key(backend, |(backend, _)| *backend);
        index.is_ok_and(|index| self.endpoints[index].1.local)
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
    pub(super) fn choose<'n>(
        &self,
        service: &Service,
        external: bool,
        node: &'n Name,
        zone: Option<&'n Name>,
    ) -> Choice<'n> {
        let uses_cluster = service.internal_policy == TrafficPolicy::Cluster || external;
        let topology = uses_cluster.then(|| self.topology(node, zone));
        Choice {
            cluster: topology.map_or_else(Vec::new, |reach| self.pick(reach)),
            local: self.pick(Reach::ThisNode),
            topology,
            anywhere: (self.endpoints.iter())
                .any(|(_, candidate)| candidate.endpoint.ready || candidate.is_last_resort()),
        }
    }

    fn pick(&self, reach: Reach<'_>) -> Vec<Backend> {
        let any_ready = self.any_ready(reach);
        (self.endpoints.iter())
            .filter(|(_, candidate)| reach.judge(candidate, any_ready).is_chosen())
            .map(|(backend, _)| *backend)
            .collect()
    }

    /// Returns true if a ready endpoint is within `reach`.
    fn any_ready(&self, reach: Reach<'_>) -> bool {
        (self.endpoints.iter())
            .any(|(_, candidate)| candidate.endpoint.ready && reach.admits(candidate))
    }

    /// Returns a verdict about each endpoint, for traffic with each of the two policies. Without an
    /// external policy the verdict about external traffic is `None`.
    pub(super) fn explain(
        &self,
        choice: &Choice<'_>,
        internal: TrafficPolicy,
        external: Option<TrafficPolicy>,
    ) -> Vec<EndpointExplanation> {
        let with_ready = |policy| {
            let reach = choice.reach(policy);
            (reach, self.any_ready(reach))
        };
        let (internal, external) = (with_ready(internal), external.map(with_ready));
        (self.endpoints.iter())
            .map(|(backend, candidate)| {
                let judge =
                    |(reach, any_ready): (Reach<'_>, bool)| reach.judge(candidate, any_ready);
                let port = Some(backend.port);
                candidate.explain(port, judge(internal), external.map(judge))
            })
            .collect()
    }

    /// Returns the weights of `backends` by `policy`; `None` if every weight is 1.
    ///
    /// Locality prefers endpoints and excludes none: if it would leave every endpoint with weight 0,
    /// it does not apply. With slow start all weights have its [factor](ServicePolicy::weight_scale).
    pub(super) fn weights(
        &self,
        backends: &[Backend],
        policy: &ServicePolicy,
        node: &Name,
        zone: Option<&Name>,
        scheduler: &str,
    ) -> Option<Vec<u32>> {
        let scale = policy.weight_scale(scheduler);
        if policy.weights.is_none() && policy.locality.is_none() {
            return (scale > 1).then(|| vec![scale; backends.len()]);
        }
        let places = backends.iter().map(|backend| {
            let index = (self.endpoints).binary_search_by_key(backend, |(backend, _)| *backend);
            let endpoint = index.ok().map(|index| self.endpoints[index].1.endpoint);
            Place {
                address: backend.address,
                node: endpoint.and_then(|endpoint| endpoint.node.as_ref()),
                zone: endpoint.and_then(|endpoint| endpoint.zone.as_ref()),
            }
        });
        let pairs: Vec<(u32, u32)> = places
            .map(|place| {
                let weight = policy
                    .weights
                    .as_ref()
                    .map_or(1, |weights| weights.of(&place));
                let factor = policy
                    .locality
                    .map_or(1, |locality| locality.of(&place, node, zone));
                (weight, factor)
            })
            .collect();
        let applies = pairs.iter().any(|(weight, factor)| weight * factor > 0);
        let weight = |(weight, factor)| if applies { weight * factor } else { weight };
        let weights: Vec<u32> = pairs.into_iter().map(weight).collect();
        let mut weights = reduced(weights, scheduler == "sh");
        weights.iter_mut().for_each(|weight| *weight *= scale);
        Some(weights)
    }

    /// Returns the topology constraint. Hints apply only if every ready endpoint has them and one
    /// of them names this node or its zone. Otherwise they were computed for another state of the
    /// cluster (KEP-2433, KEP-3015).
    fn topology<'n>(&self, node: &'n Name, zone: Option<&'n Name>) -> Reach<'n> {
        let ready = || {
            (self.endpoints.iter())
                .map(|(_, candidate)| candidate.endpoint)
                .filter(|endpoint| endpoint.ready)
        };
        let covers = |hints: fn(&Endpoint) -> &[Name], name: &Name| {
            ready().all(|endpoint| !hints(endpoint).is_empty())
                && ready().any(|endpoint| hints(endpoint).contains(name))
        };
        match zone {
            _ if covers(|endpoint| &endpoint.node_hints, node) => Reach::NodeHint(node),
            Some(zone) if covers(|endpoint| &endpoint.zone_hints, zone) => Reach::ZoneHint(zone),
            _ => Reach::Cluster,
        }
    }
}

/// Number of buckets of scheduler `sh` (`IP_VS_SH_TAB_SIZE`, net/netfilter/ipvs/ip_vs_sh.c, Linux
/// 6.12).
const SH_BUCKETS: u64 = 256;

/// Reduces weights in proportion to at most [`MAX_WEIGHT`], and none above 0 to 0.
///
/// Scheduler `sh` gives each endpoint as many buckets as its weight, one endpoint after the other,
/// until no bucket is left (`ip_vs_sh_reassign`). So the sum of `hashed` weights is at most the
/// number of buckets, if there are not more endpoints.
fn reduced(weights: Vec<u32>, hashed: bool) -> Vec<u32> {
    let greatest = weights.iter().copied().max().unwrap_or(0);
    // An endpoint of weight 0 has a bucket too.
    let buckets: u64 = weights
        .iter()
        .map(|weight| u64::from((*weight).max(1)))
        .sum();
    let endpoints = weights.len() as u64;
    let reduce = |weight: u32| {
        let Some(above) = weight.checked_sub(1) else {
            return 0;
        };
        if hashed && buckets > SH_BUCKETS {
            // Every endpoint has one bucket; they share the others.
            let others = SH_BUCKETS.saturating_sub(endpoints);
            let share = u64::from(above) * others / (buckets - endpoints).max(1);
            return 1 + u32::try_from(share).unwrap_or(u32::MAX);
        }
        match greatest > MAX_WEIGHT {
            true => (weight * MAX_WEIGHT / greatest).max(1),
            false => weight,
        }
    };
    weights.into_iter().map(reduce).collect()
}

/// Endpoints chosen for one Service port in one family.
pub(super) struct Choice<'n> {
    /// Endpoints of the whole cluster, or the nearest ones if the control plane set hints.
    cluster: Vec<Backend>,
    /// Endpoints of this node.
    local: Vec<Backend>,
    /// Reach of `cluster`; `None` if no traffic uses endpoints of other nodes.
    topology: Option<Reach<'n>>,
    /// True if any usable endpoint exists.
    pub(super) anywhere: bool,
}

impl<'n> Choice<'n> {
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

    /// Returns the reach by which [`Self::backends`] were chosen.
    fn reach(&self, policy: TrafficPolicy) -> Reach<'n> {
        match (policy, self.topology) {
            (TrafficPolicy::Local, _) if !self.local.is_empty() => Reach::ThisNode,
            (_, Some(topology)) => topology,
            (_, None) => Reach::ThisNode,
        }
    }
}

/// Part of the cluster whose endpoints may be used.
#[derive(Clone, Copy)]
enum Reach<'a> {
    Cluster,
    /// Endpoints with a hint for this node.
    NodeHint(&'a Name),
    /// Endpoints with a hint for this zone.
    ZoneHint(&'a Name),
    /// Endpoints on this node.
    ThisNode,
}

impl Reach<'_> {
    fn admits(self, candidate: &Candidate<'_>) -> bool {
        match self {
            Self::Cluster => true,
            Self::NodeHint(node) => candidate.endpoint.node_hints.contains(node),
            Self::ZoneHint(zone) => candidate.endpoint.zone_hints.contains(zone),
            Self::ThisNode => candidate.local,
        }
    }

    /// Decides whether `candidate` is used. This is the only place that decides it.
    ///
    /// `any_ready` is true if a ready endpoint is within reach. Then only ready ones are used.
    ///
    /// It is inlined, so that a caller that does not read the reason does not create it either.
    #[inline(always)]
    fn judge(self, candidate: &Candidate<'_>, any_ready: bool) -> EndpointVerdict {
        let Endpoint {
            ready, terminating, ..
        } = *candidate.endpoint;
        if !ready && !candidate.is_last_resort() {
            return match terminating {
                true => EndpointVerdict::Stopped,
                false => EndpointVerdict::NotReady,
            };
        }
        if !self.admits(candidate) {
            return match self {
                Self::NodeHint(_) => EndpointVerdict::HintOfOtherNode,
                Self::ZoneHint(_) => EndpointVerdict::HintOfOtherZone,
                Self::Cluster | Self::ThisNode => EndpointVerdict::NotOnThisNode,
            };
        }
        match (ready, any_ready) {
            (true, _) => EndpointVerdict::Ready,
            (false, true) => EndpointVerdict::Terminating,
            (false, false) => EndpointVerdict::LastResort,
        }
    }
}

/// Endpoints that cannot serve a port. They are kept only for an explanation.
#[derive(Default)]
pub(super) struct Skips(Option<Vec<EndpointExplanation>>);

impl Skips {
    /// Returns skips that keep the endpoints.
    pub(super) fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    fn add(
        &mut self,
        candidate: Candidate<'_>,
        port: Option<NonZeroU16>,
        verdict: impl FnOnce() -> EndpointVerdict,
    ) {
        if let Self(Some(kept)) = self {
            kept.push(candidate.explain(port, verdict(), None));
        }
    }

    /// Returns the endpoints; `None` if they were not kept.
    pub(super) fn into_kept(self) -> Option<Vec<EndpointExplanation>> {
        self.0
    }
}

/// Returns an explanation of the endpoints of `slice`, whose address type the Service has no
/// address of.
pub(super) fn of_other_family(
    slice: &EndpointSlice,
    node: &Name,
) -> impl Iterator<Item = EndpointExplanation> {
    (slice.endpoints.iter()).map(|endpoint| {
        let candidate = Candidate::new(slice, endpoint, node);
        candidate.explain(None, EndpointVerdict::OtherFamily, None)
    })
}
