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
use self::batch::Said;
use crate::error::{DumpError, Failure, OpenError};
use crate::transport::{Protocol, Socket, Transport};

/// A message's header: `struct nlmsghdr`, RFC 3549 section 2.2.
const HEADER_BYTES: usize = 16;

/// One message of a batch.
#[derive(Clone, Debug)]
pub struct Request<M> {
    /// The message.
    pub message: M,
    /// Flags besides `NLM_F_REQUEST` and `NLM_F_ACK`, for example `NLM_F_CREATE`.
    pub flags: u16,
}

/// Result of a dump: the table as it was at one moment, or a torn view of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Integrity {
    /// The kernel did not say otherwise. Few families do say: see their documentation.
    Whole,
    /// The table changed meanwhile (`NLM_F_DUMP_INTR`): entries may be missing or be there
    /// twice.
    Torn,
}

/// A connection to the kernel. One request, batch or dump at a time.
#[derive(Debug)]
pub struct Connection<T = Socket> {
    transport: T,
    sequence: u32,
    out: Vec<u8>,
    answers: Answers,
}

impl Connection<Socket> {
    /// Opens a connection from the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Says which step failed.
    pub fn open(protocol: Protocol) -> Result<Self, OpenError> {
        Ok(Self::over(Socket::open(protocol)?))
    }
}

impl<T: Transport> Connection<T> {
    /// A connection over `transport`.
    pub fn over(transport: T) -> Self {
        Self {
            transport,
            sequence: 0,
            out: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// Does every request, in order, whatever becomes of the ones before. One outcome for each, in the
    /// same order.
    pub fn execute<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = Request<M>>,
    ) -> Vec<Result<(), Failure>> {
        batch::execute(self, requests, &mut |_, _| {})
    }

    /// Does every request as [`Connection::execute`] does. Where the kernel sends a refused request back,
    /// `echo` is given its number, from 0 in the order of `requests`, and the payload that came back: some
    /// subsystems write into it what was wrong (`call_ad`, net/netfilter/ipset/ip_set_core.c, Linux 6.1).
    pub fn execute_echoing<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = Request<M>>,
        mut echo: impl FnMut(usize, &[u8]),
    ) -> Vec<Result<(), Failure>> {
        batch::execute(self, requests, &mut |index, said| match said {
            Said::Echo(payload) => echo(index, payload),
            Said::Data(_) => {}
        })
    }

    /// Asks for one thing by each of `requests`, many in one send, and hands the payload of each message of the answers
    /// to `each`, with the number of the request, from 0. One outcome for each request, in the same order.
    ///
    /// Lists cannot be asked for like this: a socket has one under way at a time.
    pub fn get_each<M: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = M>,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Vec<Result<(), Failure>> {
        let requests = requests
            .into_iter()
            .map(|message| Request { message, flags: 0 });
        batch::execute(self, requests, &mut |index, said| match said {
            Said::Data(payload) => each(index, payload),
            Said::Echo(_) => {}
        })
    }

    /// Asks for a list and hands the payload of each message of the answer to `each`.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn dump<M: NetlinkSerializable>(
        &mut self,
        message: &M,
        each: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Integrity, DumpError> {
        self.ask(message, NLM_F_DUMP, each)
    }

    /// Asks for one thing and hands the payload of each message of the answer to `each`.
    ///
    /// # Errors
    ///
    /// There is no answer.
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
        // A mistake in one entry does not end the reading: what is still to come would be taken for
        // the answer to the next question.
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

    /// Appends a message to what will be sent and returns its sequence number.
    fn append<M: NetlinkSerializable>(&mut self, message: &M, flags: u16) -> u32 {
        let body = message.buffer_len();
        let start = self.append_header(message.message_type(), flags, body);
        let end = self.out.len();
        message.serialize(&mut self.out[start..start + body]);
        debug_assert_eq!(end % 4, 0);
        self.sequence
    }

    /// Appends a header and room for `body` bytes, and returns where these begin.
    fn append_header(&mut self, kind: u16, flags: u16, body: usize) -> usize {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER_BYTES + body).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&length.to_ne_bytes());
        self.out.extend_from_slice(&kind.to_ne_bytes());
        self.out.extend_from_slice(&flags.to_ne_bytes());
        self.out.extend_from_slice(&self.sequence.to_ne_bytes());
        // The sender's port: the kernel fills it in.
        self.out.extend_from_slice(&0_u32.to_ne_bytes());
        let start = self.out.len();
        self.out.resize(start + body.next_multiple_of(4), 0);
        start
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}
