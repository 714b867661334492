//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens at `address`. The unspecified addresses `0.0.0.0` and `::` stand for every address of
/// both families, as in Go and kube-proxy. If the kernel has no IPv6, they stand for every IPv4
/// address.
///
/// Must be called within a tokio runtime.
///
/// # Errors
///
/// Errors of the kernel, for example if the port is taken or the address does not belong to this
/// node.
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

/// Returns true if the kernel has no IPv6 or IPv6 is disabled (`net.ipv6.conf.all.disable_ipv6`).
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
    // After a restart the port is available even if connections of the earlier process linger.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Explicit, since the default is a kernel setting (`net.ipv6.bindv6only`).
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
