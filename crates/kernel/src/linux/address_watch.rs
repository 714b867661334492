//! Reports changes of the node's addresses, and losses of the dummy device.

mod changes;
mod known;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use netlink::{Connection, DumpError, Integrity, Protocol};
use netlink_packet_core::NetlinkBuffer;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use tracing::debug;

use super::{READINGS, messages, poll};
pub use changes::{Changes, Lost, LostAddresses};
use known::Known;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`, `include/uapi/linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Changes come together, as when an interface goes: for so long after the first one more are waited for.
const BURST: Duration = Duration::from_millis(50);

/// Room for the notices of some ten thousand addresses of our own, which one send may make.
const SOCKET_RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// The longest notice known is that of a link with many virtual functions.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Waits for changes of the interfaces of the network namespace in which it was opened.
///
/// A change is an interface that appears, vanishes or is renamed, or an address that an interface gains or loses; not that
/// a link goes up or down, nor that the lifetime of an address is extended. Of the dummy device `kube-ipvs0` only losses
/// are changes: what it gains is our own doing.
pub struct AddressWatch {
    socket: Socket,
    known: Known,
    stopped: PipeReader,
    buffer: Vec<u8>,
}

/// Ends the waiting of its [`AddressWatch`] when it is dropped, from any thread.
#[derive(Debug)]
pub struct WatchStop {
    _writer: PipeWriter,
}

/// Why [`AddressWatch::wait`] returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// These things changed: read them again.
    Changed(Changes),
    /// The [`WatchStop`] is gone.
    Stopped,
}

/// Result of one wait: more messages, or the order to stop.
#[derive(PartialEq, Eq)]
enum Wait {
    More,
    Stopped,
}

impl AddressWatch {
    /// Opens the watch. Every change after this is told.
    ///
    /// # Errors
    ///
    /// A socket could not be opened, or the interfaces could not be listed.
    pub fn open() -> Result<(Self, WatchStop), WatchError> {
        let socket = subscribe().map_err(|error| failed("subscribe to", error))?;
        let known = read()?;
        let (stopped, writer) = io::pipe().map_err(|error| failed("wait for", error))?;
        let watch = Self {
            socket,
            known,
            stopped,
            buffer: Vec::with_capacity(RECEIVE_BYTES),
        };
        Ok((watch, WatchStop { _writer: writer }))
    }

    /// Waits for a change, gathers what follows within 50 ms, and returns all of it; or waits for the end. Where the kernel
    /// had to drop notices, everything may have changed.
    ///
    /// # Errors
    ///
    /// The socket failed, or the interfaces could not be listed after notices were dropped. What
    /// happened meanwhile is not known; waiting again may succeed.
    pub fn wait(&mut self) -> io::Result<Watched> {
        let mut changes = Changes::default();
        while changes.is_empty() {
            if self.notice(None, &mut changes)? == Wait::Stopped {
                return Ok(Watched::Stopped);
            }
        }
        let end = Instant::now() + BURST;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Watched::Changed(changes));
            }
            if self.notice(Some(left), &mut changes)? == Wait::Stopped {
                return Ok(Watched::Stopped);
            }
        }
    }

    /// Waits for one datagram, for so long, and adds to `changes` what it says.
    fn notice(&mut self, limit: Option<Duration>, changes: &mut Changes) -> io::Result<Wait> {
        let polled = [
            Some(poll::readable(self.stopped.as_fd())),
            Some(poll::readable(self.socket.as_fd())),
        ];
        let [stopped, received] = poll::wait(polled, limit)?;
        if stopped {
            return Ok(Wait::Stopped);
        }
        if received {
            self.receive(changes)?;
        }
        Ok(Wait::More)
    }

    fn receive(&mut self, changes: &mut Changes) -> io::Result<()> {
        self.buffer.clear();
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        match self.socket.recv(&mut self.buffer, flags) {
            Ok(length) if length > self.buffer.len() => self.read_again(changes),
            Ok(_) => {
                self.known.take_all(&self.buffer, changes);
                Ok(())
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.read_again(changes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notices were dropped. The kernel drops all further ones, and says nothing more, until none is
    /// left to be received (`netlink_overrun` and `netlink_rcv_wake`, `net/netlink/af_netlink.c`,
    /// Linux 6.1): so these go first.
    fn read_again(&mut self, changes: &mut Changes) -> io::Result<()> {
        debug!("notices of changed addresses were dropped");
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if !is_passing(&error) => return Err(error),
                _ => {}
            }
        }
        let had_device = self.known.has_device();
        self.known = read().map_err(io::Error::other)?;
        let lost_device = changes.lost.device || (had_device && !self.known.has_device());
        *changes = Changes::unknown();
        changes.lost.device = lost_device;
        Ok(())
    }
}

impl std::fmt::Debug for AddressWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressWatch").finish_non_exhaustive()
    }
}

impl Known {
    /// Takes over a datagram, and adds to `changes` what it changed. A message that is not understood may be any change.
    fn take_all(&mut self, mut datagram: &[u8], changes: &mut Changes) {
        while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
            let taken = self.take(message.message_type(), message.payload(), changes);
            if let Err(error) = taken {
                debug!("a notice is not understood: {error}");
                changes.interfaces = true;
            }
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
            datagram = datagram
                .get(length.next_multiple_of(4)..)
                .unwrap_or_default();
        }
    }
}

/// A watch that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} the network interfaces")]
pub struct WatchError {
    action: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn failed(
    action: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> WatchError {
    let source = Box::new(source);
    WatchError { action, source }
}

fn subscribe() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    if set_socket_recv_buffer_size_force(&socket, SOCKET_RECEIVE_BYTES).is_err() {
        set_socket_recv_buffer_size(&socket, SOCKET_RECEIVE_BYTES)?;
    }
    socket.bind(&SocketAddr::new(0, GROUPS))?;
    Ok(socket)
}

/// Receiving again may go well.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Interrupted || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Lists the interfaces and their addresses. A list that was changed under way lacks what notices tell.
fn read() -> Result<Known, WatchError> {
    let mut connection =
        Connection::open(Protocol::Route).map_err(|error| failed("ask for", error))?;
    let mut known = Known::default();
    for _ in 0..READINGS {
        known = Known::default();
        let lists = list(&mut connection, &mut known);
        if lists.map_err(|error| failed("list", error))? == [Integrity::Whole; 2] {
            break;
        }
    }
    Ok(known)
}

fn list(connection: &mut Connection, known: &mut Known) -> Result<[Integrity; 2], DumpError> {
    let links = connection.dump(&messages::all_links(), |payload| {
        known.take(known::NEW_LINK, payload, &mut Changes::default())
    })?;
    let addresses = connection.dump(&messages::all_addresses(), |payload| {
        known.take(known::NEW_ADDRESS, payload, &mut Changes::default())
    })?;
    Ok([links, addresses])
}
