//! Requests, answers and the transport of these tests.

use std::io;

use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_MULTIPART, NetlinkSerializable};
use support::messages::{Message, attribute, error, parse};
pub(super) use support::messages::{ack, done, message, refusal};
pub(super) use support::{Receive, Script};

use crate::connection::{Connection, HEADER_BYTES, Request};
use crate::transport::Transport;

impl Transport for Script {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        Self::send(self, datagram)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        Self::receive(self, buffer)
    }
}

/// A request of type 99 with this payload.
#[derive(Clone, Debug)]
pub(super) struct Word(pub(super) Vec<u8>);

pub(super) const WORD: u16 = 99;

impl NetlinkSerializable for Word {
    fn message_type(&self) -> u16 {
        WORD
    }

    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

pub(super) fn connection(receives: impl IntoIterator<Item = Receive>) -> Connection<Script> {
    Connection::over(Script::new(receives))
}

/// `count` requests.
pub(super) fn words(count: usize) -> Vec<Request<Word>> {
    let word = |number: usize| Request {
        message: Word(number.to_ne_bytes().to_vec()),
        flags: 0,
    };
    (0..count).map(word).collect()
}

/// Returns the type, the flags and the sequence number of each message of a datagram.
pub(super) fn headers(datagram: &[u8]) -> Vec<(u16, u16, u32)> {
    let messages = parse(datagram);
    let length = |message: &Message| (HEADER_BYTES + message.payload.len()).next_multiple_of(4);
    assert_eq!(messages.iter().map(length).sum::<usize>(), datagram.len());
    (messages.into_iter())
        .map(|message| (message.kind, message.flags, message.sequence))
        .collect()
}

/// Encodes a refusal with the kernel's text, behind the request or, if `capped`, behind its header
/// alone.
pub(super) fn refusal_in_words(sequence: u32, errno: i32, words: &str, capped: bool) -> Vec<u8> {
    let mut rest = message(WORD, 0, sequence, b"a request of 23 bytes..");
    if capped {
        rest.truncate(HEADER_BYTES);
    }
    // An offset (2) before the text (1).
    rest.extend(attribute(2, &[7; 4]));
    rest.extend(attribute(1, format!("{words}\0").as_bytes()));
    let flags = NLM_F_ACK_TLVS | if capped { NLM_F_CAPPED } else { 0 };
    error(flags, sequence, errno, &rest)
}

/// A part of a list.
pub(super) fn part(sequence: u32, payload: &[u8]) -> Vec<u8> {
    message(WORD, NLM_F_MULTIPART, sequence, payload)
}

/// Messages in one datagram.
pub(super) fn datagram(messages: impl IntoIterator<Item = Vec<u8>>) -> Receive {
    Receive::Datagram(messages.into_iter().flatten().collect())
}
