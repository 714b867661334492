//! Conversion of real servers.

use netlink_packet_core::DecodeError;

use super::{address_bytes, family_number, missing, read_address, read_family, read_statistics};
use crate::codec::attributes::{DestinationAttribute, NetworkOrder};
use crate::types::{
    AddressFamily, Connections, Forwarding, RealServer, RealServerKey, RealServerStatus, Tunnel,
    TunnelFlags, TunnelKind,
};

/// `IP_VS_CONN_F_FWD_MASK`: bits of the forwarding method.
const FORWARDING_MASK: u32 = 0x7;

/// Returns the attributes that identify a real server.
#[must_use]
pub fn destination_key_attributes(key: &RealServerKey) -> Vec<DestinationAttribute> {
    key_attributes(key).into()
}

fn key_attributes(key: &RealServerKey) -> [DestinationAttribute; 3] {
    [
        DestinationAttribute::AddressFamily(family_number(AddressFamily::of(key.address))),
        DestinationAttribute::Address(address_bytes(key.address)),
        DestinationAttribute::Port(NetworkOrder(key.port)),
    ]
}

/// Returns the attributes of a real server with all its settings.
#[must_use]
pub fn destination_attributes(real: &RealServer) -> Vec<DestinationAttribute> {
    let RealServer {
        key,
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = real;
    let mut attributes = Vec::with_capacity(10);
    attributes.extend(key_attributes(key));
    attributes.extend([
        DestinationAttribute::ForwardingMethod(u32::from(forwarding.number())),
        DestinationAttribute::Weight(*weight),
        DestinationAttribute::UpperThreshold(*upper_threshold),
        DestinationAttribute::LowerThreshold(*lower_threshold),
    ]);
    if let Forwarding::Tunnel(tunnel) = forwarding {
        attributes.extend([
            DestinationAttribute::TunnelType(tunnel.kind.number()),
            DestinationAttribute::TunnelPort(NetworkOrder(tunnel.port)),
            DestinationAttribute::TunnelFlags(tunnel.flags.bits()),
        ]);
    }
    attributes
}

/// Reads a real server with its connections and counters. `family` is the virtual server's; it is
/// used if the real server's is missing, as in kernels before 3.18.
///
/// # Errors
///
/// The address or port is missing, or the family is unknown.
pub fn read_destination(
    attributes: &[DestinationAttribute],
    family: AddressFamily,
) -> Result<RealServerStatus, DecodeError> {
    let mut family = family;
    let (mut address, mut port) = (None, None);
    let (mut method, mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0, 0);
    let mut tunnel = Tunnel {
        kind: TunnelKind::Ipip,
        port: 0,
        flags: TunnelFlags::empty(),
    };
    let mut connections = Connections::default();
    let (mut narrow, mut wide) = (None, None);
    for attribute in attributes {
        match attribute {
            DestinationAttribute::Address(bytes) => address = Some(*bytes),
            DestinationAttribute::Port(number) => port = Some(number.0),
            DestinationAttribute::ForwardingMethod(number) => method = *number,
            DestinationAttribute::Weight(number) => weight = *number,
            DestinationAttribute::UpperThreshold(number) => upper_threshold = *number,
            DestinationAttribute::LowerThreshold(number) => lower_threshold = *number,
            DestinationAttribute::ActiveConnections(count) => connections.active = *count,
            DestinationAttribute::InactiveConnections(count) => connections.inactive = *count,
            DestinationAttribute::PersistentConnections(count) => connections.persistent = *count,
            DestinationAttribute::AddressFamily(number) => family = read_family(*number)?,
            DestinationAttribute::TunnelType(number) => tunnel.kind = TunnelKind::from(*number),
            DestinationAttribute::TunnelPort(number) => tunnel.port = number.0,
            DestinationAttribute::TunnelFlags(bits) => {
                tunnel.flags = TunnelFlags::from_bits_retain(*bits);
            }
            DestinationAttribute::Statistics(nested) => narrow = Some(read_statistics(nested)),
            DestinationAttribute::Statistics64(nested) => wide = Some(read_statistics(nested)),
            DestinationAttribute::Other(_) => {}
        }
    }
    let method = u8::try_from(method & FORWARDING_MASK).unwrap_or_default();
    let server = RealServer {
        key: RealServerKey {
            address: read_address(family, address.ok_or_else(missing("Address"))?),
            port: port.ok_or_else(missing("Port"))?,
        },
        forwarding: Forwarding::from_number(method, tunnel),
        weight,
        upper_threshold,
        lower_threshold,
    };
    Ok(RealServerStatus {
        server,
        connections,
        statistics: wide.or(narrow).unwrap_or_default(),
    })
}
