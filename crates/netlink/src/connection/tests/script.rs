//! A transport that returns prepared answers and records the sent datagrams.

use std::collections::VecDeque;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR, NetlinkSerializable,
};

use crate::connection::{Connection, HEADER_BYTES, Request};
use crate::transport::Transport;

/// Result of the next receive.
pub(super) enum Receive {
    /// A datagram with these bytes.
    Datagram(Vec<u8>),
    /// A datagram of this length, truncated to these bytes.
    Cut(Vec<u8>, usize),
    /// An error number.
    Error(i32),
}

#[derive(Default)]
pub(super) struct Script {
    pub(super) receives: VecDeque<Receive>,
    /// Error numbers of the next sends; `None`, or the end of the queue, is success.
    pub(super) sends: VecDeque<Option<i32>>,
    pub(super) sent: Vec<Vec<u8>>,
}

impl Transport for Script {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match self.sends.pop_front().flatten() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => {
                self.sent.push(datagram.to_vec());
                Ok(())
            }
        }
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.clear();
        match self.receives.pop_front() {
            Some(Receive::Datagram(bytes)) => {
                buffer.extend(bytes);
                Ok(buffer.len())
            }
            Some(Receive::Cut(bytes, length)) => {
                buffer.extend(bytes);
                Ok(length)
            }
            Some(Receive::Error(errno)) => Err(io::Error::from_raw_os_error(errno)),
            // The socket returns the same if no answer arrives in time.
            None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }
}

/// A request of type 99 with this payload.
#[derive(Clone, Debug)]
pub(super) struct TestMessage(pub(super) Vec<u8>);

pub(super) const TEST_TYPE: u16 = 99;

impl NetlinkSerializable for TestMessage {
    fn message_type(&self) -> u16 {
        TEST_TYPE
    }

    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

pub(super) fn connection(receives: impl IntoIterator<Item = Receive>) -> Connection<Script> {
    Connection::over(Script {
        receives: receives.into_iter().collect(),
        ..Script::default()
    })
}

/// Returns `count` requests.
pub(super) fn requests(count: usize) -> Vec<Request<TestMessage>> {
    let request = |number: usize| Request {
        message: TestMessage(number.to_ne_bytes().to_vec()),
        flags: 0,
    };
    (0..count).map(request).collect()
}

/// Returns the sent headers: type, flags, sequence number.
pub(super) fn headers(datagram: &[u8]) -> Vec<(u16, u16, u32)> {
    let mut headers = Vec::new();
    let mut rest = datagram;
    while let Some((header, _)) = rest.split_at_checked(HEADER_BYTES) {
        let number = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        let short = |at: usize| u16::from_ne_bytes([0, 1].map(|byte| header[at + byte]));
        headers.push((short(4), short(6), number(8)));
        let length = usize::try_from(number(0)).expect("a length");
        rest = &rest[length.next_multiple_of(4)..];
    }
    assert!(rest.is_empty());
    headers
}

pub(super) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).expect("short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Returns a capped acknowledgement.
pub(super) fn ack(sequence: u32) -> Vec<u8> {
    refusal(sequence, 0)
}

/// Returns a capped refusal with this error number.
pub(super) fn refusal(sequence: u32, errno: i32) -> Vec<u8> {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.extend(message(TEST_TYPE, 0, sequence, &[]));
    message(NLMSG_ERROR, NLM_F_CAPPED, sequence, &payload)
}

/// Returns a refusal with an error text after the request or, if `capped`, after its header.
pub(super) fn refusal_with_text(sequence: u32, errno: i32, text: &str, capped: bool) -> Vec<u8> {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    let request = message(TEST_TYPE, 0, sequence, b"a request of 23 bytes..");
    payload.extend(if capped {
        &request[..HEADER_BYTES]
    } else {
        &request[..]
    });
    // Attribute 2, an offset, stands before attribute 1, the text.
    payload.extend([8, 0, 2, 0, 7, 7, 7, 7]);
    let length = u16::try_from(4 + text.len() + 1).expect("short");
    payload.extend(length.to_ne_bytes());
    payload.extend(1_u16.to_ne_bytes());
    payload.extend(text.as_bytes());
    payload.push(0);
    let flags = NLM_F_ACK_TLVS | if capped { NLM_F_CAPPED } else { 0 };
    message(NLMSG_ERROR, flags, sequence, &payload)
}

/// Returns a part of a list.
pub(super) fn part(sequence: u32, payload: &[u8]) -> Vec<u8> {
    message(TEST_TYPE, NLM_F_MULTIPART, sequence, payload)
}

/// Returns the end of a list.
pub(super) fn done(sequence: u32, errno: i32) -> Vec<u8> {
    let code = (-errno).to_ne_bytes();
    message(NLMSG_DONE, NLM_F_MULTIPART, sequence, &code)
}

/// Joins messages into one datagram.
pub(super) fn datagram(messages: impl IntoIterator<Item = Vec<u8>>) -> Receive {
    Receive::Datagram(messages.into_iter().flatten().collect())
}
