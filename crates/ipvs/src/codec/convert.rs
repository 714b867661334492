//! Conversion between the types of this crate and attributes.

mod daemon;
mod destination;
mod service;
mod statistics;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use netlink_packet_core::DecodeError;

use super::attributes::{CommandAttribute, InfoAttribute, Nested};
use super::message::{Attributes, Command, Message};
use crate::types::{AddressFamily, Info, Timeouts, VirtualServerKey};

pub use daemon::{daemon_attributes, read_daemon};
pub use destination::{destination_attributes, destination_key_attributes, read_destination};
pub use service::{key_attributes, read_service, service_attributes};
pub use statistics::read_statistics;

/// Returns a request `command` for the virtual server `key`.
#[must_use]
pub fn service_request(command: Command, key: &VirtualServerKey) -> Message {
    let service = Nested::new(key_attributes(key));
    Message::new(command, vec![CommandAttribute::Service(service)])
}

/// Returns a request that sets the idle timeouts. A zero leaves the kernel's value unchanged.
#[must_use]
pub fn set_timeouts(timeouts: &Timeouts) -> Message {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    Message::new(
        Command::SetConfig,
        vec![
            CommandAttribute::TimeoutTcp(seconds(*tcp)),
            CommandAttribute::TimeoutTcpFin(seconds(*tcp_fin)),
            CommandAttribute::TimeoutUdp(seconds(*udp)),
        ],
    )
}

/// Reads the answer to `GetConfig`; missing timeouts are zero.
#[must_use]
pub fn read_timeouts(message: &Message) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if let Attributes::Command(attributes) = &message.attributes {
        for attribute in attributes {
            let duration = |seconds: &u32| Duration::from_secs(u64::from(*seconds));
            match attribute {
                CommandAttribute::TimeoutTcp(seconds) => timeouts.tcp = duration(seconds),
                CommandAttribute::TimeoutTcpFin(seconds) => timeouts.tcp_fin = duration(seconds),
                CommandAttribute::TimeoutUdp(seconds) => timeouts.udp = duration(seconds),
                _ => {}
            }
        }
    }
    timeouts
}

/// Reads the answer to `GetInfo`.
#[must_use]
pub fn read_info(message: &Message) -> Info {
    let mut info = Info::default();
    if let Attributes::Info(attributes) = &message.attributes {
        for attribute in attributes {
            match attribute {
                InfoAttribute::Version(version) => {
                    let [_, major, minor, patch] = version.to_be_bytes();
                    info.version = (major, minor, patch);
                }
                InfoAttribute::ConnectionTableSize(size) => info.connection_table_size = *size,
                InfoAttribute::Other(_) => {}
            }
        }
    }
    info
}

/// Returns the whole seconds, at most the kernel's maximum.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Returns `AF_INET` or `AF_INET6`, which are the same on every architecture.
fn family_number(family: AddressFamily) -> u16 {
    match family {
        AddressFamily::Ipv4 => 2,
        AddressFamily::Ipv6 => 10,
    }
}

fn read_family(number: u16) -> Result<AddressFamily, DecodeError> {
    match number {
        2 => Ok(AddressFamily::Ipv4),
        10 => Ok(AddressFamily::Ipv6),
        other => Err(format!("address family {other} is neither IPv4 nor IPv6").into()),
    }
}

/// Returns the address as `union nf_inet_addr`: IPv4 uses the first four bytes.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn read_address(family: AddressFamily, bytes: [u8; 16]) -> IpAddr {
    match family {
        AddressFamily::Ipv4 => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        AddressFamily::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}

fn missing(what: &'static str) -> impl Fn() -> DecodeError {
    move || DecodeError::from(format!("attribute {what} is missing"))
}
