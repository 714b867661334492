//! Sockets of this machine that receive new connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipvs::Protocol;
use kernel::ObserveError;
use procfs::net::{TcpState, tcp, tcp6, udp, udp6};
use procfs::{ProcError, ProcResult};
use trace::{At, Place};

use super::Machine;

/// Returns the listening TCP sockets and the UDP sockets without a peer, in the network namespace
/// of the calling thread.
///
/// # Errors
///
/// A list of sockets cannot be read.
pub(super) fn read() -> Result<BTreeSet<(Protocol, SocketAddr)>, ObserveError> {
    let of_tcp = [of_ipv4(tcp())?, of_ipv6(tcp6())?].into_iter().flatten();
    let listening = of_tcp.filter(|entry| entry.state == TcpState::Listen);
    let of_udp = [of_ipv4(udp())?, of_ipv6(udp6())?].into_iter().flatten();
    let without_peer = of_udp.filter(|entry| entry.remote_address.port() == 0);
    Ok(listening
        .map(|entry| (Protocol::Tcp, entry.local_address))
        .chain(without_peer.map(|entry| (Protocol::Udp, entry.local_address)))
        .collect())
}

fn of_ipv4<T>(read: ProcResult<Vec<T>>) -> Result<Vec<T>, ObserveError> {
    read.map_err(|error| ObserveError::Failed {
        what: "the sockets of this node",
        source: Box::new(error),
    })
}

/// Returns the entries of IPv6: none if the kernel does not have the family, and therefore no such
/// file.
fn of_ipv6<T>(read: ProcResult<Vec<T>>) -> Result<Vec<T>, ObserveError> {
    match read {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        read => of_ipv4(read),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_family_has_no_sockets() {
        let missing = || -> ProcResult<Vec<u8>> { Err(ProcError::NotFound(Some("/proc".into()))) };
        let denied = || -> ProcResult<Vec<u8>> {
            Err(ProcError::PermissionDenied(Some("/proc/net/tcp".into())))
        };
        assert!(of_ipv6(missing()).expect("a missing family").is_empty());
        for failed in [of_ipv4(missing()), of_ipv4(denied()), of_ipv6(denied())] {
            let error = model::chain(&failed.expect_err("an error")).to_string();
            assert!(
                error.starts_with("failed to read the sockets of this node: "),
                "{error}"
            );
        }
        assert_eq!(of_ipv6(Ok(vec![7])).expect("entries"), [7]);
    }
}
