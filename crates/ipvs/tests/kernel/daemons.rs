//! Tests of synchronisation daemons.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipvs::client::{ErrorKind, Request};
use ipvs::{SyncDaemon, SyncRole};
use support::namespace::bring_up;
use support::program::run;

use crate::namespace::{attempt, in_namespace};

fn plain(role: SyncRole) -> SyncDaemon {
    SyncDaemon {
        role,
        interface: "sync0".into(),
        sync_id: 7,
        maximum_length: None,
        group: None,
        port: None,
        time_to_live: None,
    }
}

fn add_interface() {
    run("ip", "link add sync0 type dummy", "");
    bring_up("sync0");
    run("ip", "address add 192.0.2.1/24 dev sync0", "");
    run("ip", "address add fd00:9::1/64 dev sync0 nodad", "");
}

/// Waits, because the kernel does not answer if it stops a daemon before its thread ever ran.
fn let_threads_run() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

#[test]
fn a_master_and_a_backup_start_and_stop() {
    in_namespace(|client| {
        add_interface();
        assert_eq!(client.sync_daemons().expect("read"), []);
        for role in [SyncRole::Master, SyncRole::Backup] {
            assert_eq!(attempt(client, Request::NewDaemon(plain(role))), None);
        }
        // The kernel reports its defaults.
        let daemons = client.sync_daemons().expect("read");
        let chosen = |role| SyncDaemon {
            maximum_length: daemons[0].maximum_length,
            group: Some(Ipv4Addr::new(224, 0, 0, 81).into()),
            port: Some(8848),
            time_to_live: Some(1),
            ..plain(role)
        };
        assert_eq!(
            daemons,
            [chosen(SyncRole::Master), chosen(SyncRole::Backup)]
        );
        assert!(daemons[0].maximum_length > Some(1_000));
        let_threads_run();
        for role in [SyncRole::Master, SyncRole::Backup] {
            assert_eq!(attempt(client, Request::DelDaemon(role)), None);
        }
        assert_eq!(client.sync_daemons().expect("read"), []);
    });
}

#[test]
fn every_setting_of_a_daemon_reads_back() {
    in_namespace(|client| {
        add_interface();
        let groups = [
            Ipv4Addr::new(239, 1, 2, 3).into(),
            Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x81).into(),
        ];
        for group in groups {
            let daemon = SyncDaemon {
                maximum_length: Some(900),
                group: Some(group),
                port: Some(9000),
                time_to_live: Some(5),
                ..plain(SyncRole::Master)
            };
            assert_eq!(attempt(client, Request::NewDaemon(daemon.clone())), None);
            let running = client.sync_daemons().expect("read");
            assert_eq!(running, std::slice::from_ref(&daemon));
            let_threads_run();
            assert_eq!(attempt(client, Request::DelDaemon(daemon.role)), None);
        }
    });
}

#[test]
fn daemons_are_refused_with_an_error_number() {
    in_namespace(|client| {
        let master = || plain(SyncRole::Master);
        assert_eq!(
            attempt(client, Request::NewDaemon(master())),
            Some(ErrorKind::Other(libc::ENODEV)),
            "no interface"
        );
        assert_eq!(
            attempt(client, Request::DelDaemon(SyncRole::Master)),
            Some(ErrorKind::NoSuchService),
            "none runs"
        );
        add_interface();
        assert_eq!(attempt(client, Request::NewDaemon(master())), None);
        assert_eq!(
            attempt(client, Request::NewDaemon(master())),
            Some(ErrorKind::AlreadyExists)
        );
    });
}

/// The kernel has no notifier for it: a daemon keeps its sockets, which send and receive nothing
/// any more, also after an interface of the same name is back.
#[test]
fn daemons_outlive_their_interface() {
    in_namespace(|client| {
        add_interface();
        for role in [SyncRole::Master, SyncRole::Backup] {
            assert_eq!(attempt(client, Request::NewDaemon(plain(role))), None);
        }
        let running = client.sync_daemons().expect("read");
        assert_eq!(running.len(), 2);
        let has_joined = || {
            let groups = std::fs::read_to_string("/proc/thread-self/net/igmp").expect("IPv4");
            // 224.0.0.81 in the byte order of the machine.
            groups.contains("510000E0")
        };
        assert!(has_joined());
        run("ip", "link delete sync0", "");
        assert_eq!(client.sync_daemons().expect("read"), running);
        add_interface();
        assert_eq!(client.sync_daemons().expect("read"), running);
        assert!(!has_joined(), "the new interface is not a member");
    });
}

#[test]
fn a_length_that_is_too_small_is_raised() {
    in_namespace(|client| {
        add_interface();
        for (role, length) in [(SyncRole::Master, 1), (SyncRole::Backup, 1024)] {
            let daemon = SyncDaemon {
                maximum_length: Some(1),
                ..plain(role)
            };
            assert_eq!(attempt(client, Request::NewDaemon(daemon)), None);
            let daemons = client.sync_daemons().expect("read");
            let found = daemons.iter().find(|daemon| daemon.role == role);
            assert_eq!(found.and_then(|it| it.maximum_length), Some(length));
        }
    });
}

#[test]
fn a_group_must_be_a_multicast_address() {
    in_namespace(|client| {
        add_interface();
        for group in ["192.0.2.2", "fd00:9::2"] {
            let daemon = SyncDaemon {
                group: Some(group.parse().expect("an address")),
                ..plain(SyncRole::Master)
            };
            assert_eq!(
                attempt(client, Request::NewDaemon(daemon)),
                Some(ErrorKind::Invalid),
                "{group}"
            );
        }
    });
}
