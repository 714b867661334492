//! Non-blocking sockets for clients and servers of many requests.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use crate::socket::{check, length_of, raw};

/// Waits until descriptors are readable or have an error. Returns their indices.
pub(crate) fn readable(descriptors: &[RawFd], time: Duration) -> io::Result<Vec<usize>> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|fd| libc::pollfd {
            fd: *fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let milliseconds = time.as_micros().div_ceil(1000);
    let time = libc::c_int::try_from(milliseconds).unwrap_or(libc::c_int::MAX);
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(0);
    // SAFETY: the descriptors are passed with their number, and outlive the call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, time) };
    check(ready.min(0))?;
    let places = polled.iter().enumerate();
    Ok(places
        .filter(|(_, poll)| poll.revents != 0)
        .map(|(place, _)| place)
        .collect())
}

/// Returns a non-blocking socket of this kind and protocol.
pub(crate) fn socket(
    address: SocketAddr,
    kind: libc::c_int,
    protocol: libc::c_int,
) -> io::Result<OwnedFd> {
    let domain = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are involved.
    let socket = unsafe { libc::socket(domain, kind | flags, protocol) };
    check(socket.min(0))?;
    // SAFETY: the socket was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// Starts to connect.
pub(crate) fn connect(socket: &OwnedFd, target: SocketAddr) -> io::Result<()> {
    let (address, length) = raw(target);
    // SAFETY: the address is initialized and outlives the call; the length is its.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

/// Sends on a connected socket.
pub(crate) fn send(socket: &OwnedFd, text: &[u8]) -> io::Result<()> {
    // SAFETY: the text outlives the call; the length is its.
    let sent = unsafe { libc::send(socket.as_raw_fd(), text.as_ptr().cast(), text.len(), 0) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends a datagram on an unconnected socket.
pub(crate) fn send_to(socket: &OwnedFd, text: &[u8], target: SocketAddr) -> io::Result<()> {
    let (address, length) = raw(target);
    let (start, count) = (text.as_ptr().cast(), text.len());
    // SAFETY: text and address are initialized and outlive the call; the lengths are theirs.
    let sent = unsafe {
        let address = (&raw const address).cast();
        libc::sendto(socket.as_raw_fd(), start, count, 0, address, length)
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Receives available data.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, count) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the buffer outlives the call; the length is its.
    let read = unsafe { libc::recv(socket.as_raw_fd(), start, count, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Receives a datagram and its source.
pub(crate) fn receive_from(
    socket: &OwnedFd,
    buffer: &mut [u8],
) -> io::Result<(usize, std::net::IpAddr)> {
    // SAFETY: an all-zero `sockaddr_storage` is valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = length_of::<libc::sockaddr_storage>();
    let (start, count) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: buffer and address outlive the call; the lengths are theirs.
    let read = unsafe {
        let address = (&raw mut storage).cast();
        libc::recvfrom(
            socket.as_raw_fd(),
            start,
            count,
            0,
            address,
            &raw mut length,
        )
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    Ok((read, address(&storage)))
}

/// Returns true if the other end accepted the connection.
pub(crate) fn is_connected(socket: &OwnedFd) -> bool {
    // SAFETY: an all-zero `sockaddr_storage` is valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = length_of::<libc::sockaddr_storage>();
    // SAFETY: the address and its length outlive the call.
    let status = unsafe {
        let address = (&raw mut storage).cast();
        libc::getpeername(socket.as_raw_fd(), address, &raw mut length)
    };
    status == 0
}

/// Returns the local port of the socket.
pub(crate) fn local_port(socket: &OwnedFd) -> io::Result<u16> {
    // SAFETY: an all-zero `sockaddr_storage` is valid.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = length_of::<libc::sockaddr_storage>();
    // SAFETY: the address and its length outlive the call.
    check(unsafe {
        let address = (&raw mut storage).cast();
        libc::getsockname(socket.as_raw_fd(), address, &raw mut length)
    })?;
    // SAFETY: both kinds of addresses have their port at this place (RFC 3493, section 3.3).
    let port = unsafe {
        (&raw const storage)
            .cast::<libc::sockaddr_in>()
            .read()
            .sin_port
    };
    Ok(u16::from_be(port))
}

/// Returns the source address that routing chooses for `target`.
///
/// # Errors
/// If there is no route.
pub(crate) fn routed(target: SocketAddr) -> io::Result<std::net::IpAddr> {
    let any: std::net::IpAddr = match target {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

fn address(storage: &libc::sockaddr_storage) -> std::net::IpAddr {
    let start = &raw const *storage;
    if libc::c_int::from(storage.ss_family) == libc::AF_INET6 {
        // SAFETY: the family determines the type of the address in the storage.
        let address = unsafe { start.cast::<libc::sockaddr_in6>().read() };
        std::net::Ipv6Addr::from(address.sin6_addr.s6_addr).into()
    } else {
        // SAFETY: the family determines the type of the address in the storage.
        let address = unsafe { start.cast::<libc::sockaddr_in>().read() };
        std::net::Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into()
    }
}
