//! Encodes and decodes rtnetlink messages.
//!
//! Requests are built with netlink-packet-route. From answers, only two attributes of a link and
//! two of an address are decoded. Unknown attributes are skipped, so a new attribute of some kernel
//! cannot make a reading fail.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use model::DEVICE;
use netlink_packet_core::{
    DecodeError, NlaBuffer, NlasIterator, parse_ip, parse_string, parse_u32,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

#[cfg(test)]
mod tests;

/// `sizeof(struct ifinfomsg)`, `include/uapi/linux/rtnetlink.h`.
const LINK_HEADER: usize = 16;
/// `sizeof(struct ifaddrmsg)`, `include/uapi/linux/if_addr.h`.
const ADDRESS_HEADER: usize = 8;
/// `IFLA_IFNAME`, `include/uapi/linux/if_link.h`.
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// `IFA_ADDRESS`, `include/uapi/linux/if_addr.h`. On a point-to-point link it is the address of the
/// peer.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// The decoded attributes of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// Kind such as `dummy` or `veth`; `None` for hardware and `lo`.
    pub(super) kind: Option<String>,
}

impl Link {
    /// Decodes the payload of an `RTM_NEWLINK`.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let header = header(payload, LINK_HEADER)?;
        let mut link = Self {
            index: parse_u32(&header[4..8])?,
            name: String::new(),
            kind: None,
        };
        for attribute in attributes(&payload[LINK_HEADER..]) {
            let attribute = attribute?;
            match attribute.kind() {
                IFLA_IFNAME => link.name = parse_string(attribute.value())?,
                IFLA_LINKINFO => {
                    for info in attributes(attribute.value()) {
                        let info = info?;
                        if info.kind() == IFLA_INFO_KIND {
                            link.kind = Some(parse_string(info.value())?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(link)
    }

    pub(super) fn is_dummy(&self) -> bool {
        self.kind.as_deref() == Some("dummy")
    }
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkAddress {
    pub(super) link: u32,
    pub(super) network: IpNetwork,
}

impl LinkAddress {
    /// Decodes the payload of an `RTM_NEWADDR`. Returns `None` for a family other than IPv4 and
    /// IPv6.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, DecodeError> {
        let header = header(payload, ADDRESS_HEADER)?;
        let family = i32::from(header[0]);
        if family != libc::AF_INET && family != libc::AF_INET6 {
            return Ok(None);
        }
        let (mut local, mut address) = (None, None);
        for attribute in attributes(&payload[ADDRESS_HEADER..]) {
            let attribute = attribute?;
            match attribute.kind() {
                IFA_LOCAL => local = Some(parse_ip(attribute.value())?),
                IFA_ADDRESS => address = Some(parse_ip(attribute.value())?),
                _ => {}
            }
        }
        let Some(address) = local.or(address) else {
            return Err(DecodeError::from("an address message without an address"));
        };
        let network = IpNetwork::new(address, header[1])
            .map_err(|error| DecodeError::from(error.to_string()))?;
        Ok(Some(Self {
            link: parse_u32(&header[4..8])?,
            network,
        }))
    }

    /// Returns true if the prefix covers the whole address, as for every virtual address.
    pub(super) fn is_host(&self) -> bool {
        self.network.prefix() == full_prefix(self.network.ip())
    }
}

pub(super) fn header(payload: &[u8], length: usize) -> Result<&[u8], DecodeError> {
    let header = payload.get(..length);
    header.ok_or_else(|| DecodeError::from("a message shorter than its header"))
}

pub(super) fn attributes(
    bytes: &[u8],
) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, DecodeError>> {
    NlasIterator::new(bytes)
}

/// Requests all links, without their counters.
pub(super) fn all_links() -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    let mask = vec![LinkExtentMask::SkipStats];
    link.attributes.push(LinkAttribute::ExtMask(mask));
    RouteNetlinkMessage::GetLink(link)
}

/// Requests all addresses of both families.
pub(super) fn all_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// Requests the link with the name of the dummy device.
pub(super) fn device() -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    let name = LinkAttribute::IfName(DEVICE.to_owned());
    link.attributes.push(name);
    RouteNetlinkMessage::GetLink(link)
}

/// Creates the dummy device. It stays down, as with kube-proxy: its addresses are local anyway, and
/// it neither takes part in routing nor answers neighbours.
pub(super) fn new_device() -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    let info = vec![LinkInfo::Kind(InfoKind::Dummy)];
    link.attributes = vec![
        LinkAttribute::IfName(DEVICE.to_owned()),
        LinkAttribute::LinkInfo(info),
    ];
    RouteNetlinkMessage::NewLink(link)
}

/// Deletes the link `index`.
pub(super) fn delete_link(index: u32) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    RouteNetlinkMessage::DelLink(link)
}

/// Adds `address` with prefix /32 or /128 to the link `index`. An IPv6 address is usable at once,
/// because duplicate address detection is disabled.
pub(super) fn new_address(index: u32, address: IpAddr) -> RouteNetlinkMessage {
    let mut message = host_address(index, address);
    if address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    RouteNetlinkMessage::NewAddress(message)
}

/// Deletes `address` (/32 or /128) from the link `index`.
pub(super) fn delete_address(index: u32, address: IpAddr) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelAddress(host_address(index, address))
}

/// Requests the route to `address`.
pub(super) fn route_to(address: IpAddr) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = full_prefix(address);
    message.attributes = vec![RouteAttribute::Destination(address.into())];
    RouteNetlinkMessage::GetRoute(message)
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn host_address(index: u32, address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = full_prefix(address);
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

fn full_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
