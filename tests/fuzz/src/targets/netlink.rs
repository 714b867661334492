//! The receive path of netlink, and the clients above it.

use std::io;

use ipvs::{Protocol, VirtualServerKey};
use netlink::{Connection, Request, Transport, generic};
use netlink_packet_core::NetlinkSerializable;

/// Bytes of `struct nlmsghdr`, and the position of the sequence number in it.
const HEADER: usize = 16;
const SEQUENCE: std::ops::Range<usize> = 8..12;

/// Number of receives after which the kernel is silent. More than one, because a batch waits for
/// its last answer.
const RECEIVES: usize = 3;

/// Requests of one batch.
const BATCH: usize = 4;

/// A kernel that answers every request with the same datagram. Sequence number 0 stands for that of
/// the last sent message.
struct Script<'a> {
    datagram: &'a [u8],
    sequence: u32,
    receives: usize,
}

impl Transport for Script<'_> {
    fn send(&mut self, sent: &[u8]) -> io::Result<()> {
        for at in messages(sent) {
            self.sequence = number(&sent[at + SEQUENCE.start..]);
        }
        self.receives = RECEIVES;
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        // EAGAIN, as after the time limit.
        self.receives = (self.receives.checked_sub(1)).ok_or(io::ErrorKind::WouldBlock)?;
        buffer.clear();
        buffer.extend_from_slice(self.datagram);
        for at in messages(self.datagram) {
            let place = &mut buffer[at + SEQUENCE.start..at + SEQUENCE.end];
            if number(place) == 0 {
                place.copy_from_slice(&self.sequence.to_ne_bytes());
            }
        }
        Ok(buffer.len())
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Returns the start of each message of a datagram, up to the first one without a whole header.
fn messages(datagram: &[u8]) -> impl Iterator<Item = usize> {
    let begins = |at: usize| {
        datagram
            .len()
            .checked_sub(at)
            .is_some_and(|rest| rest >= HEADER)
    };
    let next = move |at: &usize| {
        let length = usize::try_from(number(&datagram[*at..])).unwrap_or(usize::MAX);
        let next = at.saturating_add(length.max(HEADER).next_multiple_of(4));
        begins(next).then_some(next)
    };
    std::iter::successors(begins(0).then_some(0), next)
}

/// A request without attributes.
struct Empty;

impl NetlinkSerializable for Empty {
    fn message_type(&self) -> u16 {
        99
    }

    fn buffer_len(&self) -> usize {
        0
    }

    fn serialize(&self, _buffer: &mut [u8]) {}
}

/// Uses the input as the kernel's answer.
pub(super) fn check(datagram: &[u8]) -> Result<(), String> {
    let connection = || {
        Connection::over(Script {
            datagram,
            sequence: 0,
            receives: 0,
        })
    };
    let mut handed = 0;
    let _ = connection().dump(&Empty, |payload| {
        handed += payload.len();
        Ok(())
    });
    if handed > datagram.len() * RECEIVES {
        return Err(format!(
            "a dump returns the received messages\n  {handed} bytes"
        ));
    }
    let _ = connection().get(&Empty, |_| Ok(()));
    let requests = || {
        (0..BATCH).map(|_| Request {
            message: Empty,
            flags: 0,
        })
    };
    let outcomes = [
        connection().execute(requests()),
        connection().execute_echoing(requests(), |_, _| {}),
        connection().get_each((0..BATCH).map(|_| Empty), |_, _| {}),
    ];
    if let Some(outcomes) = outcomes.iter().find(|outcomes| outcomes.len() != BATCH) {
        return Err(format!("each request has an outcome\n  {outcomes:?}"));
    }
    let _ = generic::resolve(&mut connection(), "IPVS");
    if let Ok(mut client) = ipvs::client::Client::over(connection()) {
        let _ = client.virtual_servers();
        let _ = client.real_servers(&KEY);
        let _ = (client.timeouts(), client.info(), client.sync_daemons());
    }
    if let Ok(mut client) = ipset::client::Client::over(connection()) {
        let _ = (client.names(), client.headers());
    }
    Ok(())
}

const KEY: VirtualServerKey = VirtualServerKey::Address {
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 1)),
    port: 80,
    protocol: Protocol::Tcp,
};
