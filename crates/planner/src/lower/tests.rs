use std::sync::Arc;

use std::num::NonZeroU16;
use std::time::Duration;

use ipvs::{Protocol, ServiceFlags};
use model::cluster::TrafficPolicy;
use model::config::default_scheduler_flags;
use model::frontend::Sources;
use model::{Backend, Frontend, FrontendKind, ObjectName, ServicePortName};

use super::lower;
use crate::testing::config;

fn frontend() -> Frontend {
    let port = NonZeroU16::new(80).expect("not zero");
    Frontend {
        owner: Arc::new(ServicePortName {
            service: ObjectName::new("default", "web"),
            port: "http".into(),
            protocol: Protocol::Tcp,
        }),
        kind: FrontendKind::ClusterIp,
        address: [10, 96, 0, 1].into(),
        port,
        protocol: Protocol::Tcp,
        affinity: None,
        scheduler: None,
        bind: true,
        policy: TrafficPolicy::Cluster,
        lacks_local: false,
        sources: Sources::Any,
        finishing: Arc::default(),
        backends: vec![Backend {
            address: [10, 1, 0, 1].into(),
            port,
        }],
    }
}

#[test]
fn a_plain_frontend_has_no_flags_and_weight_one() {
    let claim = lower(frontend(), &config());
    assert_eq!(claim.bound, Some([10, 96, 0, 1].into()));
    assert_eq!(claim.entry.server.flags, ServiceFlags::empty());
    assert_eq!(claim.entry.server.persistence_timeout, Duration::ZERO);
    assert!(
        claim
            .entry
            .real_servers
            .values()
            .all(|real| real.weight == 1)
    );
}

#[test]
fn client_ip_affinity_is_persistence() {
    for (affinity, timeout) in [(10_800, 10_800), (0, 1), (u64::MAX, u64::from(u32::MAX))] {
        let frontend = Frontend {
            affinity: Some(Duration::from_secs(affinity)),
            ..frontend()
        };
        let server = lower(frontend, &config()).entry.server.clone();
        assert_eq!(server.flags, ServiceFlags::PERSISTENT);
        assert_eq!(server.persistence_timeout, Duration::from_secs(timeout));
    }
}

#[test]
fn maglev_hashes_the_source_port_too() {
    let mut config = config();
    config.scheduler = ipvs::Scheduler("mh".into());
    config.scheduler_flags = default_scheduler_flags("mh");
    let server = lower(frontend(), &config).entry.server.clone();
    assert_eq!(server.flags.bits(), 0x10);
}
