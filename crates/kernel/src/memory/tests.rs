use std::net::{IpAddr, Ipv4Addr};

use ipvs::{Connections, RealServer, Scheduler, VirtualServerKey};
use model::{Op, Scope};

use super::{Counts, Fault, FaultRule, MemoryKernel, Part, TornReading};
use crate::contract::builders::{real_at, server, stage, tcp};
use model::kernel::Kernel;
use model::kernel::{ObserveError, OpErrorKind};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));

fn key(port: u16) -> VirtualServerKey {
    tcp(VIP, port)
}

fn add(port: u16) -> Op {
    Op::AddVirtualServer(server(key(port), "rr"))
}

fn real() -> RealServer {
    real_at([10, 1, 0, 1], 1)
}

/// Applies `ops` and returns the error of each.
fn kinds(kernel: &mut MemoryKernel, ops: impl IntoIterator<Item = Op>) -> Vec<Option<OpErrorKind>> {
    let outcomes = kernel.apply(&stage(ops)).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind().clone()))
        .collect()
}

fn ports(kernel: &MemoryKernel) -> Vec<u16> {
    let tables = kernel.tables();
    let keys = tables.virtual_servers.keys();
    keys.filter_map(|key| match key {
        VirtualServerKey::Address { port, .. } => Some(*port),
        VirtualServerKey::Fwmark { .. } => None,
    })
    .collect()
}

#[test]
fn a_fault_affects_its_change_once() {
    let mut kernel = MemoryKernel::new();
    kernel.inject(1, Fault::Refuse(OpErrorKind::NotPermitted));
    let first = kinds(&mut kernel, [add(1), add(2), add(3)]);
    assert_eq!(first, [None, Some(OpErrorKind::NotPermitted), None]);
    assert_eq!(ports(&kernel), [1, 3]);
    assert_eq!(kinds(&mut kernel, [add(2)]), [None]);
}

#[test]
fn only_a_lost_request_leaves_the_change_undone() {
    let mut kernel = MemoryKernel::new();
    kernel.inject(0, Fault::LoseRequest);
    kernel.inject(1, Fault::LoseAnswer);
    let unknown = Some(OpErrorKind::Unknown);
    let outcomes = kinds(&mut kernel, [add(1), add(2)]);
    assert_eq!(outcomes, [unknown.clone(), unknown]);
    assert_eq!(ports(&kernel), [2]);
}

#[test]
fn a_killed_process_does_nothing_until_its_revival() {
    let mut kernel = MemoryKernel::new();
    kernel.inject(2, Fault::Kill);
    let unknown = Some(OpErrorKind::Unknown);
    let outcomes = kinds(&mut kernel, [add(1), add(2), add(3), add(4)]);
    assert_eq!(outcomes, [None, None, unknown.clone(), unknown]);
    assert!(kernel.is_killed());
    assert!(kernel.observe(&Scope::EVERYTHING).is_err());
    kernel.revive();
    let snapshot = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert_eq!(snapshot.tables.virtual_servers.len(), 2);
    assert_eq!(kinds(&mut kernel, [add(3)]), [None]);
}

#[test]
fn a_torn_reading_misses_entries_and_the_next_one_has_them() {
    let mut kernel = MemoryKernel::new();
    kinds(
        &mut kernel,
        [add(1), add(2), Op::AddRealServer(key(2), real())],
    );
    let busy = Connections {
        active: 3,
        ..Connections::default()
    };
    kernel.set_connections(key(2), real().key, busy);
    kernel.tear(TornReading {
        virtual_servers: [key(1)].into(),
        real_servers: [(key(2), real().key)].into(),
        flagged: true,
    });
    let torn = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert!(torn.torn);
    assert!(torn.connections.is_empty());
    assert_eq!(torn.tables.virtual_servers.len(), 1);
    assert!(torn.tables.virtual_servers[&key(2)].real_servers.is_empty());
    let whole = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert_eq!(whole, kernel.snapshot());
    assert!(!whole.torn);
    assert_eq!(whole.connections[&(key(2), real().key)], busy);
}

#[test]
fn the_given_number_of_readings_fails() {
    let mut kernel = MemoryKernel::new();
    kernel.fail_observations(2);
    assert!(kernel.observe(&Scope::EVERYTHING).is_err());
    assert!(kernel.observe(&Scope::EVERYTHING).is_err());
    assert!(kernel.observe(&Scope::EVERYTHING).is_ok());
}

#[test]
fn a_held_fault_lasts_until_it_is_released() {
    let mut kernel = MemoryKernel::new();
    let part = Part::VirtualServers;
    let held = kernel.hold(FaultRule::refuse(part, OpErrorKind::NotPermitted));
    let refused = Some(OpErrorKind::NotPermitted);
    assert_eq!(
        kinds(&mut kernel, [add(1), Op::EnsureDevice, add(2)]),
        [refused.clone(), None, refused]
    );
    kernel.release(held);
    kernel.release(held);
    assert_eq!(kinds(&mut kernel, [add(1)]), [None]);
}

#[test]
fn a_held_fault_may_affect_only_deletions() {
    let mut kernel = MemoryKernel::new();
    let _held = kernel.hold(FaultRule::Ops {
        part: Part::RealServers,
        effect: Some(model::plan::OpEffect::Delete),
        fault: Fault::LoseAnswer,
    });
    let ops = [
        add(1),
        Op::AddRealServer(key(1), real()),
        Op::DelRealServer(key(1), real().key),
    ];
    let outcomes = kinds(&mut kernel, ops);
    assert_eq!(outcomes, [None, None, Some(OpErrorKind::Unknown)]);
    let entry = &kernel.tables().virtual_servers[&key(1)];
    assert!(entry.real_servers.is_empty());
}

#[test]
fn a_scheduler_is_missing_while_its_fault_is_held() {
    let mut kernel = MemoryKernel::new();
    let name = Scheduler("rr".into());
    let missing = OpErrorKind::UnknownScheduler(name.clone());
    let held = kernel.hold(FaultRule::refuse(Part::Scheduler(name), missing.clone()));
    assert_eq!(kinds(&mut kernel, [add(1)]), [Some(missing)]);
    kernel.release(held);
    assert_eq!(kinds(&mut kernel, [add(1)]), [None]);
}

#[test]
fn readings_fail_where_they_cover_the_unreadable_part() {
    let mut kernel = MemoryKernel::new();
    let held = kernel.hold(FaultRule::Unreadable(Part::Addresses));
    let addresses = Scope {
        addresses: true,
        ..Scope::NOTHING
    };
    for scope in [Scope::EVERYTHING, addresses] {
        assert!(kernel.observe(&scope).is_err());
    }
    assert!(kernel.observe(&Scope::NOTHING).is_ok());
    kernel.release(held);
    assert!(kernel.observe(&Scope::EVERYTHING).is_ok());
}

#[test]
fn a_held_tear_affects_every_reading() {
    let mut kernel = MemoryKernel::new();
    kinds(&mut kernel, [add(1), add(2)]);
    let held = kernel.hold(FaultRule::Torn(TornReading {
        virtual_servers: [key(1)].into(),
        ..TornReading::default()
    }));
    for _ in 0..2 {
        let torn = kernel.observe(&Scope::EVERYTHING).expect("a reading");
        assert_eq!(torn.tables.virtual_servers.len(), 1);
        assert!(!torn.torn);
    }
    kernel.release(held);
    let whole = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    assert_eq!(whole.tables.virtual_servers.len(), 2);
}

#[test]
fn foreign_changes_are_not_counted_and_have_no_fault() {
    let mut kernel = MemoryKernel::new();
    kernel.inject(0, Fault::LoseRequest);
    assert_eq!(kernel.foreign(&add(7)), Ok(()));
    let again = kernel.foreign(&add(7));
    assert_eq!(again, Err(OpErrorKind::AlreadyExists));
    assert_eq!(kernel.counts(), Counts::default());
    assert_eq!(ports(&kernel), [7]);
    let outcomes = kinds(&mut kernel, [add(8)]);
    assert_eq!(outcomes, [Some(OpErrorKind::Unknown)]);
}

#[test]
fn a_foreign_device_is_refused_and_unchanged() {
    let mut kernel = MemoryKernel::new();
    kernel.set_foreign_device("bridge");
    let not_dummy = Some(OpErrorKind::NotDummy);
    let ops = [Op::EnsureDevice, Op::DelDevice, Op::AddAddress(VIP)];
    let outcomes = kinds(&mut kernel, ops);
    assert_eq!(outcomes, [not_dummy.clone(), not_dummy.clone(), not_dummy]);
    match kernel.observe(&Scope::EVERYTHING) {
        Err(ObserveError::NotDummy { kind }) => assert_eq!(kind, "bridge"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_available_schedulers_are_accepted() {
    let mut kernel = MemoryKernel::new();
    kernel.set_schedulers(["wlc"]);
    let unknown = OpErrorKind::UnknownScheduler(Scheduler("rr".into()));
    assert_eq!(kinds(&mut kernel, [add(1)]), [Some(unknown)]);
}

#[test]
fn changes_sends_and_readings_are_counted() {
    let mut kernel = MemoryKernel::new();
    kinds(&mut kernel, (1..=257).map(add));
    kinds(&mut kernel, []);
    assert!(kernel.observe(&Scope::EVERYTHING).is_ok());
    let wanted = Counts {
        ops: 257,
        sends: 2,
        observations: 1,
    };
    assert_eq!(kernel.counts(), wanted);
}

#[test]
fn a_clone_is_another_handle_to_the_same_kernel() {
    let handle = MemoryKernel::new();
    let mut owned: Box<dyn Kernel + Send> = Box::new(handle.clone());
    owned.apply(&stage([add(1)]));
    assert_eq!(ports(&handle), [1]);
    let copy = MemoryKernel::with_tables(&handle.tables());
    assert_eq!(copy.tables(), handle.tables());
}
