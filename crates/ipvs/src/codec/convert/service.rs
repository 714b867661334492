//! Conversion of virtual servers.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use netlink_packet_core::DecodeError;

use super::{
    address_bytes, family_number, missing, read_address, read_family, read_statistics, seconds,
};
use crate::codec::attributes::{MaskedFlags, NetworkOrder, ServiceAttribute};
use crate::types::{
    AddressFamily, Protocol, Scheduler, ServiceFlags, Statistics, VirtualServer, VirtualServerKey,
};

/// `IP_VS_SVC_F_HASHED`: a flag that the kernel sets on every virtual server that it lists.
const HASHED: u32 = 0x2;

/// Returns the attributes that identify a virtual server.
#[must_use]
pub fn key_attributes(key: &VirtualServerKey) -> Vec<ServiceAttribute> {
    match key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => vec![
            ServiceAttribute::AddressFamily(family_number(AddressFamily::of(*address))),
            ServiceAttribute::Protocol(u16::from(protocol.number())),
            ServiceAttribute::Address(address_bytes(*address)),
            ServiceAttribute::Port(NetworkOrder(*port)),
        ],
        VirtualServerKey::Fwmark { family, mark } => vec![
            ServiceAttribute::AddressFamily(family_number(*family)),
            ServiceAttribute::Fwmark(mark.get()),
        ],
    }
}

/// Returns the attributes of a virtual server with all its settings.
#[must_use]
pub fn service_attributes(server: &VirtualServer) -> Vec<ServiceAttribute> {
    let VirtualServer {
        key,
        scheduler,
        flags,
        persistence_timeout,
        persistence_prefix,
        persistence_engine,
    } = server;
    let mut attributes = key_attributes(key);
    attributes.push(ServiceAttribute::SchedulerName(scheduler.0.to_string()));
    if let Some(engine) = persistence_engine {
        attributes.push(ServiceAttribute::PersistenceEngine(engine.to_string()));
    }
    attributes.push(ServiceAttribute::Flags(MaskedFlags {
        flags: flags.bits(),
        mask: u32::MAX,
    }));
    attributes.push(ServiceAttribute::Timeout(seconds(*persistence_timeout)));
    let netmask = match key.family() {
        AddressFamily::Ipv4 => mask(*persistence_prefix),
        AddressFamily::Ipv6 => u32::from(*persistence_prefix).to_ne_bytes(),
    };
    attributes.push(ServiceAttribute::Netmask(netmask));
    attributes
}

/// Reads a virtual server and its counters. If the answer has both kinds of counters, those of 64
/// bits are used.
///
/// # Errors
///
/// An attribute of the key is missing or invalid, or the prefix length is invalid.
pub fn read_service(
    attributes: &[ServiceAttribute],
) -> Result<(VirtualServer, Statistics), DecodeError> {
    let mut family = None;
    let (mut protocol, mut address, mut port, mut mark) = (None, None, None, None);
    let (mut scheduler, mut engine) = (None, None);
    let (mut flags, mut timeout, mut netmask) = (0, 0, None);
    let (mut narrow, mut wide) = (None, None);
    for attribute in attributes {
        match attribute {
            ServiceAttribute::AddressFamily(number) => family = Some(read_family(*number)?),
            ServiceAttribute::Protocol(number) => protocol = Some(*number),
            ServiceAttribute::Address(bytes) => address = Some(*bytes),
            ServiceAttribute::Port(number) => port = Some(number.0),
            ServiceAttribute::Fwmark(number) => mark = NonZeroU32::new(*number),
            ServiceAttribute::SchedulerName(name) => scheduler = Some(name.as_str()),
            ServiceAttribute::Flags(masked) => flags = masked.flags,
            ServiceAttribute::Timeout(seconds) => timeout = *seconds,
            ServiceAttribute::Netmask(bytes) => netmask = Some(*bytes),
            ServiceAttribute::PersistenceEngine(name) => engine = Some(name.as_str()),
            ServiceAttribute::Statistics(nested) => narrow = Some(read_statistics(nested)),
            ServiceAttribute::Statistics64(nested) => wide = Some(read_statistics(nested)),
            ServiceAttribute::Other(_) => {}
        }
    }
    let family = family.ok_or_else(missing("AddressFamily"))?;
    let key = match mark {
        Some(mark) => VirtualServerKey::Fwmark { family, mark },
        None => VirtualServerKey::Address {
            address: read_address(family, address.ok_or_else(missing("Address"))?),
            port: port.ok_or_else(missing("Port"))?,
            protocol: read_protocol(protocol.ok_or_else(missing("Protocol"))?)?,
        },
    };
    let server = VirtualServer {
        key,
        scheduler: Scheduler(scheduler.unwrap_or_default().into()),
        flags: ServiceFlags::from_bits_retain(flags & !HASHED),
        persistence_timeout: Duration::from_secs(u64::from(timeout)),
        persistence_prefix: read_prefix(family, netmask)?,
        persistence_engine: engine.filter(|name| !name.is_empty()).map(Into::into),
    };
    Ok((server, wide.or(narrow).unwrap_or_default()))
}

fn read_protocol(number: u16) -> Result<Protocol, DecodeError> {
    u8::try_from(number)
        .map(Protocol::from)
        .map_err(|_| format!("protocol {number} does not exist").into())
}

fn mask(prefix: u8) -> [u8; 4] {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    let bits = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    bits.to_be_bytes()
}

/// Reads the persistence granularity. The kernel accepts any 32 bits as a mask; for a mask with
/// gaps the number of leading ones counts.
fn read_prefix(family: AddressFamily, netmask: Option<[u8; 4]>) -> Result<u8, DecodeError> {
    let length = match (family, netmask) {
        (AddressFamily::Ipv4, Some(bytes)) => u32::from(Ipv4Addr::from(bytes)).leading_ones(),
        (AddressFamily::Ipv6, Some(bytes)) => u32::from_ne_bytes(bytes),
        (AddressFamily::Ipv4, None) => 32,
        (AddressFamily::Ipv6, None) => 128,
    };
    u8::try_from(length).map_err(|_| format!("prefix length {length} is above 128").into())
}
