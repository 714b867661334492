//! A single connection attempt or datagram, and its result.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{bind, sockopt};

use crate::namespace::Namespace;
use crate::socket::{Protocol, set, stream};
use crate::speed::scaled;
use crate::wire::{connect, send};

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
    timeout: Duration,
) -> Knock {
    let outcome = from.run(|| {
        let socket = socket(protocol, source, target)?;
        attempt(&socket, protocol, target, timeout)
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
            bind(&socket, &local)?;
            socket
        }
    };
    let (level, option) = match target {
        SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_RECVERR),
    };
    set(&socket, level, option, &1_i32)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

fn attempt(
    socket: &OwnedFd,
    protocol: Protocol,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<Knock> {
    match connect(socket, target) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let mut events = PollFlags::OUT;
    if protocol == Protocol::Udp {
        events = PollFlags::IN;
        if let Err(error) = send(socket, b"who?\n") {
            // IPVS drops refused packets of the node itself, and reports the refusal by ICMP as to
            // other clients.
            let refused = happens(socket, PollFlags::empty(), timeout)?;
            let icmp = if refused { icmp_error(socket)? } else { None };
            return icmp.ok_or(error);
        }
    }
    if !happens(socket, events, timeout)? {
        return Ok(Knock::Silence);
    }
    if let Some(knock) = icmp_error(socket)? {
        return Ok(knock);
    }
    sockopt::socket_error(socket)??;
    Ok(Knock::Open)
}

/// Waits for one of the events or an error. Returns false after `timeout`, [`scaled`].
fn happens(socket: &OwnedFd, events: PollFlags, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(scaled(timeout)).ok();
    Ok(poll(&mut [PollFd::new(socket, events)], timeout.as_ref())? > 0)
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
