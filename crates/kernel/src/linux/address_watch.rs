//! Watches the addresses of the node and losses of the dummy device.

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
pub use changes::{Changes, DeviceLosses, LostAddresses};
use known::Known;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`, `include/uapi/linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Changes often arrive together, for example when an interface is deleted. After the first change,
/// further ones are collected for this time.
const BURST: Duration = Duration::from_millis(50);

/// Receive buffer for the notices of about ten thousand addresses of our own, which one send may
/// cause.
const SOCKET_RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// Size of the receive buffer for one datagram. The longest known notice is that of a link with
/// many virtual functions.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Watches the interfaces of the network namespace in which it was opened.
///
/// These events are changes:
/// - an interface appears, disappears or is renamed
/// - an interface gains or loses an address
///
/// The state of a link and the lifetime of an address do not count. Of the dummy device
/// `kube-ipvs0` only losses count, since kube-ipvsd itself adds to it.
pub struct AddressWatch {
    socket: Socket,
    known: Known,
    stopped: PipeReader,
    buffer: Vec<u8>,
}

/// Ends the wait of its [`AddressWatch`] when dropped, from any thread.
#[derive(Debug)]
pub struct WatchStop {
    _writer: PipeWriter,
}

/// Result of [`AddressWatch::wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Changes that must be read again.
    Changed(Changes),
    /// The [`WatchStop`] was dropped.
    Stopped,
}

/// Result of one wait: more messages, or a request to stop.
#[derive(PartialEq, Eq)]
enum Wait {
    More,
    Stopped,
}

impl AddressWatch {
    /// Opens the watch. Every later change is reported.
    ///
    /// # Errors
    ///
    /// Fails if a socket cannot be opened or the interfaces cannot be listed.
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

    /// Waits for a change, collects further changes for 50 ms, and returns all of them. It also
    /// returns when the watch is stopped.
    ///
    /// If the kernel dropped notices, everything may have changed.
    ///
    /// # Errors
    ///
    /// Fails if the socket fails, or if the interfaces cannot be listed after notices were dropped.
    /// Changes in the meantime are unknown. Another wait may succeed.
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

    /// Waits up to `limit` for one datagram, and adds its changes to `changes`.
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

    /// Reads the interfaces again after notices were dropped.
    ///
    /// The kernel silently drops all further notices until the receive queue is empty
    /// (`netlink_overrun` and `netlink_rcv_wake`, `net/netlink/af_netlink.c`, Linux 6.1). Therefore
    /// the queue is emptied first.
    fn read_again(&mut self, changes: &mut Changes) -> io::Result<()> {
        debug!("the kernel dropped notices of address changes; reading all interfaces again");
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
    /// Processes a datagram and adds its changes to `changes`. A message that cannot be decoded may
    /// be any change.
    fn take_all(&mut self, mut datagram: &[u8], changes: &mut Changes) {
        while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
            let taken = self.take(message.message_type(), message.payload(), changes);
            if let Err(error) = taken {
                debug!(
                    "cannot decode a notice of an interface change, treating it as a change: {error}"
                );
                changes.interfaces = true;
            }
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
            datagram = datagram
                .get(length.next_multiple_of(4)..)
                .unwrap_or_default();
        }
    }
}

/// Reason why a watch could not be opened.
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

/// Returns true if another receive may succeed.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Interrupted || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Lists the interfaces and their addresses. Notices deliver the changes that a disturbed list
/// lacks.
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
