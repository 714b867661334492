//! Linux with large tables.

mod vm;

use std::time::Instant;

use kernel::Kernel as _;
use kernel::linux::{Counted, Counters};
use model::{Op, Scope, Snapshot};
use support::namespace::in_namespace;

use vm::{do_all, open, stage, table};

/// Adds `count` virtual servers with `reals` real servers each, reads them, changes each real
/// server, reads again, and deletes everything.
fn check(count: u16, reals: u8) {
    in_namespace(|| {
        let mut kernel = open();
        let ops = table(count, reals);
        let start = Instant::now();
        do_all(&mut kernel, ops.clone());
        let added = start.elapsed();

        let mut wanted = Snapshot::default();
        ops.iter().for_each(|op| wanted.apply(op));
        let start = Instant::now();
        let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
        let read = start.elapsed();
        assert!(!live.torn);
        assert!(same(&live, &wanted), "the tables must read back as added");

        let start = Instant::now();
        let mut counters = Counters::open().expect("IPVS");
        let counted = counters.read(|_| true).expect("a reading");
        let counters = start.elapsed();
        let read_back = |each: &Counted| each.real_servers.len() == usize::from(reals);
        assert!(counted.len() == usize::from(count) && counted.iter().all(read_back));

        let drain: Vec<Op> = ops.iter().filter_map(drained).collect();
        drain.iter().for_each(|op| wanted.apply(op));
        let start = Instant::now();
        do_all(&mut kernel, drain);
        let changed = start.elapsed();
        let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
        assert!(same(&live, &wanted), "the tables must read back as changed");

        let keys = wanted.tables.virtual_servers.keys();
        let delete: Vec<Op> = keys.map(|key| Op::DelVirtualServer(*key)).collect();
        let start = Instant::now();
        assert!(kernel.apply(&stage(delete)).iter().all(Result::is_ok));
        let deleted = start.elapsed();
        let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
        assert!(live.tables.virtual_servers.is_empty());
        println!(
            "{count} x {reals}: added {added:?}, read {read:?}, counters {counters:?}, changed {changed:?}, \
             deleted {deleted:?}"
        );
    });
}

/// Returns true if the virtual servers are equal. A namespace also has settings and rules, which
/// are ignored.
fn same(live: &Snapshot, wanted: &Snapshot) -> bool {
    live.tables.virtual_servers == wanted.tables.virtual_servers
}

fn drained(op: &Op) -> Option<Op> {
    match op {
        Op::AddRealServer(key, real) => {
            let real = ipvs::RealServer { weight: 0, ..*real };
            Some(Op::SetRealServer(*key, real))
        }
        _ => None,
    }
}

#[test]
fn a_thousand_virtual_servers_with_ten_real_servers_each() {
    check(1000, 10);
}

#[test]
fn ten_thousand_virtual_servers_with_two_real_servers_each() {
    check(10_000, 2);
}
