//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens at `address`. An unspecified one, `0.0.0.0` or `::`, stands for every address of both
/// families, as it does in Go and so for kube-proxy; without IPv6 in the kernel, for every IPv4 address.
///
/// Needs to be called within a tokio runtime.
///
/// # Errors
///
/// As the kernel gives them: the port is taken, the address is not this node's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_unspecified() {
        return open(address, true);
    }
    let port = address.port();
    match open((IpAddr::from(Ipv6Addr::UNSPECIFIED), port).into(), false) {
        Err(error) if lacks_ipv6(&error) => {
            open((IpAddr::from(Ipv4Addr::UNSPECIFIED), port).into(), true)
        }
        answer => answer,
    }
}

/// IPv6 is not in the kernel, or is switched off (`net.ipv6.conf.all.disable_ipv6`).
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart does not wait for connections of the process before.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Said in words: the default is a kernel setting (`net.ipv6.bindv6only`).
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
