//! Rules of each of our chains.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network};
use ipset::Dimension::{self, Dst, Src};
use ipvs::{AddressFamily, Protocol};
use model::config::Masquerade;
use model::rules::ConnectionState::{Established, New, Related};
use model::rules::Table::{self, Filter, Nat};
use model::rules::{Match, Rule, Target};
use model::sets::SetKind;

use super::comments::about;
use super::{LocalTraffic, NodePortPlaces};

/// Dimensions that match the destination of a packet: address and port.
pub(super) const TO: &[Dimension] = &[Dst, Dst];

/// 127.0.0.0/8.
const LOOPBACK: Ipv4Network =
    Ipv4Network::new_checked(Ipv4Addr::new(127, 0, 0, 0), 8).expect("8 is a length");

pub(super) struct Writer<'a> {
    pub(super) family: AddressFamily,
    pub(super) masquerade: Masquerade,
    pub(super) local: &'a LocalTraffic,
    /// Addresses at which served packets are accepted in INPUT, if the configuration asks for it.
    pub(super) accepted: Option<&'a NodePortPlaces>,
}

impl Writer<'_> {
    /// Returns all our chains.
    pub(super) fn chains(&self) -> [(Table, &'static str, Vec<Rule>); 11] {
        [
            (Nat, "KUBE-SERVICES", self.services()),
            (Nat, "KUBE-LOAD-BALANCER", self.load_balancer()),
            (Nat, "KUBE-NODE-PORT", self.node_port()),
            (Nat, "KUBE-MARK-MASQ", self.mark_masq()),
            (Nat, "KUBE-POSTROUTING", self.postrouting()),
            (Filter, "KUBE-IPVS-FILTER", self.ipvs_filter()),
            (Filter, "KUBE-PROXY-FIREWALL", self.proxy_firewall()),
            (Filter, "KUBE-SOURCE-RANGES-FIREWALL", self.source_ranges()),
            (Filter, "KUBE-NODE-PORT", self.accepted_input()),
            (Filter, "KUBE-FORWARD", self.forward()),
            (Filter, "KUBE-IPVS-OUT-FILTER", self.ipvs_out_filter()),
        ]
    }

    /// KUBE-SERVICES: handles the first packet of each connection to a Service.
    fn services(&self) -> Vec<Rule> {
        let masq = || jump("KUBE-MARK-MASQ");
        let external = self.about(SetKind::ExternalIp, TO);
        let external_local = self.about(SetKind::ExternalIpLocal, TO);
        let mut rules = vec![
            rule([source(self.loopback())], Target::Return),
            // Deviation D12: no endpoint on this node can answer a connection of the node itself,
            // and endpoints of other nodes would answer by another path.
            rule(
                [self.set(SetKind::NoLocalEndpoint, TO), local_address(Src)],
                masq(),
            ),
            rule(
                self.about(SetKind::LoadBalancer, TO),
                jump("KUBE-LOAD-BALANCER"),
            ),
            rule(self.elsewhere_to_cluster_ip(), masq()),
            rule(external.clone(), masq()),
        ];
        rules.extend(accept_from_outside(&external));
        rules.extend(accept_from_outside(&external_local));
        // Bypasses later rules of other programs, such as host ports (k/k#62718). Deviation D24:
        // these rules precede the node ports, whose sets contain no addresses. The address and port
        // of a Service are not a node port of another Service (k/k#132068).
        for kind in [SetKind::ClusterIp, SetKind::LoadBalancer] {
            rules.push(rule([self.set(kind, TO)], Target::Accept));
        }
        rules.push(rule([local_address(Dst)], jump("KUBE-NODE-PORT")));
        rules
    }

    pub(super) fn loopback(&self) -> IpNetwork {
        match self.family {
            AddressFamily::Ipv4 => LOOPBACK.into(),
            AddressFamily::Ipv6 => IpAddr::from(Ipv6Addr::LOCALHOST).into(),
        }
    }

    /// Matches the traffic to a cluster IP that is masqueraded: all traffic that no pod of this
    /// node sent. If pod traffic cannot be recognised, it matches the traffic of the node itself,
    /// whose source equals its destination.
    fn elsewhere_to_cluster_ip(&self) -> Vec<Match> {
        let to = self.about(SetKind::ClusterIp, TO);
        match self.local {
            _ if self.masquerade.all => to,
            LocalTraffic::Unknown => self.about(SetKind::ClusterIp, &[Src, Dst]),
            LocalTraffic::From(network) => {
                let not_from = Match::Source {
                    negated: true,
                    network: masked(*network),
                };
                [vec![not_from], to].concat()
            }
            LocalTraffic::Through(name) => {
                let not_through = Match::InInterface {
                    negated: true,
                    name: name.clone(),
                };
                [vec![not_through], to].concat()
            }
        }
    }

    fn load_balancer(&self) -> Vec<Rule> {
        // Drops connections of the node itself that the ranges do not admit. kube-proxy has a rule
        // for each such address and port in KUBE-IPVS-OUT-FILTER (k/k#119656). Here the sets
        // contain them.
        //
        // 1. The first rule matches connections from a virtual address, nearly always the address
        //    that they go to. Such a source is not an address of the node, so a range that contains
        //    it does not matter.
        // 2. The second rule matches connections that a program binds to an address of the node
        //    (deviation D25).
        //
        // In both rules, the entry with the virtual address as its source stands for ranges that
        // contain the node's first address.
        let not_admitted = [
            self.set(SetKind::LoadBalancerFw, TO),
            self.not_in(SetKind::LoadBalancerSourceIp, &[Dst, Dst, Dst]),
        ];
        let from_virtual = [self.set(SetKind::IpvsIps, &[Src])];
        let from_own = [
            self.not_in(SetKind::LoadBalancerSourceCidr, &[Dst, Dst, Src]),
            local_address(Src),
        ];
        let drop = |source: &[Match]| {
            let matches = [&not_admitted, source].concat();
            rule(matches, set_mark(self.drop_mark()))
        };
        vec![
            drop(&from_virtual),
            drop(&from_own),
            rule(self.about(SetKind::LoadBalancerLocal, TO), Target::Return),
            rule([], jump("KUBE-MARK-MASQ")),
        ]
    }

    /// Local node ports come first: returned packets are not masqueraded (k/k#104755).
    fn node_port(&self) -> Vec<Rule> {
        use SetKind::{
            NodePortLocalSctp, NodePortLocalTcp, NodePortLocalUdp, NodePortSctp, NodePortTcp,
            NodePortUdp,
        };
        let kinds: [(_, _, _, &[Dimension]); 3] = [
            (Protocol::Tcp, NodePortLocalTcp, NodePortTcp, &[Dst]),
            (Protocol::Udp, NodePortLocalUdp, NodePortUdp, &[Dst]),
            (Protocol::Sctp, NodePortLocalSctp, NodePortSctp, TO),
        ];
        let rules = kinds.into_iter().flat_map(|(protocol, local, all, ends)| {
            [(local, Target::Return), (all, jump("KUBE-MARK-MASQ"))].map(|(kind, target)| {
                let about = self.about(kind, ends);
                rule([vec![Match::Protocol(protocol)], about].concat(), target)
            })
        });
        rules.collect()
    }

    fn mark_masq(&self) -> Vec<Rule> {
        vec![rule([], set_mark(self.mark()))]
    }

    fn postrouting(&self) -> Vec<Rule> {
        let masquerade = |random_fully| Target::Masquerade { random_fully };
        let mark = self.mark();
        vec![
            rule(
                self.about(SetKind::LoopBack, &[Dst, Dst, Src]),
                masquerade(false),
            ),
            rule([unmarked(mark)], Target::Return),
            // Clears the mark, so that the packet is not masqueraded again if it passes this chain
            // once more.
            rule(
                [],
                Target::Mark {
                    value: mark,
                    mask: 0,
                },
            ),
            rule(
                [comment("kubernetes service traffic requiring SNAT")],
                masquerade(true),
            ),
        ]
    }

    /// KUBE-IPVS-FILTER: rejects connections at Service addresses that would reach programs
    /// listening at all addresses of the node. It returns, so that the following chains see the
    /// packet too (k/k#112463).
    fn ipvs_filter(&self) -> Vec<Rule> {
        let reject = match self.family {
            AddressFamily::Ipv4 => "icmp-port-unreachable",
            AddressFamily::Ipv6 => "icmp6-port-unreachable",
        };
        let served: [(_, &[Dimension]); 5] = [
            (SetKind::LoadBalancer, TO),
            (SetKind::ClusterIp, TO),
            (SetKind::ExternalIp, TO),
            (SetKind::ExternalIpLocal, TO),
            (SetKind::HealthCheckNodePort, &[Dst]),
        ];
        let mut rules: Vec<_> = (served.into_iter())
            .map(|(kind, ends)| rule([self.set(kind, ends)], Target::Return))
            .collect();
        rules.push(rule(
            [
                Match::ConnectionState(vec![New]),
                self.set(SetKind::IpvsIps, &[Dst]),
            ],
            Target::Reject(reject.into()),
        ));
        rules
    }

    fn proxy_firewall(&self) -> Vec<Rule> {
        let about = self.about(SetKind::LoadBalancerFw, TO);
        vec![rule(about, jump("KUBE-SOURCE-RANGES-FIREWALL"))]
    }

    fn source_ranges(&self) -> Vec<Rule> {
        let kinds = [
            SetKind::LoadBalancerSourceCidr,
            SetKind::LoadBalancerSourceIp,
        ];
        let mut rules: Vec<_> = (kinds.into_iter())
            .map(|kind| rule(self.about(kind, &[Dst, Dst, Src]), Target::Return))
            .collect();
        rules.push(rule([], Target::Drop));
        rules
    }

    /// KUBE-NODE-PORT of the filter table: accepts health-check node ports in INPUT and, with
    /// `acceptServedTraffic`, all served traffic.
    fn accepted_input(&self) -> Vec<Rule> {
        let about = self.about(SetKind::HealthCheckNodePort, &[Dst]);
        let mut rules = vec![rule(about, Target::Accept)];
        if let Some(places) = self.accepted {
            rules.extend(self.accept_served(places));
        }
        rules
    }

    fn forward(&self) -> Vec<Rule> {
        vec![
            rule(
                [comment("kubernetes forwarding rules"), marked(self.mark())],
                Target::Accept,
            ),
            rule(
                [
                    comment("kubernetes forwarding conntrack rule"),
                    Match::ConnectionState(vec![Related, Established]),
                ],
                Target::Accept,
            ),
        ]
    }

    /// KUBE-IPVS-OUT-FILTER: drops packets that KUBE-LOAD-BALANCER marked.
    fn ipvs_out_filter(&self) -> Vec<Rule> {
        vec![rule([marked(self.drop_mark())], Target::Drop)]
    }

    fn mark(&self) -> u32 {
        1_u32.wrapping_shl(self.masquerade.mark_bit.into())
    }

    fn drop_mark(&self) -> u32 {
        1_u32.wrapping_shl(self.masquerade.drop_bit.into())
    }

    pub(super) fn set(&self, kind: SetKind, ends: &[Dimension]) -> Match {
        Match::Set {
            negated: false,
            name: kind.name(self.family),
            dimensions: ends.to_vec(),
        }
    }

    fn not_in(&self, kind: SetKind, ends: &[Dimension]) -> Match {
        Match::Set {
            negated: true,
            name: kind.name(self.family),
            dimensions: ends.to_vec(),
        }
    }

    /// Matches a set and adds kube-proxy's comment about it.
    pub(super) fn about(&self, kind: SetKind, ends: &[Dimension]) -> Vec<Match> {
        let comment = about(kind).map(comment);
        comment.into_iter().chain([self.set(kind, ends)]).collect()
    }
}

/// Accepts two kinds of traffic: traffic that comes neither from a bridge port nor from this node,
/// and traffic to this node.
fn accept_from_outside(about: &[Match]) -> [Rule; 2] {
    let from_outside = [
        Match::PhysdevIsIn { negated: true },
        Match::Local {
            negated: true,
            end: Src,
        },
    ];
    [
        rule([about, &from_outside].concat(), Target::Accept),
        rule([about, &[local_address(Dst)]].concat(), Target::Accept),
    ]
}

pub(super) fn rule(matches: impl Into<Vec<Match>>, target: Target) -> Rule {
    Rule {
        matches: matches.into(),
        target,
    }
}

pub(super) fn jump(chain: &str) -> Target {
    Target::Jump(chain.into())
}

fn set_mark(mark: u32) -> Target {
    Target::Mark {
        value: mark,
        mask: mark,
    }
}

fn comment(text: &str) -> Match {
    Match::Comment(text.into())
}

fn source(network: IpNetwork) -> Match {
    Match::Source {
        negated: false,
        network,
    }
}

fn marked(mark: u32) -> Match {
    Match::Mark {
        negated: false,
        value: mark,
        mask: mark,
    }
}

fn unmarked(mark: u32) -> Match {
    Match::Mark {
        negated: true,
        value: mark,
        mask: mark,
    }
}

pub(super) fn local_address(end: Dimension) -> Match {
    Match::Local {
        negated: false,
        end,
    }
}

/// Clears the host bits of a network, as the kernel stores it.
fn masked(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}
