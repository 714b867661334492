//! Sockets of the three protocols, created with libc if the standard library lacks them.

use std::fmt;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::speed::scaled;

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
/// [`TcpListener`] serves both. Waiting for a connection or for data takes at most `patience`.
pub(crate) fn listen(
    protocol: Protocol,
    address: SocketAddr,
    patience: Duration,
) -> io::Result<TcpListener> {
    let socket = stream(protocol, address)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32)?;
    set(
        &socket,
        libc::SOL_SOCKET,
        libc::SO_RCVTIMEO,
        &timeval(patience),
    )?;
    bind(&socket, address)?;
    // SAFETY: no pointers are involved.
    check(unsafe { libc::listen(socket.as_raw_fd(), 128) })?;
    Ok(TcpListener::from(socket))
}

/// Returns a listening socket of TCP or SCTP for only one family, even at an unspecified address,
/// with a long queue.
pub(crate) fn listen_alone(protocol: Protocol, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = stream(protocol, address)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32)?;
    if address.is_ipv6() {
        set(&socket, libc::SOL_IPV6, libc::IPV6_V6ONLY, &1_i32)?;
    }
    bind(&socket, address)?;
    // SAFETY: no pointers are involved.
    check(unsafe { libc::listen(socket.as_raw_fd(), 1024) })?;
    Ok(TcpListener::from(socket))
}

/// Connects over TCP or SCTP, from `source` if given. Every call takes at most `patience`,
/// [`scaled`]. Port 0 means a fresh port.
pub(crate) fn connect(
    protocol: Protocol,
    source: Option<SocketAddr>,
    target: SocketAddr,
    patience: Duration,
) -> io::Result<TcpStream> {
    let socket = stream(protocol, target)?;
    let time = timeval(scaled(patience));
    // The timeout for sending applies to connecting too.
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &time)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &time)?;
    // An old connection from this port may still be in TIME_WAIT.
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32)?;
    bind(&socket, fresh(source, target))?;
    let (address, length) = raw(target);
    // SAFETY: the address is initialized and outlives the call; the length is its.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
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
    let domain = match address {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Sctp => libc::IPPROTO_SCTP,
        Protocol::Udp => return Err(io::Error::other("UDP has no connections")),
    };
    // SAFETY: no pointers are involved.
    let socket = unsafe { libc::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, number) };
    check(socket.min(0))?;
    // SAFETY: the socket was just created and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
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

pub(crate) fn bind(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let (address, length) = raw(address);
    // SAFETY: the address is initialized and outlives the call; the length is its.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
}

pub(crate) fn set<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = length_of::<T>();
    // SAFETY: the value outlives the call; the length is its.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            length,
        )
    })
}

/// Lets the connection end with an RST when it is dropped, so that this end keeps no state of it.
pub(crate) fn reset_at_end(stream: &impl AsRawFd) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set(stream, libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

fn timeval(time: Duration) -> libc::timeval {
    libc::timeval {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: time.subsec_micros().into(),
    }
}

pub(crate) fn raw(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: an all-zero `sockaddr_storage` is valid.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    match address {
        SocketAddr::V4(address) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*address.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is large enough for every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            (storage, length_of::<libc::sockaddr_in>())
        }
        SocketAddr::V6(address) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: address.ip().octets(),
                },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: the storage is large enough for every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            (storage, length_of::<libc::sockaddr_in6>())
        }
    }
}

pub(crate) fn length_of<T>() -> libc::socklen_t {
    mem::size_of::<T>() as libc::socklen_t
}

pub(crate) fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
