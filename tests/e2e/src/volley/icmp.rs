//! ICMP messages about requests, read from raw sockets, which work for all protocols.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::wire::{receive_from, send_to, socket};

/// Length of the header of an echo request.
const ECHO: usize = 8;
/// Length of an IPv6 header. Errors quote no extension headers here.
const IPV6_HEADER: usize = 40;

/// Bytes of messages that may wait: a message of a hundred bytes takes the kernel some thousand.
const ROOM: usize = 8 << 20;

/// Fields that identify a request in the quotation of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// IP protocol.
    pub(super) protocol: u8,
    /// Source port, or the identifier of an echo request.
    pub(super) port: u16,
    /// Target; the port of an echo request is its sequence number.
    pub(super) target: SocketAddr,
}

/// ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The echo request was answered.
    Echo(Key),
    /// The target is unreachable, for this reason.
    Unreachable(Key, &'static str),
}

/// Raw sockets of both families.
#[derive(Debug)]
pub(super) struct Icmp {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Icmp {
    pub(super) fn open() -> io::Result<Self> {
        let any = |address: IpAddr| SocketAddr::new(address, 0);
        let (v4, v6) = (
            any(Ipv4Addr::UNSPECIFIED.into()),
            any(Ipv6Addr::UNSPECIFIED.into()),
        );
        let icmp = Self {
            v4: socket(v4, libc::SOCK_RAW, libc::IPPROTO_ICMP)?,
            v6: socket(v6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)?,
        };
        for socket in [&icmp.v4, &icmp.v6] {
            set_socket_recv_buffer_size_force(socket, ROOM)?;
        }
        Ok(icmp)
    }

    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.v4.as_fd(), self.v6.as_fd()]
    }

    /// Sends an echo request with this identifier. The port of `target` is the sequence number.
    pub(super) fn ping(&self, identifier: u16, target: SocketAddr) -> io::Result<()> {
        let (kind, socket) = match target {
            SocketAddr::V4(_) => (8, &self.v4),
            SocketAddr::V6(_) => (128, &self.v6),
        };
        let mut packet = [0; ECHO];
        packet[0] = kind;
        packet[4..6].copy_from_slice(&identifier.to_be_bytes());
        packet[6..8].copy_from_slice(&target.port().to_be_bytes());
        // The kernel computes the checksum of ICMPv6.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        send_to(socket, &packet, SocketAddr::new(target.ip(), 0))
    }

    /// Returns the next message about a request, if there is one.
    pub(super) fn next(&self) -> Option<Message> {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = receive_from(&self.v4, &mut buffer) {
            if let Some(message) = v4(&buffer[..length], from) {
                return Some(message);
            }
        }
        while let Ok((length, from)) = receive_from(&self.v6, &mut buffer) {
            if let Some(message) = v6(&buffer[..length], from) {
                return Some(message);
            }
        }
        None
    }
}

/// Parses an IPv4 packet.
fn v4(packet: &[u8], from: IpAddr) -> Option<Message> {
    let icmp = packet.get(header_length(packet)?..)?;
    let (kind, code, rest) = parts(icmp)?;
    match kind {
        0 => Some(Message::Echo(echo(libc::IPPROTO_ICMP, icmp, from)?)),
        3 => {
            let protocol = *rest.get(9)?;
            let target: [u8; 4] = rest.get(16..20)?.try_into().ok()?;
            let quoted = rest.get(header_length(rest)?..)?;
            let why = match code {
                0 => "net",
                1 => "host",
                2 => "protocol",
                3 => "port",
                13 => "prohibited",
                _ => "other",
            };
            let key = quoted_key(protocol, quoted, target.into())?;
            Some(Message::Unreachable(key, why))
        }
        _ => None,
    }
}

/// Parses an ICMPv6 packet.
fn v6(icmp: &[u8], from: IpAddr) -> Option<Message> {
    let (kind, code, rest) = parts(icmp)?;
    match kind {
        129 => Some(Message::Echo(echo(libc::IPPROTO_ICMPV6, icmp, from)?)),
        1 => {
            let protocol = *rest.get(6)?;
            let target: [u8; 16] = rest.get(24..IPV6_HEADER)?.try_into().ok()?;
            let why = match code {
                0 => "net",
                1 => "prohibited",
                3 => "host",
                4 => "port",
                _ => "other",
            };
            let key = quoted_key(protocol, rest.get(IPV6_HEADER..)?, target.into())?;
            Some(Message::Unreachable(key, why))
        }
        _ => None,
    }
}

fn header_length(packet: &[u8]) -> Option<usize> {
    Some(usize::from(packet.first()? & 0xf) * 4)
}

/// Returns type, code and the bytes after the header of eight bytes.
fn parts(icmp: &[u8]) -> Option<(u8, u8, &[u8])> {
    Some((*icmp.first()?, *icmp.get(1)?, icmp.get(8..)?))
}

fn echo(protocol: libc::c_int, icmp: &[u8], from: IpAddr) -> Option<Key> {
    Some(Key {
        protocol: u8::try_from(protocol).ok()?,
        port: word(icmp, 4)?,
        target: SocketAddr::new(from, word(icmp, 6)?),
    })
}

/// Returns the key of a quoted packet from the start of its transport header.
fn quoted_key(protocol: u8, quoted: &[u8], target: IpAddr) -> Option<Key> {
    let is_echo = matches!(
        libc::c_int::from(protocol),
        libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6
    );
    let (port, to) = if is_echo { (4, 6) } else { (0, 2) };
    Some(Key {
        protocol,
        port: word(quoted, port)?,
        target: SocketAddr::new(target, word(quoted, to)?),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let two: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(two))
}

/// Returns the Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|two| match *two {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
