//! Requests, batches and dumps.

mod answers;
mod batch;
#[cfg(test)]
mod tests;

use std::io;

use netlink_packet_core::{
    DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkSerializable,
};

use self::answers::{Answer, Answers};
use self::batch::Report;
use crate::error::{DumpError, Failure, OpenError};
use crate::transport::{Protocol, Socket, Transport};

/// Length of a message's header: `struct nlmsghdr`, RFC 3549 section 2.2.
const HEADER_BYTES: usize = 16;

/// One message of a batch.
#[derive(Clone, Debug)]
pub struct Request<M> {
    /// The message.
    pub message: M,
    /// Flags in addition to `NLM_F_REQUEST` and `NLM_F_ACK`, for example `NLM_F_CREATE`.
    pub flags: u16,
}

/// Integrity of a dump: the table at one moment, or a torn view of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Integrity {
    /// The kernel did not mark the dump as interrupted. Few families set the mark; see their
    /// documentation.
    Whole,
    /// The table changed during the dump (`NLM_F_DUMP_INTR`): entries may be missing or occur
    /// twice.
    Torn,
}

/// A connection to the kernel. It handles one request, batch or dump at a time.
#[derive(Debug)]
pub struct Connection<T = Socket> {
    transport: T,
    sequence: u32,
    out: Vec<u8>,
    answers: Answers,
}

impl Connection<Socket> {
    /// Opens a connection in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// The step that failed.
    pub fn open(protocol: Protocol) -> Result<Self, OpenError> {
        Ok(Self::over(Socket::open(protocol)?))
    }
}

impl<T: Transport> Connection<T> {
    /// Creates a connection over `transport`.
    pub fn over(transport: T) -> Self {
        Self {
            transport,
            sequence: 0,
            out: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// Executes every request in order, many in one send. A failed request does not stop the later
    /// ones. Returns one outcome for each, in the same order.
    pub fn execute<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = Request<M>>,
    ) -> Vec<Result<(), Failure>> {
        batch::execute(self, requests, &mut |_, _| {})
    }

    /// Executes every request as [`Connection::execute`] does.
    ///
    /// If the kernel sends a refused request back, `echo` is called with the request's index in
    /// `requests` and the payload that the kernel sent. Some subsystems write the problem into the
    /// payload (`call_ad`, net/netfilter/ipset/ip_set_core.c, Linux 6.1).
    pub fn execute_echoing<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = Request<M>>,
        mut echo: impl FnMut(usize, &[u8]),
    ) -> Vec<Result<(), Failure>> {
        batch::execute(self, requests, &mut |index, report| match report {
            Report::Echo(payload) => echo(index, payload),
            Report::Data(_) => {}
        })
    }

    /// Sends `requests` that each ask for one object, many in one send. Calls `each` for every
    /// message of the answers, with the request's index and the payload. Returns one outcome for
    /// each request, in the same order.
    ///
    /// Lists cannot be requested like this: a socket allows only one dump at a time.
    pub fn get_each<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = M>,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Vec<Result<(), Failure>> {
        let requests = requests
            .into_iter()
            .map(|message| Request { message, flags: 0 });
        batch::execute(self, requests, &mut |index, report| match report {
            Report::Data(payload) => each(index, payload),
            Report::Echo(_) => {}
        })
    }

    /// Requests a list and calls `each` with the payload of every message of the answer.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn dump<M: NetlinkSerializable>(
        &mut self,
        message: &M,
        each: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Integrity, DumpError> {
        self.ask(message, NLM_F_DUMP, each)
    }

    /// Requests one object and calls `each` with the payload of every message of the answer.
    ///
    /// # Errors
    ///
    /// The request has no valid answer.
    pub fn get<M: NetlinkSerializable>(
        &mut self,
        message: &M,
        each: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DumpError> {
        self.ask(message, NLM_F_ACK, each).map(|_| ())
    }

    fn ask<M: NetlinkSerializable>(
        &mut self,
        message: &M,
        flags: u16,
        mut each: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Integrity, DumpError> {
        self.out.clear();
        let sequence = self.append(message, NLM_F_REQUEST | flags);
        (self.transport.send(&self.out)).map_err(DumpError::Send)?;
        let mut integrity = Integrity::Whole;
        // An entry that cannot be decoded does not end the reading. The remaining messages would
        // otherwise be taken for the answer to the next request.
        let mut mistake = None;
        loop {
            let reply = self.answers.next(&mut self.transport)?;
            if reply.sequence != sequence {
                continue;
            }
            if reply.flags & NLM_F_DUMP_INTR != 0 {
                integrity = Integrity::Torn;
            }
            match reply.answer() {
                Answer::Data(payload) => {
                    if let Err(error) = each(payload) {
                        mistake.get_or_insert(error);
                    }
                }
                Answer::End(Ok(())) => {
                    return match mistake {
                        None => Ok(integrity),
                        Some(error) => Err(DumpError::Decode(error)),
                    };
                }
                Answer::End(Err((errno, message))) => {
                    return Err(DumpError::Refused { errno, message });
                }
            }
        }
    }

    /// Appends a message to the send buffer and returns its sequence number.
    fn append<M: NetlinkSerializable>(&mut self, message: &M, flags: u16) -> u32 {
        let body = message.buffer_len();
        let start = self.append_header(message.message_type(), flags, body);
        let end = self.out.len();
        message.serialize(&mut self.out[start..start + body]);
        debug_assert_eq!(end % 4, 0);
        self.sequence
    }

    /// Appends a header and space for `body` bytes, and returns the start of that space.
    fn append_header(&mut self, kind: u16, flags: u16, body: usize) -> usize {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER_BYTES + body).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_ne_bytes());
        self.out.extend_from_slice(&kind.to_ne_bytes());
        self.out.extend_from_slice(&flags.to_ne_bytes());
        self.out.extend_from_slice(&self.sequence.to_ne_bytes());
        // The sender's port; the kernel fills it in.
        self.out.extend_from_slice(&0_u32.to_ne_bytes());
        let start = self.out.len();
        self.out.resize(start + body.next_multiple_of(4), 0);
        start
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}
