//! Sockets of the three protocols, created with libc if the standard library lacks them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, SocketFlags, bind};

use crate::speed::scaled;
use crate::wire;

/// Protocol of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, in the style of TCP.
    Sctp,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Returns the option of `ipvsadm`.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Tcp => "-t",
            Self::Udp => "-u",
            Self::Sctp => "--sctp-service",
        }
    }

    /// Returns the name in Kubernetes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_lowercase())
    }
}

/// Returns a listening socket of TCP or SCTP. Both use the same system calls, so that
/// [`TcpListener`] serves both. Waiting for a connection or for data takes at most `timeout`.
pub(crate) fn listen(
    protocol: Protocol,
    address: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpListener> {
    let socket = stream(protocol, address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(timeout))?;
    bind(&socket, &address)?;
    net::listen(&socket, 128)?;
    Ok(TcpListener::from(socket))
}

/// Returns a listening socket of TCP or SCTP for only one family, even at an unspecified address,
/// with a long queue.
pub(crate) fn listen_alone(protocol: Protocol, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = stream(protocol, address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    net::listen(&socket, 1024)?;
    Ok(TcpListener::from(socket))
}

/// Connects over TCP or SCTP, from `source` if given. Every call takes at most `timeout`,
/// [`scaled`]. Port 0 means a fresh port.
pub(crate) fn connect(
    protocol: Protocol,
    source: Option<SocketAddr>,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let socket = stream(protocol, target)?;
    let time = Some(scaled(timeout));
    // The timeout for sending applies to connecting too.
    sockopt::set_socket_timeout(&socket, Timeout::Send, time)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, time)?;
    // An old connection from this port may still be in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &fresh(source, target))?;
    net::connect(&socket, &target)?;
    Ok(TcpStream::from(socket))
}

/// Returns `source` with a fresh port; by default the unspecified address of `target`'s family.
///
/// The kernel would choose a port that is free only towards `target`, and IPVS keeps the port. Two
/// connections from one port to two addresses of one endpoint would be the same connection to the
/// endpoint, and one of them would hang. A datagram from a port that IPVS knows would go to the
/// previous real server.
pub(crate) fn fresh(source: Option<SocketAddr>, target: SocketAddr) -> SocketAddr {
    // Below the node ports, so that answers are not taken for packets to a node port.
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let any = match target {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let mut source = source.unwrap_or(SocketAddr::new(any, 0));
    if source.port() == 0 {
        source.set_port(FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
    }
    source
}

pub(crate) fn stream(protocol: Protocol, address: SocketAddr) -> io::Result<OwnedFd> {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
        Protocol::Udp => return Err(io::Error::other("UDP has no connections")),
    };
    let socket = wire::open(address, libc::SOCK_STREAM, number, SocketFlags::CLOEXEC)?;
    if protocol == Protocol::Sctp {
        set(&socket, libc::IPPROTO_SCTP, libc::SCTP_RTOINFO, &SOON_AGAIN)?;
    }
    Ok(socket)
}

/// `struct sctp_rtoinfo` (include/uapi/linux/sctp.h, Linux 6.1); times in milliseconds, 0 leaves
/// one as it is.
#[repr(C)]
struct RetransmissionTimes {
    association: i32,
    initial: u32,
    max: u32,
    min: u32,
}

/// IPVS drops the first packet from a port that it still knows, and expects a retransmission
/// (`ip_vs_in_hook`, net/netfilter/ipvs/ip_vs_core.c, Linux 6.1). SCTP would retransmit after three
/// seconds (RFC 9260, 16), later than the time limit of a probe.
const SOON_AGAIN: RetransmissionTimes = RetransmissionTimes {
    association: 0,
    initial: 500,
    max: 0,
    min: 200,
};

/// Sets an option for which there is no safe function.
pub(crate) fn set<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the value outlives the call; the length is its.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets the connection end with an RST when it is dropped, so that this end keeps no state of it.
pub(crate) fn reset_at_end(stream: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(stream, Some(Duration::ZERO))?)
}
