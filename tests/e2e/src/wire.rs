//! Non-blocking sockets for clients and servers of many requests.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Waits until descriptors are readable or have an error. Returns their indices.
pub(crate) fn readable(descriptors: &[BorrowedFd<'_>], time: Duration) -> io::Result<Vec<usize>> {
    let polled = descriptors
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
    let mut polled: Vec<PollFd<'_>> = polled.collect();
    poll(&mut polled, Timespec::try_from(time).ok().as_ref())?;
    let places = polled.iter().enumerate();
    Ok(places
        .filter(|(_, polled)| !polled.revents().is_empty())
        .map(|(place, _)| place)
        .collect())
}

/// Returns a non-blocking socket of this kind and protocol.
pub(crate) fn socket(
    address: SocketAddr,
    kind: libc::c_int,
    protocol: libc::c_int,
) -> io::Result<OwnedFd> {
    open(
        address,
        kind,
        protocol,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
    )
}

/// Returns a socket for addresses of the family of `address`.
pub(crate) fn open(
    address: SocketAddr,
    kind: libc::c_int,
    protocol: libc::c_int,
    flags: SocketFlags,
) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => net::AddressFamily::INET,
        SocketAddr::V6(_) => net::AddressFamily::INET6,
    };
    let kind = SocketType::from_raw(kind.cast_unsigned());
    let protocol = NonZeroU32::new(protocol.cast_unsigned()).map(net::Protocol::from_raw);
    Ok(net::socket_with(family, kind, flags, protocol)?)
}

/// Starts to connect.
pub(crate) fn connect(socket: &OwnedFd, target: SocketAddr) -> io::Result<()> {
    Ok(net::connect(socket, &target)?)
}

/// Sends on a connected socket.
pub(crate) fn send(socket: &OwnedFd, text: &[u8]) -> io::Result<()> {
    net::send(socket, text, SendFlags::empty())?;
    Ok(())
}

/// Sends a datagram on an unconnected socket.
pub(crate) fn send_to(socket: &OwnedFd, text: &[u8], target: SocketAddr) -> io::Result<()> {
    net::sendto(socket, text, SendFlags::empty(), &target)?;
    Ok(())
}

/// Receives available data.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, length) = net::recv(socket, buffer, RecvFlags::empty())?;
    Ok(length)
}

/// Receives a datagram and its source.
pub(crate) fn receive_from(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
    let (_, length, from) = net::recvfrom(socket, buffer, RecvFlags::empty())?;
    let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok((length, SocketAddr::try_from(from)?.ip()))
}

/// Returns true if the other end accepted the connection.
pub(crate) fn is_connected(socket: &OwnedFd) -> bool {
    net::getpeername(socket).is_ok()
}

/// Returns the local port of the socket.
pub(crate) fn local_port(socket: &OwnedFd) -> io::Result<u16> {
    Ok(SocketAddr::try_from(net::getsockname(socket)?)?.port())
}

/// Returns the source address that routing chooses for `target`.
///
/// # Errors
/// If there is no route.
pub(crate) fn routed(target: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}
