//! Sockets of this machine that receive new connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipvs::Protocol;
use procfs::ProcResult;
use procfs::net::{TcpState, tcp, tcp6, udp, udp6};
use trace::{At, Place};

use super::Machine;

/// Returns the listening TCP sockets and the UDP sockets without a peer, in the network namespace
/// of the calling thread. A family that the kernel does not have has none.
pub(super) fn read() -> BTreeSet<(Protocol, SocketAddr)> {
    let of_tcp = [tcp(), tcp6()].into_iter().flat_map(entries);
    let listening = of_tcp.filter(|entry| entry.state == TcpState::Listen);
    let of_udp = [udp(), udp6()].into_iter().flat_map(entries);
    let without_peer = of_udp.filter(|entry| entry.remote_address.port() == 0);
    listening
        .map(|entry| (Protocol::Tcp, entry.local_address))
        .chain(without_peer.map(|entry| (Protocol::Udp, entry.local_address)))
        .collect()
}

fn entries<T>(read: ProcResult<Vec<T>>) -> Vec<T> {
    read.unwrap_or_default()
}

/// Returns a place for each socket at one of `ports` that accepts packets to one of `to`. The place
/// of a socket at every address has no addresses.
pub(super) fn places(
    machine: &Machine,
    to: &BTreeSet<IpAddr>,
    ports: &BTreeSet<u16>,
) -> Vec<Place> {
    let sockets = machine.sockets.iter();
    let near = sockets.filter(|(_, socket)| {
        ports.contains(&socket.port()) && (is_any(socket.ip()) || to.contains(&socket.ip()))
    });
    near.map(|(protocol, socket)| Place {
        name: format!("the socket {socket} of this node"),
        addresses: match is_any(socket.ip()) {
            true => Vec::new(),
            false => vec![socket.ip()],
        },
        at: At::Host,
        listens: vec![(*protocol, socket.port())],
    })
    .collect()
}

/// Returns true for a socket at every address. One of IPv6 accepts IPv4 too, unless the program set
/// IPV6_V6ONLY, which `/proc` does not show.
fn is_any(address: IpAddr) -> bool {
    address.is_unspecified()
}
