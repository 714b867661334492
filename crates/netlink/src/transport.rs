//! The socket, behind a seam that tests can script.

mod batch;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use netlink_sys::{Socket as SysSocket, SocketAddr, protocols};
use rustix::net::sockopt::{self, Timeout};

use self::batch::RecvBatch;
use crate::error::OpenError;

/// Room for the answers to a batch in which every request fails.
const SOCKET_RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// Time limit of an answer. The kernel answers within the send itself, or not at all: a request that ends in `EINTR` has no
/// answer (`netlink_rcv_skb`, `net/netlink/af_netlink.c`, Linux 6.1).
const RECV_TIMEOUT: Duration = Duration::from_secs(2);

/// A netlink protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_NETFILTER`: ipset, conntrack, nftables.
    Netfilter,
    /// `NETLINK_GENERIC`: families by name.
    Generic,
}

/// Sends and receives datagrams.
pub trait Transport {
    /// Sends one datagram to the kernel.
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `buffer`, whose content it replaces, and returns its whole length,
    /// which is larger than the buffer's where the datagram did not fit.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` where the kernel dropped an answer; `EAGAIN` where none came in time.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
}

/// A netlink socket of the network namespace in which it was opened, wherever the thread goes later.
#[derive(Debug)]
pub struct Socket {
    socket: SysSocket,
    batch: RecvBatch,
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// Says which step failed; a kernel without the protocol answers `EPROTONOSUPPORT`.
    pub fn open(protocol: Protocol) -> Result<Self, OpenError> {
        let number = match protocol {
            Protocol::Route => protocols::NETLINK_ROUTE,
            Protocol::Netfilter => protocols::NETLINK_NETFILTER,
            Protocol::Generic => protocols::NETLINK_GENERIC,
        };
        let step = |action| move |source| OpenError { action, source };
        let mut socket = SysSocket::new(number).map_err(step("open"))?;
        socket.bind_auto().map_err(step("bind"))?;
        (socket.connect(&SocketAddr::new(0, 0))).map_err(step("connect"))?;
        set_receive_buffer(&socket).map_err(step("size the receive buffer of"))?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(RECV_TIMEOUT))
            .map_err(|error| step("set the time limit of")(error.into()))?;
        // Error answers without the request that they answer, and with the kernel's words. Kernels
        // before 4.3 and 4.12 lack these; nothing depends on them.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        let batch = RecvBatch::default();
        Ok(Self { socket, batch })
    }
}

impl Transport for Socket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match self.batch.take(self.socket.as_fd(), buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }
}

/// Sizes the buffer beyond the system's limit if privileged, else up to it.
fn set_receive_buffer(socket: &SysSocket) -> io::Result<()> {
    sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_RECEIVE_BYTES)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, SOCKET_RECEIVE_BYTES))?;
    Ok(())
}
