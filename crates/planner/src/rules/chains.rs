//! The rules of each of our chains.

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

/// Where most sets hold what a packet goes to: address and port.
pub(super) const TO: &[Dimension] = &[Dst, Dst];

/// 127.0.0.0/8.
const LOOPBACK: Ipv4Network =
    Ipv4Network::new_checked(Ipv4Addr::new(127, 0, 0, 0), 8).expect("8 is a length");

pub(super) struct Writer<'a> {
    pub(super) family: AddressFamily,
    pub(super) masquerade: Masquerade,
    pub(super) local: &'a LocalTraffic,
    /// Set where packets that are served are accepted in INPUT.
    pub(super) accepted: Option<&'a NodePortPlaces>,
}

impl Writer<'_> {
    /// Every chain of ours.
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

    /// Of the first packet of each connection, whatever goes to a Service.
    fn services(&self) -> Vec<Rule> {
        let masq = || jump("KUBE-MARK-MASQ");
        let external = self.about(SetKind::ExternalIp, TO);
        let external_local = self.about(SetKind::ExternalIpLocal, TO);
        let mut rules = vec![
            rule([source(self.loopback())], Target::Return),
            // Deviation D12: no endpoint here can answer a connection of the node itself, and those
            // elsewhere would answer the node by another way.
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
        // Keeps later rules of other programs off, such as host ports (k/k#62718). Deviation D24: they stand before the node ports,
        // whose sets hold no addresses. A Service's own address and port is no node port of another Service (k/k#132068).
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

    /// Matches traffic to a cluster address that is masqueraded: all that no pod of this node sent, as far as that can be known.
    /// Where it cannot, what the node itself sent, whose source is the address it goes to.
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
        // Connections of the node itself that the ranges do not admit: kube-proxy has a rule for each such address and port in
        // KUBE-IPVS-OUT-FILTER (k/k#119656), here the sets say which. The first rule is about connections from a virtual address,
        // nearly always the one that they go to: such a source is not the node's, so it does not matter that a range holds it. The
        // second is about connections that a program binds to an address of the node (deviation D25). In both, the entry with the
        // virtual address as its source stands for ranges that hold the node's first address.
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

    /// Local ones first: what returns is not masqueraded (k/k#104755).
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
            // Taken off, so that the packet is not masqueraded again where it comes by once more.
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

    /// Keeps what listens at every address of the node off the Services' addresses. Returns, so that
    /// the chains behind it see the packet too (k/k#112463).
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

    /// The chain of INPUT that accepts: health-check node ports, and with `acceptServedTraffic` all that is served.
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

    /// The mark is from KUBE-LOAD-BALANCER.
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

    /// A set behind kube-proxy's comment about it.
    pub(super) fn about(&self, kind: SetKind, ends: &[Dimension]) -> Vec<Match> {
        let comment = about(kind).map(comment);
        comment.into_iter().chain([self.set(kind, ends)]).collect()
    }
}

/// Accepts traffic that does not come from a port of a bridge or from this node, and traffic to this node.
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

/// As the kernel holds it: without bits behind its length.
fn masked(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}
