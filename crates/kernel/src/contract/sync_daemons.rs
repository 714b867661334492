//! Cases about synchronisation daemons.

use std::net::Ipv4Addr;

use ipvs::{SyncDaemon, SyncRole};
use model::Op;
use model::kernel::OpErrorKind;

use super::ContractKernel;
use super::builders::{do_all, outcomes, read, refused};
use super::named;

named![
    a_daemon_reads_back_with_the_kernels_defaults,
    every_setting_of_a_daemon_reads_back,
    each_role_has_one_daemon,
    a_stopped_daemon_is_gone_and_the_other_stays,
    a_daemon_without_interface_is_refused,
    a_daemon_with_a_unicast_group_is_refused,
    stopping_a_daemon_that_does_not_run_is_refused,
];

fn daemon(role: SyncRole) -> SyncDaemon {
    SyncDaemon {
        role,
        interface: "lo".into(),
        sync_id: 7,
        maximum_length: Some(1400),
        group: None,
        port: None,
        time_to_live: None,
    }
}

fn start(role: SyncRole) -> Op {
    Op::StartSyncDaemon(daemon(role))
}

fn running(kernel: &mut dyn ContractKernel) -> Vec<SyncDaemon> {
    read(kernel).tables.sync_daemons.into_values().collect()
}

fn a_daemon_reads_back_with_the_kernels_defaults(kernel: &mut dyn ContractKernel) {
    for role in [SyncRole::Master, SyncRole::Backup] {
        do_all(kernel, [start(role)]);
    }
    let resolved = |role| SyncDaemon {
        group: Some(Ipv4Addr::new(224, 0, 0, 81).into()),
        port: Some(8848),
        time_to_live: Some(1),
        ..daemon(role)
    };
    assert_eq!(
        running(kernel),
        [resolved(SyncRole::Master), resolved(SyncRole::Backup)]
    );
}

fn every_setting_of_a_daemon_reads_back(kernel: &mut dyn ContractKernel) {
    let daemon = SyncDaemon {
        sync_id: 255,
        group: Some(Ipv4Addr::new(239, 1, 2, 3).into()),
        port: Some(9000),
        time_to_live: Some(255),
        ..daemon(SyncRole::Master)
    };
    do_all(kernel, [Op::StartSyncDaemon(daemon.clone())]);
    assert_eq!(running(kernel), [daemon]);
}

fn each_role_has_one_daemon(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [start(SyncRole::Master), start(SyncRole::Backup)]);
    for role in [SyncRole::Master, SyncRole::Backup] {
        assert_eq!(refused(kernel, start(role)), OpErrorKind::AlreadyExists);
    }
    assert_eq!(running(kernel).len(), 2);
}

fn a_stopped_daemon_is_gone_and_the_other_stays(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [start(SyncRole::Master), start(SyncRole::Backup)]);
    for outcome in outcomes(kernel, [Op::StopSyncDaemon(SyncRole::Master)]) {
        // Linux does not answer if it stops a daemon whose thread has not run yet.
        if let Err(error) = outcome {
            assert_eq!(*error.kind(), OpErrorKind::Unknown);
        }
    }
    let roles: Vec<SyncRole> = running(kernel).iter().map(|daemon| daemon.role).collect();
    assert_eq!(roles, [SyncRole::Backup]);
}

fn a_daemon_without_interface_is_refused(kernel: &mut dyn ContractKernel) {
    let daemon = SyncDaemon {
        interface: "none0".into(),
        ..daemon(SyncRole::Master)
    };
    let kind = refused(kernel, Op::StartSyncDaemon(daemon));
    assert_eq!(kind, OpErrorKind::NoSuchInterface);
    assert_eq!(running(kernel), []);
}

fn a_daemon_with_a_unicast_group_is_refused(kernel: &mut dyn ContractKernel) {
    let daemon = SyncDaemon {
        group: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        ..daemon(SyncRole::Master)
    };
    let kind = refused(kernel, Op::StartSyncDaemon(daemon));
    assert_eq!(kind, OpErrorKind::Invalid);
}

fn stopping_a_daemon_that_does_not_run_is_refused(kernel: &mut dyn ContractKernel) {
    do_all(kernel, [start(SyncRole::Backup)]);
    let kind = refused(kernel, Op::StopSyncDaemon(SyncRole::Master));
    assert_eq!(kind, OpErrorKind::NoSuchSyncDaemon);
    assert_eq!(running(kernel).len(), 1);
}
