use std::time::Duration;

use ipvs::ServiceFlags;
use model::config::default_scheduler_flags;
use model::{Frontend, FrontendKind};

use super::lower;
use crate::testing::{config, frontend};

#[test]
fn a_plain_frontend_has_no_flags_and_weight_one() {
    let claim = lower(frontend(FrontendKind::ClusterIp), &config());
    assert_eq!(claim.bound(), Some([203, 0, 113, 1].into()));
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
            ..frontend(FrontendKind::ClusterIp)
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
    let claim = lower(frontend(FrontendKind::ClusterIp), &config);
    assert_eq!(claim.entry.server.flags.bits(), 0x10);
}
