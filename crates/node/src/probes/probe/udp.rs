//! A datagram and its answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use model::policy::UdpProbe;
use tokio::net::UdpSocket;

use super::Outcome;

/// Sends a datagram and compares the first answer. The socket is connected: datagrams of other
/// sources do not arrive, and an ICMP error is the error of the next call.
pub(super) async fn exchange(place: SocketAddr, udp: &UdpProbe) -> Result<(), Outcome> {
    let failure = |error| Outcome::of_io("udp", &error);
    let any: SocketAddr = match place {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failure)?;
    socket.connect(place).await.map_err(failure)?;
    socket.send(udp.send.bytes()).await.map_err(failure)?;
    let expected = udp.expect.bytes();
    // The kernel cuts what does not fit. A buffer without room would return at once.
    let mut answer = vec![0; expected.len().max(1)];
    let length = socket.recv(&mut answer).await.map_err(failure)?;
    match answer[..length].starts_with(expected) {
        true => Ok(()),
        false => Err(Outcome::failure("udp: unexpected answer")),
    }
}
