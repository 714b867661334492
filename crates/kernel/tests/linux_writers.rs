//! Linux with concurrent writers, and with several namespaces.

mod vm;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernel::{Kernel as _, OpErrorKind};
use model::{Op, Scope, Selection, VirtualServerEntry};
use support::namespace::in_namespace;
use support::program::run;

use vm::{apply, do_all, open, real, server, table, tcp};

fn key(number: u16) -> ipvs::VirtualServerKey {
    let [high, low] = number.to_be_bytes();
    tcp(Ipv4Addr::new(10, 96, high, low), 80)
}

fn is_whole(entry: &VirtualServerEntry) -> bool {
    entry.real_servers.len() == 2
}

/// Reads `rounds` times while another program deletes and adds `foreign` of 600 virtual servers,
/// with a pause after each. A reading that is not torn must contain all others. Returns the number
/// of torn readings.
fn check(foreign: &[u16], pause: Duration, rounds: u32) -> u32 {
    const COUNT: u16 = 600;
    in_namespace(|| {
        let mut reader = open();
        do_all(&mut reader, table(COUNT, 2));
        let done = AtomicBool::new(false);
        let readings = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = open();
                for number in foreign.iter().cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = key(*number);
                    do_all(&mut writer, [Op::DelVirtualServer(key)]);
                    do_all(&mut writer, [Op::AddVirtualServer(server(key, "rr"))]);
                    std::thread::sleep(pause);
                }
            });
            // The result is checked later, since a panic here would leave the writer running.
            let read = |round| match round % 2 {
                0 => reader.observe(&Scope::EVERYTHING),
                // This kernel has not read the table before.
                _ => open().observe(&Scope::EVERYTHING),
            };
            let readings: Vec<_> = (0..rounds).map(read).collect();
            done.store(true, Ordering::Relaxed);
            readings
        });
        let mut torn = 0;
        for reading in readings {
            let reading = reading.expect("a reading");
            if reading.torn {
                torn += 1;
                continue;
            }
            for number in (0..COUNT).filter(|number| !foreign.contains(number)) {
                let entry = reading.tables.virtual_servers.get(&key(number));
                let entry = entry.unwrap_or_else(|| panic!("{} is missing", key(number)));
                assert!(is_whole(entry), "{} lacks real servers", key(number));
            }
        }
        let after = reader.observe(&Scope::EVERYTHING).expect("a reading");
        assert!(!after.torn, "the writer has ended");
        println!("{torn} of {rounds} readings were torn");
        torn
    })
}

#[test]
fn a_reading_during_many_changes_is_complete_or_torn() {
    let odd: Vec<u16> = (0..600).filter(|number| number % 2 == 1).collect();
    assert!(check(&odd, Duration::ZERO, 10) > 0);
}

#[test]
fn a_reading_while_one_virtual_server_flaps_is_complete_or_torn() {
    check(&[77], Duration::ZERO, 20);
}

#[test]
fn a_reading_beside_a_pausing_writer_becomes_complete() {
    assert!(check(&[1, 3, 5], Duration::from_millis(700), 20) < 20);
}

#[test]
fn an_untouched_virtual_server_is_read_completely() {
    in_namespace(|| {
        let mut reader = open();
        do_all(&mut reader, table(100, 2));
        let done = AtomicBool::new(false);
        let scope = Scope {
            virtual_servers: Selection::Only([key(50)].into()),
            ..Scope::NOTHING
        };
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut writer = open();
                while !done.load(Ordering::Relaxed) {
                    do_all(
                        &mut writer,
                        [
                            Op::DelVirtualServer(key(51)),
                            Op::AddVirtualServer(server(key(51), "rr")),
                        ],
                    );
                }
            });
            let readings: Vec<_> = (0..200).map(|_| reader.observe(&scope)).collect();
            done.store(true, Ordering::Relaxed);
            for reading in readings {
                let reading = reading.expect("a reading");
                let entry = reading.tables.virtual_servers.get(&key(50));
                assert!(reading.torn || entry.is_some_and(|entry| is_whole(entry)));
            }
        });
    });
}

#[test]
fn each_network_namespace_has_separate_tables() {
    in_namespace(|| {
        let mut first = open();
        do_all(&mut first, table(3, 1));
        do_all(&mut first, [Op::EnsureDevice]);
        in_namespace(|| {
            let mut second = open();
            let snapshot = second.observe(&Scope::EVERYTHING).expect("a reading");
            assert!(snapshot.tables.virtual_servers.is_empty());
            assert!(!snapshot.device);
            do_all(&mut second, [Op::AddVirtualServer(server(key(9), "sh"))]);
        });
        let snapshot = first.observe(&Scope::EVERYTHING).expect("a reading");
        assert_eq!(snapshot.tables.virtual_servers.len(), 3);
        assert!(!snapshot.tables.virtual_servers.contains_key(&key(9)));
    });
}

#[test]
fn foreign_deletions_and_additions_are_reported() {
    in_namespace(|| {
        let (mut ours, mut theirs) = (open(), open());
        do_all(&mut ours, table(2, 1));
        do_all(&mut theirs, [Op::DelVirtualServer(key(0))]);
        let add = Op::AddRealServer(key(1), real(Ipv4Addr::new(10, 1, 9, 9), 1));
        do_all(&mut theirs, [add.clone()]);
        let real = real(Ipv4Addr::new(10, 1, 0, 0), 5);
        let kinds = apply(&mut ours, [Op::SetRealServer(key(0), real), add]);
        assert_eq!(
            kinds,
            [
                Some(OpErrorKind::NoSuchVirtualServer),
                Some(OpErrorKind::AlreadyExists)
            ]
        );
    });
}

#[test]
fn temporary_sets_of_a_killed_process_are_deleted() {
    in_namespace(|| {
        for set in ["~KUBE-CLUSTER-IP", "~CALICO", "KUBE-CLUSTER-IP"] {
            run("ipset", &format!("create {set} hash:ip,port"), "");
        }
        let mut kernel = open();
        let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
        assert_eq!(live.tables.sets.len(), 1, "{:?}", live.tables.sets);
        let there = || {
            let listed = run("ipset", "list -n", "");
            let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(there().len(), 3, "reading changes nothing");
        let (name, set) = live.tables.sets.first_key_value().expect("ours");
        let other = ipset::SetName::new("KUBE-EXTERNAL-IP").expect("a name");
        do_all(&mut kernel, [Op::CreateSet(other, set.header)]);
        assert_eq!(there(), ["KUBE-CLUSTER-IP", "KUBE-EXTERNAL-IP", "~CALICO"]);
        assert_eq!(name.as_str(), "KUBE-CLUSTER-IP");
    });
}
