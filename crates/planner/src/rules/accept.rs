//! Accepts served packets in INPUT, for the setting `acceptServedTraffic`.

use std::net::Ipv6Addr;

use ipnetwork::{IpNetwork, Ipv6Network};
use ipset::Dimension::Dst;
use ipvs::{AddressFamily, Protocol};
use model::rules::ConnectionState::{Established, Related};
use model::rules::{Match, Rule, Target};
use model::sets::SetKind;

use super::NodePortPlaces;
use super::chains::{TO, Writer, jump, local_address, rule};

/// fe80::/10.
const LINK_LOCAL: Ipv6Network =
    Ipv6Network::new_checked(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)
        .expect("10 is a length");

impl Writer<'_> {
    /// Accepts packets to served addresses in any connection state. IPVS follows INPUT, so INPUT
    /// sees the virtual address in every packet of a connection.
    ///
    /// Source ranges are checked here again. If another program deletes jumps of INPUT and they are
    /// inserted again, this chain may precede KUBE-PROXY-FIREWALL.
    pub(super) fn accept_served(&self, places: &NodePortPlaces) -> Vec<Rule> {
        let mut rules = vec![rule(
            self.about(SetKind::LoadBalancerFw, TO),
            jump("KUBE-SOURCE-RANGES-FIREWALL"),
        )];
        for kind in [
            SetKind::ClusterIp,
            SetKind::LoadBalancer,
            SetKind::ExternalIp,
            SetKind::ExternalIpLocal,
        ] {
            rules.push(rule([self.set(kind, TO)], Target::Accept));
        }
        // Matches answers to the node's own connections, whose source is the virtual address, and
        // ICMP errors about client connections.
        rules.push(rule(
            [
                Match::ConnectionState(vec![Related, Established]),
                self.set(SetKind::IpvsIps, &[Dst]),
            ],
            Target::Accept,
        ));
        rules.extend(self.accept_node_ports(places));
        rules
    }

    /// Accepts packets to node ports at the addresses at which they are served. The sets of TCP and
    /// UDP contain ports only.
    fn accept_node_ports(&self, places: &NodePortPlaces) -> Vec<Rule> {
        let mut unserved = vec![destination(self.loopback())];
        if self.family == AddressFamily::Ipv6 && *places == NodePortPlaces::Everywhere {
            unserved.push(destination(LINK_LOCAL.into()));
        }
        unserved.push(self.set(SetKind::IpvsIps, &[Dst]));
        let mut rules: Vec<Rule> = (unserved.into_iter())
            .map(|place| rule([place], Target::Return))
            .collect();
        let served: Vec<Match> = match places {
            NodePortPlaces::Everywhere => vec![local_address(Dst)],
            NodePortPlaces::Within(networks) => networks.iter().copied().map(destination).collect(),
        };
        for place in served {
            for (protocol, kind) in [
                (Protocol::Tcp, SetKind::NodePortTcp),
                (Protocol::Udp, SetKind::NodePortUdp),
            ] {
                let mut matches = vec![Match::Protocol(protocol), self.set(kind, &[Dst])];
                match &place {
                    Match::Destination { .. } => {
                        matches.insert(0, place.clone());
                        matches.push(local_address(Dst));
                    }
                    _ => matches.push(place.clone()),
                }
                rules.push(rule(matches, Target::Accept));
            }
        }
        let sctp = [
            Match::Protocol(Protocol::Sctp),
            self.set(SetKind::NodePortSctp, TO),
        ];
        rules.push(rule(sctp, Target::Accept));
        rules
    }
}

fn destination(network: IpNetwork) -> Match {
    Match::Destination {
        negated: false,
        network,
    }
}
