//! A transport that returns prepared answers and records the sent datagrams.

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
    /// Truncated bytes of a datagram, and its whole length.
    Cut(Vec<u8>, usize),
    /// An error number.
    Error(i32),
}

impl From<Result<Vec<u8>, i32>> for Receive {
    fn from(answer: Result<Vec<u8>, i32>) -> Self {
        answer.map_or_else(Self::Error, Self::Datagram)
    }
}

/// Datagrams that were sent to a [`Script`].
pub type Sent = Rc<RefCell<Vec<Vec<u8>>>>;

/// A transport that returns prepared answers and records the sent datagrams.
///
/// In the unit tests of `netlink`, `Transport` is a different trait from that of the library that
/// this crate links. They implement theirs by [`Script::send`] and [`Script::receive`].
#[derive(Debug, Default)]
pub struct Script {
    /// Results of the next receives. At the end of the queue, a receive fails with `EAGAIN`, as on
    /// a socket after its timeout.
    pub receives: VecDeque<Receive>,
    /// Error numbers of the next sends. `None`, or the end of the queue, is success.
    pub sends: VecDeque<Option<i32>>,
    /// Datagrams that were sent.
    pub sent: Sent,
}

impl Script {
    /// Creates a script with these answers.
    pub fn new<R: Into<Receive>>(answers: impl IntoIterator<Item = R>) -> Self {
        Self {
            receives: answers.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Records `datagram`.
    ///
    /// # Errors
    ///
    /// The next entry of `sends` is an error number.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if let Some(errno) = self.sends.pop_front().flatten() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sent.borrow_mut().push(datagram.to_vec());
        Ok(())
    }

    /// Replaces the content of `buffer` by the next answer. Returns the whole length of the
    /// datagram.
    ///
    /// # Errors
    ///
    /// The next answer is an error number, or no answer is left.
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
