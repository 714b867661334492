use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipvs::{Protocol, Statistics, VirtualServerKey};
use kernel::linux::Counted;
use model::names::{ObjectName, ServicePortName};

use super::{Owners, attribute, pause};

fn key(last: u8) -> VirtualServerKey {
    VirtualServerKey::Address {
        address: Ipv4Addr::new(10, 96, 0, last).into(),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

fn owner(service: &str) -> Arc<ServicePortName> {
    Arc::new(ServicePortName {
        service: ObjectName::new("shop", service),
        port: "http".into(),
        protocol: Protocol::Tcp,
    })
}

#[test]
fn foreign_virtual_servers_are_not_shown() {
    let counted = [1, 2].map(|last| Counted {
        key: key(last),
        statistics: Statistics {
            connections: last.into(),
            ..Statistics::default()
        },
        real_servers: Vec::new(),
    });
    let owners = Owners::from([(key(2), owner("web"))]);
    let shown = attribute(counted.to_vec(), &owners);
    let shown: Vec<_> = (shown.iter())
        .map(|one| (one.key, one.owner.clone(), one.statistics.connections))
        .collect();
    assert_eq!(shown, [(key(2), Some(owner("web")), 2)]);
}

#[test]
fn the_pause_grows_with_the_duration_of_the_reading() {
    for (took, rest) in [(0, 10_000), (400, 10_000), (2_000, 40_000)] {
        let took = Duration::from_millis(took);
        assert_eq!(pause(took), Duration::from_millis(rest));
    }
}
