//! Netlink messages byte by byte (`include/uapi/linux/netlink.h`).

#[cfg(test)]
mod tests;

use netlink_packet_core::{NLM_F_CAPPED, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR};

/// Length of `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;

/// A message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// The bytes behind the header.
    pub payload: &'a [u8],
}

/// Reads the messages of a datagram, up to the first that is cut short.
#[must_use]
pub fn parse(mut datagram: &[u8]) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = first(datagram) {
        messages.push(message);
        datagram = rest;
    }
    messages
}

fn first(datagram: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let number = |at: usize| {
        let bytes = datagram.get(at..at + 4)?;
        Some(u32::from_ne_bytes(*bytes.first_chunk()?))
    };
    let short = |at: usize| {
        let bytes = datagram.get(at..at + 2)?;
        Some(u16::from_ne_bytes(*bytes.first_chunk()?))
    };
    let length = usize::try_from(number(0)?).ok()?;
    let message = Message {
        kind: short(4)?,
        flags: short(6)?,
        sequence: number(8)?,
        payload: datagram.get(HEADER_BYTES..length)?,
    };
    let rest = datagram.get(length.next_multiple_of(4)..);
    Some((message, rest.unwrap_or_default()))
}

/// Encodes a message.
///
/// # Panics
///
/// Panics if the message is longer than 4 GiB.
#[must_use]
pub fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).expect("a short message");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Encodes an attribute.
///
/// # Panics
///
/// Panics if the attribute is longer than 64 KiB.
#[must_use]
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("a short attribute");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Encodes the acknowledgement of a request, which has the request's header alone.
#[must_use]
pub fn ack(sequence: u32) -> Vec<u8> {
    refusal(sequence, 0)
}

/// Encodes the refusal of a request, which has the request's header alone; an acknowledgement if
/// `errno` is 0.
#[must_use]
pub fn refusal(sequence: u32, errno: i32) -> Vec<u8> {
    error(NLM_F_CAPPED, sequence, errno, &message(0, 0, sequence, &[]))
}

/// Encodes an error message: the error number and what follows it.
#[must_use]
pub fn error(flags: u16, sequence: u32, errno: i32, rest: &[u8]) -> Vec<u8> {
    let payload = [&(-errno).to_ne_bytes()[..], rest].concat();
    message(NLMSG_ERROR, flags, sequence, &payload)
}

/// Encodes the end of a dump.
#[must_use]
pub fn done(sequence: u32, errno: i32) -> Vec<u8> {
    let code = (-errno).to_ne_bytes();
    message(NLMSG_DONE, NLM_F_MULTIPART, sequence, &code)
}
