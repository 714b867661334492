mod engine;
mod hostile;
mod kinds;
mod states;

use std::net::SocketAddr;

use model::policy::{CheckTarget, Probe};
use tokio::net::TcpListener;

use super::{Authorities, Outcome};

fn target(place: SocketAddr, check: &str) -> CheckTarget {
    CheckTarget {
        address: place.ip(),
        port: place.port().try_into().expect("a port"),
        probe: Probe::parse(check).expect("a check"),
    }
}

/// Probes without authorities.
async fn probe(target: &CheckTarget) -> Outcome {
    super::probe(target, &Authorities::default()).await
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let place = listener.local_addr().expect("an address");
    (listener, place)
}

/// Returns a place that refuses connections.
async fn closed() -> SocketAddr {
    listener().await.1
}

fn failure(text: &str) -> Outcome {
    Outcome::Failure(text.into())
}
