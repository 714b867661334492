//! A single connection attempt or datagram, and its result.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::socket::{Protocol, bind, check, length_of, raw, stream};
use crate::speed::scaled;

/// Result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knock {
    /// The connection is established, or the datagram was answered.
    Open,
    /// ICMP reported the port as unreachable.
    PortUnreachable,
    /// No answer.
    Silence,
    /// The client's own stack dropped the packet (`EPERM`).
    NotPermitted,
    /// Something else, such as a reset.
    Other(String),
}

/// Starts a connection or sends a datagram. Routing chooses the source address if `source` is
/// `None`.
#[must_use]
pub fn knock(
    from: &Namespace,
    source: Option<IpAddr>,
    protocol: Protocol,
    target: SocketAddr,
    patience: Duration,
) -> Knock {
    let outcome = from.run(|| {
        let socket = socket(protocol, source, target)?;
        attempt(&socket, protocol, target, patience)
    });
    match outcome {
        Ok(knock) => knock,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Knock::NotPermitted,
        Err(error) => Knock::Other(error.to_string()),
    }
}

/// Returns a non-blocking socket that keeps ICMP errors.
fn socket(protocol: Protocol, source: Option<IpAddr>, target: SocketAddr) -> io::Result<OwnedFd> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let local = SocketAddr::new(source.unwrap_or(any), 0);
    let socket = match protocol {
        Protocol::Udp => OwnedFd::from(UdpSocket::bind(local)?),
        Protocol::Tcp | Protocol::Sctp => {
            let socket = stream(protocol, target)?;
            bind(&socket, local)?;
            socket
        }
    };
    let (level, option) = match target {
        SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_RECVERR),
    };
    let yes = 1_i32;
    // SAFETY: the value outlives the calls; the length is its.
    unsafe {
        let length = length_of::<i32>();
        let value = (&raw const yes).cast();
        check(libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value,
            length,
        ))?;
        check(libc::ioctl(
            socket.as_raw_fd(),
            libc::FIONBIO,
            &raw const yes,
        ))?;
    }
    Ok(socket)
}

fn attempt(
    socket: &OwnedFd,
    protocol: Protocol,
    target: SocketAddr,
    patience: Duration,
) -> io::Result<Knock> {
    let (address, length) = raw(target);
    // SAFETY: the address is initialized and outlives the call; the length is its.
    let connected =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    match check(connected) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let mut events = libc::POLLOUT;
    if protocol == Protocol::Udp {
        events = libc::POLLIN;
        let text = b"who?\n";
        // SAFETY: the text outlives the call; the length is its.
        let sent = unsafe { libc::send(socket.as_raw_fd(), text.as_ptr().cast(), text.len(), 0) };
        if sent < 0 {
            let error = io::Error::last_os_error();
            // IPVS drops refused packets of the node itself, and reports the refusal by ICMP as to
            // other clients.
            let refused = happens(socket, 0, patience)?;
            let icmp = if refused { icmp_error(socket)? } else { None };
            return icmp.ok_or(error);
        }
    }
    if !happens(socket, events, patience)? {
        return Ok(Knock::Silence);
    }
    if let Some(knock) = icmp_error(socket)? {
        return Ok(knock);
    }
    match error_of(socket)? {
        0 => Ok(Knock::Open),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Waits for one of the events or an error. Returns false after `patience`, [`scaled`].
fn happens(socket: &OwnedFd, events: libc::c_short, patience: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events,
        revents: 0,
    };
    let time = libc::c_int::try_from(scaled(patience).as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one descriptor is passed, and it outlives the call.
    let count = unsafe { libc::poll(&raw mut poll, 1, time) };
    check(count.min(0))?;
    Ok(count > 0)
}

fn error_of(socket: &OwnedFd) -> io::Result<libc::c_int> {
    let mut error: libc::c_int = 0;
    let mut length = length_of::<libc::c_int>();
    // SAFETY: the value and its length outlive the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut length,
        )
    })?;
    Ok(error)
}

/// Returns the ICMP error in the error queue of the socket, if there is one.
fn icmp_error(socket: &OwnedFd) -> io::Result<Option<Knock>> {
    // An array of u64 has the alignment of control headers.
    let mut control = [0_u64; 64];
    // SAFETY: an all-zero `msghdr` is valid.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control);
    // SAFETY: the message has no data and its control data outlives the call.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE) };
    if read < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::WouldBlock => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: the kernel has filled the control data, and wrote its length into the message.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if header.is_null() {
        return Ok(None);
    }
    // SAFETY: these sockets ask for no control data but that of errors.
    let error = unsafe {
        libc::CMSG_DATA(header)
            .cast::<libc::sock_extended_err>()
            .read_unaligned()
    };
    let icmp = (error.ee_origin, error.ee_type, error.ee_code);
    Ok(Some(match icmp {
        (libc::SO_EE_ORIGIN_ICMP, 3, 3) | (libc::SO_EE_ORIGIN_ICMP6, 1, 4) => {
            Knock::PortUnreachable
        }
        (origin, kind, code) => Knock::Other(format!(
            "an error of origin {origin}, type {kind}, code {code}"
        )),
    }))
}
