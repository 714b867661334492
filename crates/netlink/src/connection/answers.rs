//! Splits datagrams into messages.

use netlink_packet_core::{
    DecodeError, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer,
    NlasIterator,
};

use super::HEADER_BYTES;
use crate::error::{DumpError, Errno};
use crate::transport::Transport;

/// `NLMSGERR_ATTR_MSG`, `include/uapi/linux/netlink.h`.
const ATTRIBUTE_MESSAGE: u16 = 1;

/// Received messages that are not handled yet.
#[derive(Debug, Default)]
pub(super) struct Answers {
    datagram: Vec<u8>,
    position: usize,
}

/// One message from the kernel.
pub(super) struct Reply<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    payload: &'a [u8],
}

/// Meaning of a message.
pub(super) enum Answer<'a> {
    /// A part of the answer.
    Data(&'a [u8]),
    /// The end of the answer: an acknowledgement, the end of a list, or a refusal.
    End(Result<(), (Errno, Option<String>)>),
}

impl Answers {
    /// Returns the next message; receives a datagram if none is left.
    pub(super) fn next(&mut self, transport: &mut impl Transport) -> Result<Reply<'_>, DumpError> {
        while self.position >= self.datagram.len() {
            self.position = 0;
            let length = match transport.receive(&mut self.datagram) {
                Ok(length) => length,
                Err(error) => {
                    self.datagram.clear();
                    return Err(DumpError::Receive(error));
                }
            };
            if length > self.datagram.len() {
                self.datagram.clear();
                return Err(DumpError::Truncated { length });
            }
        }
        let rest = &self.datagram[self.position..];
        let buffer = match NetlinkBuffer::new_checked(rest) {
            Ok(buffer) => buffer,
            Err(error) => {
                self.position = usize::MAX;
                return Err(DumpError::Decode(error));
            }
        };
        let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
        self.position += length.next_multiple_of(4);
        Ok(Reply {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            payload: &rest[HEADER_BYTES..length],
        })
    }
}

impl<'a> Reply<'a> {
    /// Returns the meaning of the message.
    pub(super) fn answer(&self) -> Answer<'a> {
        match self.kind {
            NLMSG_ERROR => Answer::End(self.result()),
            // Since Linux 4.13 the end of a list has a result; before, its payload was empty.
            NLMSG_DONE => Answer::End(code(self.payload).map_or(Ok(()), |code| {
                if code < 0 {
                    Err((Errno(code.saturating_neg()), None))
                } else {
                    Ok(())
                }
            })),
            _ => Answer::Data(self.payload),
        }
    }

    fn result(&self) -> Result<(), (Errno, Option<String>)> {
        match code(self.payload) {
            Some(0) => Ok(()),
            Some(code) => Err((Errno(code.saturating_neg()), self.message())),
            // The message is too short for an error number.
            None => Err((Errno(libc::EBADMSG), None)),
        }
    }

    /// Returns the payload of the refused request if the kernel sent it back. Sockets of this crate
    /// ask the kernel to omit it (`NETLINK_CAP_ACK`); some subsystems send it anyway, to report the
    /// problem in it.
    pub(super) fn echo(&self) -> Option<&'a [u8]> {
        if self.kind != NLMSG_ERROR || self.flags & NLM_F_CAPPED != 0 {
            return None;
        }
        let request = self.payload.get(4..)?;
        let length = u32::from_ne_bytes(request.get(..4)?.try_into().ok()?);
        request.get(HEADER_BYTES..usize::try_from(length).ok()?)
    }

    /// Returns the kernel's error text. It follows the header of the request and, unless capped,
    /// the request's payload.
    fn message(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let request = self.payload.get(4..)?;
        let skip = if self.flags & NLM_F_CAPPED == 0 {
            let length = u32::from_ne_bytes(request.get(..4)?.try_into().ok()?);
            usize::try_from(length).ok()?.next_multiple_of(4)
        } else {
            HEADER_BYTES
        };
        let attributes = request.get(skip..)?;
        let attribute = NlasIterator::new(attributes)
            .filter_map(Result::<NlaBuffer<&[u8]>, DecodeError>::ok)
            .find(|attribute| attribute.kind() == ATTRIBUTE_MESSAGE)?;
        let text = attribute.value().split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fn code(payload: &[u8]) -> Option<i32> {
    let bytes = payload.get(..4)?.try_into().ok()?;
    Some(i32::from_ne_bytes(bytes))
}
