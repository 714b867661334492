//! The sets of a node: kube-proxy's seventeen in each family, and one that kube-ipvs adds.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use ipnetwork::{IpNetwork, Ipv4Network};
use ipset::{Entry, Family, HashType, Header, Protocol, SetName};
use ipvs::{AddressFamily, VirtualServerKey};

/// The purpose of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKind {
    /// `KUBE-LOOP-BACK`: local endpoints, for connections of an endpoint to itself through a
    /// Service.
    LoopBack,
    /// `KUBE-CLUSTER-IP`: cluster addresses and ports.
    ClusterIp,
    /// `KUBE-EXTERNAL-IP`: external addresses and ports with externalTrafficPolicy Cluster.
    ExternalIp,
    /// `KUBE-EXTERNAL-IP-LOCAL`: external addresses and ports with externalTrafficPolicy Local.
    ExternalIpLocal,
    /// `KUBE-LOAD-BALANCER`: load-balancer addresses and ports.
    LoadBalancer,
    /// `KUBE-LOAD-BALANCER-FW`: load-balancer addresses and ports with source ranges.
    LoadBalancerFw,
    /// `KUBE-LOAD-BALANCER-LOCAL`: load-balancer addresses and ports with externalTrafficPolicy
    /// Local.
    LoadBalancerLocal,
    /// `KUBE-LOAD-BALANCER-SOURCE-IP`: load-balancer addresses and ports whose source ranges
    /// contain this node's address.
    LoadBalancerSourceIp,
    /// `KUBE-LOAD-BALANCER-SOURCE-CIDR`: load-balancer addresses and ports with their source
    /// ranges.
    LoadBalancerSourceCidr,
    /// `KUBE-NODE-PORT-TCP`: TCP node ports.
    NodePortTcp,
    /// `KUBE-NODE-PORT-LOCAL-TCP`: TCP node ports with externalTrafficPolicy Local.
    NodePortLocalTcp,
    /// `KUBE-NODE-PORT-UDP`: UDP node ports.
    NodePortUdp,
    /// `KUBE-NODE-PORT-LOCAL-UDP`: UDP node ports with externalTrafficPolicy Local.
    NodePortLocalUdp,
    /// `KUBE-NODE-PORT-SCTP-HASH`: SCTP node ports with addresses, since `bitmap:port` does not
    /// match SCTP.
    NodePortSctp,
    /// `KUBE-NODE-PORT-LOCAL-SCTP-HASH`: SCTP node ports with externalTrafficPolicy Local.
    NodePortLocalSctp,
    /// `KUBE-HEALTH-CHECK-NODE-PORT`: health-check node ports.
    HealthCheckNodePort,
    /// `KUBE-IPVS-IPS`: addresses on the dummy device.
    IpvsIps,
    /// `KUBE-IPVS-NO-LOCAL-ENDPOINT`: load-balancer and external addresses with
    /// externalTrafficPolicy Local that have no endpoint on this node. Connections from the node
    /// itself to them are masqueraded (deviation D12). kube-proxy has no such set.
    NoLocalEndpoint,
}

/// Minimum value of a set's `maxelem`: the size with which kube-proxy creates its sets.
pub const MIN_ELEMENTS: u32 = 65_536;

impl SetKind {
    /// Every kind, in kube-proxy's order, with the set that kube-ipvs adds last.
    pub const ALL: [Self; 18] = [
        Self::LoopBack,
        Self::ClusterIp,
        Self::ExternalIp,
        Self::ExternalIpLocal,
        Self::LoadBalancer,
        Self::LoadBalancerFw,
        Self::LoadBalancerLocal,
        Self::LoadBalancerSourceIp,
        Self::LoadBalancerSourceCidr,
        Self::NodePortTcp,
        Self::NodePortLocalTcp,
        Self::NodePortUdp,
        Self::NodePortLocalUdp,
        Self::NodePortSctp,
        Self::NodePortLocalSctp,
        Self::HealthCheckNodePort,
        Self::IpvsIps,
        Self::NoLocalEndpoint,
    ];

    /// Returns the name after `KUBE-` or `KUBE-6-`, and the type; `None` stands for `bitmap:port`.
    fn shape(self) -> (&'static str, Option<HashType>) {
        match self {
            Self::LoopBack => ("LOOP-BACK", Some(HashType::IpPortIp)),
            Self::ClusterIp => ("CLUSTER-IP", Some(HashType::IpPort)),
            Self::ExternalIp => ("EXTERNAL-IP", Some(HashType::IpPort)),
            Self::ExternalIpLocal => ("EXTERNAL-IP-LOCAL", Some(HashType::IpPort)),
            Self::LoadBalancer => ("LOAD-BALANCER", Some(HashType::IpPort)),
            Self::LoadBalancerFw => ("LOAD-BALANCER-FW", Some(HashType::IpPort)),
            Self::LoadBalancerLocal => ("LOAD-BALANCER-LOCAL", Some(HashType::IpPort)),
            Self::LoadBalancerSourceIp => ("LOAD-BALANCER-SOURCE-IP", Some(HashType::IpPortIp)),
            Self::LoadBalancerSourceCidr => {
                ("LOAD-BALANCER-SOURCE-CIDR", Some(HashType::IpPortNet))
            }
            Self::NodePortTcp => ("NODE-PORT-TCP", None),
            Self::NodePortLocalTcp => ("NODE-PORT-LOCAL-TCP", None),
            Self::NodePortUdp => ("NODE-PORT-UDP", None),
            Self::NodePortLocalUdp => ("NODE-PORT-LOCAL-UDP", None),
            Self::NodePortSctp => ("NODE-PORT-SCTP-HASH", Some(HashType::IpPort)),
            Self::NodePortLocalSctp => ("NODE-PORT-LOCAL-SCTP-HASH", Some(HashType::IpPort)),
            Self::HealthCheckNodePort => ("HEALTH-CHECK-NODE-PORT", None),
            Self::IpvsIps => ("IPVS-IPS", Some(HashType::Ip)),
            Self::NoLocalEndpoint => ("IPVS-NO-LOCAL-ENDPOINT", Some(HashType::IpPort)),
        }
    }

    /// Returns the set's name in `family`. IPv6 names are cut to the kernel's maximum length, as in
    /// kube-proxy.
    #[must_use]
    pub fn name(self, family: AddressFamily) -> SetName {
        let (name, _) = self.shape();
        match family {
            AddressFamily::Ipv4 => SetName::cut(&format!("KUBE-{name}")),
            AddressFamily::Ipv6 => SetName::cut(&format!("KUBE-6-{name}")),
        }
    }

    /// Returns the header with which the set is created in `family` to hold `entries`. Its
    /// `maxelem` grows with the number of entries (deviation D16): the next power of two, at least
    /// [`MIN_ELEMENTS`].
    #[must_use]
    pub fn header(self, family: AddressFamily, entries: usize) -> Header {
        let (_, hash_type) = self.shape();
        match hash_type {
            None => Header::BitmapPort {
                first: 0,
                last: u16::MAX,
            },
            Some(hash_type) => Header::Hash {
                hash_type,
                family: match family {
                    AddressFamily::Ipv4 => Family::Inet,
                    AddressFamily::Ipv6 => Family::Inet6,
                },
                max_elements: u32::try_from(entries)
                    .ok()
                    .and_then(u32::checked_next_power_of_two)
                    .unwrap_or(u32::MAX)
                    .max(MIN_ELEMENTS),
            },
        }
    }
}

/// Protocol of an entry that marks a virtual server of a firewall mark. IANA reserves the number, so
/// that the entry matches no packet.
const FWMARK: Protocol = Protocol(255);

/// Returns the entry of a set of type `hash:ip,port` for the virtual server `key`.
///
/// A firewall mark is written as an address with a reserved protocol: mark 7 as `0.0.0.7,255:0`. The
/// entry matches no packet and only marks the virtual server as ours. The kernel accepts every
/// protocol except 0, and stores port 0 for those without ports (`hash_ipport4_uadt`,
/// net/netfilter/ipset/ip_set_hash_ipport.c, Linux 6.1).
#[must_use]
pub fn service_entry(key: VirtualServerKey) -> Entry {
    let (address, protocol, port) = service_socket(key);
    Entry::IpPort(address, protocol, port)
}

/// Returns the fields of [`service_entry`].
pub(crate) fn service_socket(key: VirtualServerKey) -> (IpAddr, Protocol, u16) {
    match key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => (address, Protocol(protocol.number()), port),
        VirtualServerKey::Fwmark { family, mark } => {
            let address = match family {
                AddressFamily::Ipv4 => Ipv4Addr::from(mark.get()).into(),
                AddressFamily::Ipv6 => Ipv6Addr::from(u128::from(mark.get())).into(),
            };
            (address, FWMARK, 0)
        }
    }
}

/// Returns the virtual server of an address, a protocol and a port: the inverse of
/// [`service_entry`].
fn virtual_server(address: IpAddr, protocol: Protocol, port: u16) -> VirtualServerKey {
    let number = match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(address) => u32::try_from(address.to_bits()).ok(),
    };
    match number.and_then(NonZeroU32::new) {
        Some(mark) if (protocol, port) == (FWMARK, 0) => VirtualServerKey::Fwmark {
            family: AddressFamily::of(address),
            mark,
        },
        _ => VirtualServerKey::Address {
            address,
            port,
            protocol: protocol.0.into(),
        },
    }
}

/// Destination of the packets that a set entry matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every port of an address.
    Address(IpAddr),
    /// A virtual server: its address, port and protocol, or its firewall mark.
    VirtualServer(VirtualServerKey),
    /// A port of every address.
    Port(u16),
}

impl Destination {
    /// Returns the destination of `entry`. A source in the entry is ignored.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        match entry {
            Entry::Ip(address) => Self::Address(address),
            Entry::IpPort(address, protocol, port)
            | Entry::IpPortIp(address, protocol, port, _)
            | Entry::IpPortNet(address, protocol, port, _) => {
                Self::VirtualServer(virtual_server(address, protocol, port))
            }
            Entry::Port(port) => Self::Port(port),
        }
    }

    /// Returns the address; `None` for a port and a firewall mark.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address)
            | Self::VirtualServer(VirtualServerKey::Address { address, .. }) => Some(address),
            Self::VirtualServer(VirtualServerKey::Fwmark { .. }) | Self::Port(_) => None,
        }
    }
}

/// Returns true if `entry` may belong to the virtual server `key`: it has the address, port and
/// protocol or the firewall mark of `key`, or is a port alone that equals the port of `key`.
#[must_use]
pub fn served_by(entry: &Entry, key: VirtualServerKey) -> bool {
    match Destination::of(*entry) {
        Destination::Address(_) => false,
        Destination::VirtualServer(of) => of == key,
        Destination::Port(of) => {
            matches!(key, VirtualServerKey::Address { port, .. } if port == of)
        }
    }
}

/// The smallest network in the order of `IpNetwork`.
const LEAST_NETWORK: Ipv4Network = match Ipv4Network::new_checked(Ipv4Addr::UNSPECIFIED, 0) {
    Some(network) => network,
    None => panic!("0.0.0.0/0 is a network"),
};

/// Returns the entries that are [`served_by`] the virtual server `key`, in order. The cost is O(log
/// n) for each.
pub fn entries_served_by(
    entries: &BTreeSet<Entry>,
    key: VirtualServerKey,
) -> impl Iterator<Item = &Entry> {
    // The smallest possible entry of each type with this port and, except in a bitmap, this address
    // and protocol.
    let (address, protocol, port) = service_socket(key);
    let firsts = [
        Entry::IpPort(address, protocol, port),
        Entry::IpPortIp(address, protocol, port, Ipv4Addr::UNSPECIFIED.into()),
        Entry::IpPortNet(address, protocol, port, IpNetwork::V4(LEAST_NETWORK)),
        Entry::Port(port),
    ];
    firsts.into_iter().flat_map(move |first| {
        let is_same_type =
            move |entry: &&Entry| std::mem::discriminant(*entry) == std::mem::discriminant(&first);
        (entries.range(first..))
            .take_while(move |entry| is_same_type(entry) && served_by(entry, key))
    })
}
