use indicatif::ProgressBar;
use kernel::memory::Fault;
use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::{Desired, NodeTables, Plan, Scope, text};
use planner::Ownership;

use super::{Applied, carry_out};

const WANTED: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1
-A -t 10.96.0.20:80 -s rr
-a -t 10.96.0.20:80 -r 10.1.2.4:8080 -m -w 1
# addresses
10.96.0.10/32
10.96.0.20/32
";

const STALE: &str = "\
-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.1.2.9:8080 -m -w 1
-A -t 10.96.0.20:80 -s rr
-a -t 10.96.0.20:80 -r 10.1.2.4:8080 -m -w 1
-A -t 10.96.0.30:80 -s rr
# addresses
10.96.0.10/32
10.96.0.20/32
10.96.0.30/32
";

fn tables(lines: &str) -> NodeTables {
    text::parse(lines).expect("tables")
}

fn plan(kernel: &mut MemoryKernel, wanted: &str) -> Plan {
    let desired = Desired {
        tables: tables(wanted),
        ..Desired::default()
    };
    let own = Ownership::new(&model::NodeConfig::new("node1"));
    let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    planner::diff(&desired, &live, &own)
}

/// Returns the text of virtual servers and addresses, which are all that these plans change.
fn served(tables: &NodeTables) -> String {
    text::print(&NodeTables {
        virtual_servers: tables.virtual_servers.clone(),
        addresses: tables.addresses.clone(),
        ..NodeTables::default()
    })
}

/// Applies the plan from `before` to `wanted` while the kernel refuses op number `refused`. Returns
/// the outcome and the tables afterwards.
fn check(before: &str, wanted: &str, refused: Option<u64>) -> (Applied, String) {
    let mut kernel = MemoryKernel::with_tables(&tables(before));
    let plan = plan(&mut kernel, wanted);
    if let Some(number) = refused {
        kernel.inject(number, Fault::Refuse(OpErrorKind::Invalid));
    }
    let applied = carry_out(&mut kernel, &plan, &ProgressBar::hidden(), || false);
    (applied, served(&kernel.tables()))
}

#[test]
fn whole_plan_is_applied() {
    let (applied, after) = check("", WANTED, None);
    assert_eq!(after, served(&tables(WANTED)));
    assert_eq!(
        applied.to_string(),
        "Applied: 7 added, 0 changed, 0 deleted"
    );
    let (applied, after) = check(STALE, WANTED, None);
    assert_eq!(
        applied.to_string(),
        "Applied: 1 added, 1 changed, 2 deleted"
    );
    // The removed real server has weight 0. The next run deletes it, unless it has connections.
    let (applied, after) = check(&after, WANTED, None);
    assert_eq!(after, served(&tables(WANTED)));
    assert_eq!(
        applied.to_string(),
        "Applied: 0 added, 0 changed, 1 deleted"
    );
}

#[test]
fn failed_device_skips_everything() {
    let (applied, after) = check("", WANTED, Some(0));
    assert_eq!(after, "# ipvs\n# addresses\n");
    assert_eq!(
        applied.to_string(),
        "Applied: 0 added, 0 changed, 0 deleted; 1 failed; 6 skipped because they depend on a failed one"
    );
}

#[test]
fn failed_address_skips_its_virtual_server_only() {
    let (applied, after) = check("", WANTED, Some(1));
    assert_eq!(
        after,
        "# ipvs\n-A -t 10.96.0.20:80 -s rr\n-a -t 10.96.0.20:80 -r 10.1.2.4:8080 -m -w 1\n\
         # addresses\n10.96.0.20/32\n"
    );
    assert_eq!((applied.failed, applied.skipped), (1, 2));
}

#[test]
fn last_real_server_stays_if_its_replacement_fails() {
    let (applied, after) = check(STALE, WANTED, Some(0));
    assert!(
        after.contains("-a -t 10.96.0.10:80 -r 10.1.2.9:8080"),
        "{after}"
    );
    assert!(!after.contains("10.96.0.30"), "{after}");
    assert_eq!((applied.failed, applied.skipped), (1, 1));
}

#[test]
fn address_stays_if_its_virtual_server_cannot_be_deleted() {
    let (applied, after) = check(STALE, WANTED, Some(2));
    assert!(after.contains("-A -t 10.96.0.30:80 -s rr"), "{after}");
    assert!(after.contains("\n10.96.0.30/32\n"), "{after}");
    assert_eq!((applied.failed, applied.skipped), (1, 1));
}

#[test]
fn a_stopped_plan_says_what_was_and_was_not_done() {
    let mut kernel = MemoryKernel::with_tables(&tables(""));
    let plan = plan(&mut kernel, WANTED);
    // The device, then the addresses; the stages after them are not tried.
    let mut batches = 0;
    let applied = carry_out(&mut kernel, &plan, &ProgressBar::hidden(), || {
        batches += 1;
        batches > 2
    });
    assert!(!applied.is_complete());
    assert_eq!(
        applied.to_string(),
        "Applied: 3 added, 0 changed, 0 deleted\n\
         stopped: 3 of 7 changes were made; run the command again to finish; not tried: virtual servers 2, \
         real servers 2"
    );
    assert_eq!(
        served(&kernel.tables()),
        "# ipvs\n# addresses\n10.96.0.10/32\n10.96.0.20/32\n"
    );
    // The next run finishes the work.
    let rest = self::plan(&mut kernel, WANTED);
    let applied = carry_out(&mut kernel, &rest, &ProgressBar::hidden(), || false);
    assert!(applied.is_complete());
    assert_eq!(served(&kernel.tables()), served(&tables(WANTED)));
}

#[test]
fn a_plan_that_is_stopped_before_it_begins_changes_nothing() {
    let mut kernel = MemoryKernel::with_tables(&tables(STALE));
    let plan = plan(&mut kernel, WANTED);
    let applied = carry_out(&mut kernel, &plan, &ProgressBar::hidden(), || true);
    assert_eq!(served(&kernel.tables()), served(&tables(STALE)));
    assert!(
        applied
            .to_string()
            .contains("\nstopped: 0 of 4 changes were made;"),
        "{applied}"
    );
}
