//! Traffic for tests.

use std::time::Duration;

use ipvs::{Connections, RealServerKey, Statistics, VirtualServerKey};
use model::{ObjectName, ServicePortName};

use super::sample::{RealSample, Sample, ServerSample};
use super::traffic::NodeTraffic;

/// Returns `10.96.0.NUMBER:80/TCP`.
pub(super) fn key(number: u8) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: [10, 96, 0, number].into(),
        port: 80,
        protocol: ipvs::Protocol::Tcp,
    }
}

/// Returns `10.244.0.NUMBER:8080`.
pub(super) fn real(number: u8) -> RealServerKey {
    RealServerKey {
        address: [10, 244, 0, number].into(),
        port: 8080,
    }
}

/// Returns counters of which each is a multiple of `count`.
pub(super) fn counters(count: u64) -> Statistics {
    Statistics {
        connections: count,
        packets_in: 10 * count,
        packets_out: 8 * count,
        bytes_in: 1024 * count,
        bytes_out: 4096 * count,
        ..Statistics::default()
    }
}

/// Returns a sample at `at` seconds: a virtual server for each number of connections, whose two
/// real servers got half of them each. The second one drains.
pub(super) fn sample(at: u64, connections: &[(u8, u64)]) -> Sample {
    let servers = connections.iter().map(|(number, count)| {
        let half = |weight| RealSample {
            weight,
            connections: Connections {
                active: 3 * u32::from(*number),
                inactive: 1,
                persistent: 0,
            },
            counters: counters(count / 2),
        };
        let server = ServerSample {
            at: Duration::from_secs(at),
            counters: counters(*count),
            real_servers_at: Duration::from_secs(at),
            real_servers: [(real(1), half(1)), (real(2), half(0))].into(),
        };
        (key(*number), server)
    });
    Sample {
        servers: servers.collect(),
    }
}

/// Returns the owner of every virtual server but `10.96.0.9`: `shop/webNUMBER`, port `http`.
pub(super) fn owners() -> Vec<(VirtualServerKey, ServicePortName)> {
    let owner = |number| ServicePortName {
        service: ObjectName::new("shop", format!("web{number}")),
        port: "http".into(),
        protocol: ipvs::Protocol::Tcp,
    };
    (0..9).map(|number| (key(number), owner(number))).collect()
}

/// Returns the traffic between two samples.
pub(super) fn traffic(before: Option<&Sample>, now: &Sample) -> NodeTraffic {
    let owners = owners();
    NodeTraffic::between(before, now, |key| {
        let mut owners = owners.iter();
        owners.find(|(owned, _)| owned == key).map(|(_, name)| name)
    })
}
