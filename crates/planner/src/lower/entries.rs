//! Set entries by which the rules match a frontend, as `syncProxyRules` writes them
//! (pkg/proxy/ipvs/proxier.go, 1.34).

#[cfg(test)]
mod tests;

use ipset::{Entry, Protocol};
use ipvs::AddressFamily;
use model::cluster::TrafficPolicy;
use model::frontend::{Frontend, FrontendKind, HealthCheck, LocalEndpoint, Sources};
use model::sets::SetKind;

/// An entry and the set it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SetEntry {
    /// The set.
    pub(crate) kind: SetKind,
    /// The set's family.
    pub(crate) family: AddressFamily,
    /// The entry.
    pub(crate) entry: Entry,
}

/// Returns the entries that `frontend` needs.
pub(super) fn of(frontend: &Frontend) -> Vec<SetEntry> {
    // Endpoints on other hosts that get packets as they came answer the client itself.
    let unrewritten = frontend.forwarding.is_some();
    let local = frontend.policy == TrafficPolicy::Local || unrewritten;
    // The node's own packets have the virtual address as their source, to which no other host can
    // answer.
    let masquerades_own = frontend.lacks_local || unrewritten;
    let sites = Site {
        frontend,
        entries: Vec::new(),
    };
    match frontend.kind {
        FrontendKind::ClusterIp => sites.address(SetKind::ClusterIp, true),
        FrontendKind::ExternalIp => sites
            .address(SetKind::ExternalIp, !local)
            .address(SetKind::ExternalIpLocal, local)
            .address(SetKind::NoLocalEndpoint, masquerades_own),
        FrontendKind::LoadBalancerIp => sites
            .address(SetKind::LoadBalancer, true)
            .address(SetKind::LoadBalancerLocal, local)
            .address(SetKind::NoLocalEndpoint, masquerades_own)
            .sources(),
        FrontendKind::NodePort => sites.node_port(local),
    }
    .entries
}

/// Returns the entry for an endpoint that connects to itself through a Service.
pub(crate) fn loop_back(endpoint: LocalEndpoint) -> SetEntry {
    let LocalEndpoint { backend, protocol } = endpoint;
    let (address, port) = (backend.address, backend.port.get());
    SetEntry {
        kind: SetKind::LoopBack,
        family: AddressFamily::of(address),
        entry: Entry::IpPortIp(address, number(protocol), port, address),
    }
}

/// Returns the entries for the health-check node port of a Service, one per family.
pub(crate) fn health_check(check: &HealthCheck) -> impl Iterator<Item = SetEntry> {
    check.families.iter().map(|family| SetEntry {
        kind: SetKind::HealthCheckNodePort,
        family: *family,
        entry: Entry::Port(check.port.get()),
    })
}

struct Site<'a> {
    frontend: &'a Frontend,
    entries: Vec<SetEntry>,
}

impl Site<'_> {
    /// Adds an entry `ip,proto:port` if `wanted` is true.
    fn address(self, kind: SetKind, wanted: bool) -> Self {
        let Frontend { address, port, .. } = *self.frontend;
        if wanted {
            let protocol = number(self.frontend.protocol);
            self.add(kind, Entry::IpPort(address, protocol, port.get()))
        } else {
            self
        }
    }

    /// Adds the clients that may connect. A frontend with ranges is always in the first set, even
    /// if no range is valid.
    fn sources(self) -> Self {
        let Sources::Only { ranges, node } = &self.frontend.sources else {
            return self;
        };
        let Frontend { address, port, .. } = *self.frontend;
        let (protocol, port) = (number(self.frontend.protocol), port.get());
        let mut site = self.address(SetKind::LoadBalancerFw, true);
        for range in ranges {
            let entry = Entry::IpPortNet(address, protocol, port, *range);
            site = site.add(SetKind::LoadBalancerSourceCidr, entry);
        }
        if *node {
            // A packet of the node itself also has the virtual address as its source.
            let entry = Entry::IpPortIp(address, protocol, port, address);
            site = site.add(SetKind::LoadBalancerSourceIp, entry);
        }
        site
    }

    fn node_port(self, local: bool) -> Self {
        let port = Entry::Port(self.frontend.port.get());
        let plain = |site: Self, every, of_local| {
            let site = site.add(every, port);
            if local {
                site.add(of_local, port)
            } else {
                site
            }
        };
        match self.frontend.protocol {
            ipvs::Protocol::Tcp => plain(self, SetKind::NodePortTcp, SetKind::NodePortLocalTcp),
            ipvs::Protocol::Udp => plain(self, SetKind::NodePortUdp, SetKind::NodePortLocalUdp),
            _ => self
                .address(SetKind::NodePortSctp, true)
                .address(SetKind::NodePortLocalSctp, local),
        }
    }

    fn add(mut self, kind: SetKind, entry: Entry) -> Self {
        self.entries.push(SetEntry {
            kind,
            family: AddressFamily::of(self.frontend.address),
            entry,
        });
        self
    }
}

fn number(protocol: ipvs::Protocol) -> Protocol {
    Protocol(protocol.number())
}
