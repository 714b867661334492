//! A transport that answers from a script.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use netlink::Transport;

/// Result of one receive attempt.
#[derive(Debug)]
pub enum Receive {
    /// A datagram.
    Datagram(Vec<u8>),
    /// The bytes that fit of a datagram with this whole length.
    Cut(Vec<u8>, usize),
    /// An error number.
    Error(i32),
}

impl From<Result<Vec<u8>, i32>> for Receive {
    fn from(answer: Result<Vec<u8>, i32>) -> Self {
        answer.map_or_else(Self::Error, Self::Datagram)
    }
}

/// The datagrams that a [`Script`] was sent.
pub type Sent = Rc<RefCell<Vec<Vec<u8>>>>;

/// A kernel that answers from a script and keeps the datagrams that it was sent.
///
/// The unit tests of `netlink` implement their crate's `Transport` by [`Script::send`] and
/// [`Script::receive`]: for them it is another trait than that of the library.
#[derive(Debug, Default)]
pub struct Script {
    /// Results of the next receives. Beyond the end a receive fails with `EAGAIN`, as on a socket
    /// after its time limit.
    pub receives: VecDeque<Receive>,
    /// Error numbers of the next sends. `None` is success, and so are all sends beyond the end.
    pub sends: VecDeque<Option<i32>>,
    /// The datagrams that were sent.
    pub sent: Sent,
}

impl Script {
    /// Makes a script of these answers.
    pub fn new<R: Into<Receive>>(answers: impl IntoIterator<Item = R>) -> Self {
        Self {
            receives: answers.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Keeps `datagram`.
    ///
    /// # Errors
    ///
    /// The script says so.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if let Some(errno) = self.sends.pop_front().flatten() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sent.borrow_mut().push(datagram.to_vec());
        Ok(())
    }

    /// Replaces the content of `buffer` by the next answer; returns the whole length of the
    /// datagram.
    ///
    /// # Errors
    ///
    /// The script says so, or is at its end.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let receive = self.receives.pop_front();
        let (bytes, length) = match receive.unwrap_or(Receive::Error(libc::EAGAIN)) {
            Receive::Datagram(bytes) => (bytes, None),
            Receive::Cut(bytes, length) => (bytes, Some(length)),
            Receive::Error(errno) => return Err(io::Error::from_raw_os_error(errno)),
        };
        *buffer = bytes;
        Ok(length.unwrap_or(buffer.len()))
    }
}

impl Transport for Script {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        Self::send(self, datagram)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        Self::receive(self, buffer)
    }
}
