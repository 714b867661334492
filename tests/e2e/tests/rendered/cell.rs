//! A cell of the table of origins and targets, with its expected result in both families and over
//! all protocols.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Failure, Family, Knock, Namespace, Outcome, Probe, Protocol, ensure, knock, scaled};
use libtest_mimic::Trial;

use crate::case;
use crate::objects::{AddressKind, Kind, SERVICE_PORT, address, node_port};
use crate::site::{HOST_PORT, Site, site};

/// The place that sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The client outside, with its first address.
    Client,
    /// The client outside, with its second address.
    Stranger,
    /// A pod of the node.
    Pod(&'static str),
    /// The node.
    Node,
    /// The node, with its address towards the client.
    NodeAddress,
    /// The node, with its address towards its neighbour, which is not the first address of the Node
    /// object.
    NodeSecondAddress,
}

/// The target of requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    ClusterIp(Kind),
    /// A cluster IP at another port.
    ClusterIpPort(Kind, u16),
    LoadBalancer(Kind),
    /// A load balancer address at another port.
    LoadBalancerPort(Kind, u16),
    External(Kind),
    /// An external address at another port.
    ExternalPort(Kind, u16),
    NodePort(Kind),
    /// [`HOST_PORT`] of an address of the Service, or of the node.
    HostPortOf(AddressKind, Kind),
    HostPort,
}

/// The expected result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// The listed pods answer and see this source.
    Served(&'static [(&'static str, Seen)]),
    /// No answer.
    Silence,
    /// Refused at once by ICMP "port unreachable".
    Refused,
    /// Not refused: a socket listens there.
    Listens,
}

/// The source address that a pod sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The address of the origin: not masqueraded.
    Origin,
    /// The Service's address, which the node uses as its source address when not masqueraded.
    Service,
    /// The node's address on the way to the pod: masqueraded.
    Node,
}

/// A cell of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    name: &'static str,
    from: Origin,
    to: To,
    expect: Expect,
    families: &'static [Family],
}

/// Time without an answer that counts as silence. It includes one retransmission by TCP, after
/// a second.
const SILENCE: Duration = Duration::from_millis(1300);
/// Time limit for a refusal.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Returns a cell for both families.
pub(crate) const fn cell(name: &'static str, from: Origin, to: To, expect: Expect) -> Cell {
    Cell {
        name,
        from,
        to,
        expect,
        families: &[Family::V4, Family::V6],
    }
}

impl Cell {
    /// Restricts the cell to these families.
    pub(crate) const fn only(mut self, families: &'static [Family]) -> Self {
        self.families = families;
        self
    }

    pub(crate) fn trial(self) -> Trial {
        case(self.name, move || self.check(site()?))
    }

    /// Sends requests. Fails with all unexpected results.
    pub(crate) fn check(&self, site: &Site) -> Outcome {
        let protocols: &[Protocol] = match self.expect {
            Expect::Served(_) | Expect::Silence => &Protocol::ALL,
            // SCTP treats an ICMP error as temporary.
            Expect::Refused | Expect::Listens => &[Protocol::Tcp, Protocol::Udp],
        };
        let combinations = self.families.iter().flat_map(|family| {
            let with = |protocol: &Protocol| (*family, *protocol);
            protocols.iter().map(with).collect::<Vec<_>>()
        });
        let failures: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = combinations
                .map(|(family, protocol)| {
                    let work = move || self.ask(site, family, protocol);
                    (family, protocol, scope.spawn(work))
                })
                .collect();
            let ended = threads.into_iter().map(|(family, protocol, thread)| {
                let outcome = thread.join();
                (family, protocol, outcome)
            });
            ended
                .filter_map(|(family, protocol, outcome)| {
                    let failure = match outcome {
                        Ok(Ok(())) => return None,
                        Ok(Err(failure)) => failure.to_string(),
                        Err(_) => "panicked".to_owned(),
                    };
                    Some(format!("{}/{protocol}: {failure}", family.name()))
                })
                .collect()
        });
        ensure(failures.is_empty(), || failures.join("\n"))
    }

    fn ask(&self, site: &Site, family: Family, protocol: Protocol) -> Outcome {
        let from = self.from.namespace(site)?;
        let target = self.to.address(family, protocol);
        let source = self.from.source(family);
        let knock = |limit| {
            let begin = Instant::now();
            let knock = knock(from, source, protocol, target, limit);
            (knock, begin.elapsed())
        };
        match self.expect {
            Expect::Served(pods) => self.served(from, source, protocol, target, family, pods),
            Expect::Silence => {
                let (found, _) = knock(SILENCE);
                // A packet of the node itself is dropped before it leaves, which the sender sees.
                let own = matches!(
                    self.from,
                    Origin::Node | Origin::NodeAddress | Origin::NodeSecondAddress
                );
                let silent = found == Knock::Silence || own && found == Knock::NotPermitted;
                ensure(silent, || {
                    format!("{target}: expected no answer, found {found:?}")
                })
            }
            Expect::Refused => {
                let (found, time) = knock(SILENCE);
                let refused = found == Knock::PortUnreachable && time < scaled(AT_ONCE);
                ensure(refused, || {
                    format!("{target}: expected a refusal at once, found {found:?} after {time:?}")
                })
            }
            Expect::Listens => {
                let (found, _) = knock(AT_ONCE);
                // The socket does not answer datagrams.
                let expected = match protocol {
                    Protocol::Udp => Knock::Silence,
                    Protocol::Tcp | Protocol::Sctp => Knock::Open,
                };
                ensure(found == expected, || {
                    format!("{target}: expected a listening socket, found {found:?}")
                })
            }
        }
    }

    fn served(
        &self,
        from: &Namespace,
        source: Option<IpAddr>,
        protocol: Protocol,
        target: SocketAddr,
        family: Family,
        pods: &[(&str, Seen)],
    ) -> Outcome {
        // Unless it is bound, an SCTP socket announces all its addresses to the peer.
        let origin = match source {
            None => routed(from, target)?,
            Some(source) => source,
        };
        let bound = source.is_some() || protocol == Protocol::Sctp;
        let tally = Probe {
            source: bound.then_some(SocketAddr::new(origin, 0)),
            ..Probe::new(from, protocol, target)
        }
        // Round robin reaches every pod.
        .ask(2 * pods.len())
        .complete()?;
        let names = pods.iter().map(|(pod, _)| *pod);
        ensure(tally.by_pod().into_keys().eq(names), || {
            format!(
                "{target}: expected answers of {pods:?}, found {:?}",
                tally.by_pod()
            )
        })?;
        for answer in &tally.answers {
            let seen = pods.iter().find(|(pod, _)| *pod == answer.pod);
            let expected = seen.map(|(pod, seen)| match seen {
                Seen::Origin => origin,
                Seen::Service => target.ip(),
                Seen::Node => node_towards(pod, family),
            });
            ensure(expected == Some(answer.seen_from), || {
                let (pod, from) = (&answer.pod, answer.seen_from);
                format!("{target}: {pod} sees source {from}, expected {expected:?}")
            })?;
        }
        Ok(())
    }
}

impl Origin {
    fn namespace(self, site: &Site) -> Outcome<&Namespace> {
        match self {
            Self::Client | Self::Stranger => Ok(&site.world.client),
            Self::Pod(name) => site.pod(name),
            Self::Node | Self::NodeAddress | Self::NodeSecondAddress => Ok(&site.world.node),
        }
    }

    /// Returns the address to bind. Without one, routing selects it.
    fn source(self, family: Family) -> Option<IpAddr> {
        match self {
            Self::Client => family.client_addresses().first().copied(),
            Self::Stranger => family.client_addresses().get(1).copied(),
            Self::Pod(_) | Self::Node => None,
            Self::NodeAddress => Some(node_address(family)),
            Self::NodeSecondAddress => Some(second_node_address(family)),
        }
    }
}

impl To {
    pub(crate) fn address(self, family: Family, protocol: Protocol) -> SocketAddr {
        let at = |kind, service: Kind, port| {
            SocketAddr::new(address(kind, family, service.number), port)
        };
        match self {
            Self::ClusterIp(service) => at(AddressKind::ClusterIp, service, SERVICE_PORT),
            Self::ClusterIpPort(service, port) => at(AddressKind::ClusterIp, service, port),
            Self::ExternalPort(service, port) => at(AddressKind::External, service, port),
            Self::LoadBalancer(service) => at(AddressKind::LoadBalancer, service, SERVICE_PORT),
            Self::LoadBalancerPort(service, port) => at(AddressKind::LoadBalancer, service, port),
            Self::External(service) => at(AddressKind::External, service, SERVICE_PORT),
            Self::NodePort(service) => {
                let port = node_port(service.number, protocol);
                SocketAddr::new(node_address(family), port)
            }
            Self::HostPortOf(kind, service) => at(kind, service, HOST_PORT),
            Self::HostPort => SocketAddr::new(node_address(family), HOST_PORT),
        }
    }
}

/// Returns the node's address towards the client, which is the address of the Node object.
fn node_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 168, 50, 1].into(),
        Family::V6 => [0xfd00, 0x50, 0, 0, 0, 0, 0, 1].into(),
    }
}

/// Returns the node's address towards its neighbour.
fn second_node_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 168, 79, 10].into(),
        Family::V6 => [0xfd00, 0x79, 0, 0, 0, 0, 0, 0x10].into(),
    }
}

/// Returns the source address that masquerading gives a packet on the way to a pod.
fn node_towards(pod: &str, family: Family) -> IpAddr {
    match (pod, family) {
        ("pod3", family) => second_node_address(family),
        (_, Family::V4) => [10, 244, 0, 1].into(),
        (_, Family::V6) => [0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1].into(),
    }
}

/// Returns the source address that routing selects.
fn routed(from: &Namespace, target: SocketAddr) -> Outcome<IpAddr> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let address = from.run(|| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(target)?;
        socket.local_addr()
    });
    address
        .map(|address| address.ip())
        .map_err(|error| Failure::new(format!("no route to {target}: {error}")))
}
