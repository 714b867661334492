use std::collections::BTreeSet;

use model::{NodeState, Plan, TableKeys};
use planner::Compiler;

use netlink_packet_core::DecodeError;

use super::*;

/// Returns the results of two runs of the workload `name`.
fn twice<T: 'static>(name: &str) -> [T; 2] {
    let workload = ALL.iter().find(|workload| workload.name == name);
    let mut run = workload.expect(name).prepare().expect(name);
    [(); 2].map(|()| *run().downcast().expect(name))
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<&str> = ALL.iter().map(|workload| workload.name).collect();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn change_concerns_one_virtual_server() {
    for keys in twice::<TableKeys>("compile-change/100x10") {
        assert_eq!(keys.virtual_servers.len(), 1);
    }
}

#[test]
fn change_beside_findings_changes_no_finding() {
    type Changes = (TableKeys, model::finding::FindingChanges);
    for (keys, findings) in twice::<Changes>("compile-change-beside-findings/100x10") {
        assert_eq!(keys.virtual_servers.len(), 1);
        assert!(findings.is_empty());
    }
}

#[test]
fn virtual_servers_without_entries_are_blocked() {
    type Split = (Vec<model::PlannedOp>, Vec<model::PlannedOp>);
    for (admitted, blocked) in twice::<Split>("gate/1000") {
        assert_eq!((admitted.len(), blocked.len()), (0, 1_000));
    }
}

#[test]
fn plans_have_the_expected_ops() {
    let check = |name, ops| {
        for plan in twice::<Plan>(name) {
            assert_eq!(plan.ops().count(), ops, "{name}");
            assert!(plan.findings.is_empty(), "{name}");
        }
    };
    check("diff-equal/1000x10", 0);
    check("diff-change/100x10", 1);
    let [plan, _] = twice::<Plan>("diff-full/1000x10");
    // Each Service: a virtual server, an address, ten real servers and two set entries.
    assert!(plan.ops().count() > 14_000);
}

#[test]
fn incremental_table_equals_the_full_one() {
    let mut change = change::Change::new(100).unwrap();
    change.compile();
    let mut cluster = cluster(100).unwrap();
    cluster.absorb(crate::table::slice(50, 50 * ENDPOINTS, ENDPOINTS - 1));
    let mut compiler = Compiler::new(crate::table::config());
    compiler.update_all(&cluster, &NodeState::default());
    assert_eq!(change.desired().tables, compiler.desired().tables);
}

#[test]
fn answers_have_the_entries_of_the_tables() {
    type Services = Result<Vec<(ipvs::VirtualServer, ipvs::Statistics)>, DecodeError>;
    type Destinations = Result<Vec<ipvs::RealServerStatus>, DecodeError>;
    let [services, _] = twice::<Services>("decode-virtual-servers/1000");
    let [destinations, _] = twice::<Destinations>("decode-real-servers/1000x10");
    let tables = crate::table::desired(1_000, ENDPOINTS).unwrap().tables;
    let servers = tables.virtual_servers.values();
    let wanted: Vec<_> = servers.clone().map(|entry| entry.server.clone()).collect();
    let read: Vec<_> = (services.unwrap().into_iter())
        .map(|(server, _)| server)
        .collect();
    assert_eq!(read, wanted);
    let wanted: Vec<_> = servers
        .flat_map(|entry| entry.real_servers.values().copied())
        .collect();
    let read: Vec<_> = (destinations.unwrap().iter())
        .map(|real| real.server)
        .collect();
    assert_eq!(read, wanted);
}
