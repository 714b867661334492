//! The socket, and the trait by which tests replace it.

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

/// Size of the receive buffer: space for the answers to a batch in which every request fails.
const SOCKET_RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// Timeout of an answer. The kernel answers during the send or not at all: a request that ends in
/// `EINTR` has no answer (`netlink_rcv_skb`, `net/netlink/af_netlink.c`, Linux 6.1).
const RECV_TIMEOUT: Duration = Duration::from_secs(2);

/// A netlink protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_NETFILTER`: ipset, conntrack, nftables.
    Netfilter,
    /// `NETLINK_GENERIC`: families resolved by name.
    Generic,
}

/// A transport of netlink datagrams.
pub trait Transport {
    /// Sends one datagram to the kernel.
    ///
    /// # Errors
    ///
    /// The datagram was not sent.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `buffer`, whose content it replaces. Returns the length of the
    /// datagram, which is larger than that of the buffer if the datagram did not fit.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` if the kernel dropped an answer; `EAGAIN` if no answer arrived in time.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
}

/// A netlink socket. It stays in the network namespace in which it was opened, even if the thread
/// changes its own.
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
    /// The step that failed. A kernel without the protocol answers `EPROTONOSUPPORT`.
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
        // Error answers without the request (since Linux 4.3) and with the kernel's error text
        // (since 4.12). Older kernels refuse the options; nothing depends on them.
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

/// Sets the size of the receive buffer: beyond the system's limit if privileged, otherwise up to
/// it.
fn set_receive_buffer(socket: &SysSocket) -> io::Result<()> {
    sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_RECEIVE_BYTES)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, SOCKET_RECEIVE_BYTES))?;
    Ok(())
}
