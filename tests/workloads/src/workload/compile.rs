//! Compilation of clusters to tables.

use model::NodeState;
use model::snapshot::Interface;
use planner::Compiler;

use super::change::Change;
use super::{Prepared, cluster};
use crate::table;

/// Compiles everything at once, as after a start.
pub(super) fn full(services: u32) -> Prepared {
    let cluster = cluster(services)?;
    let (node, config) = (NodeState::default(), table::config());
    Ok(Box::new(move || {
        Box::new(planner::compile(&cluster, &node, &config))
    }))
}

/// Compiles one Service with a removed or added endpoint, among so many.
pub(super) fn change(services: u32) -> Prepared {
    let mut change = Change::new(services)?;
    Ok(Box::new(move || Box::new(change.compile())))
}

/// Compiles the same change, with the changes of findings, in a cluster in which every Service has
/// a finding.
pub(super) fn change_beside_findings(services: u32) -> Prepared {
    let mut change = Change::beside_findings(services)?;
    Ok(Box::new(move || {
        Box::new((change.compile(), change.findings()))
    }))
}

/// Compiles a link-local address of a pod's interface that is added or removed, among so many
/// Services.
pub(super) fn interface(services: u32) -> Prepared {
    let cluster = cluster(services)?;
    let without = NodeState::default();
    let mut with = without.clone();
    with.interfaces.push(Interface {
        name: "veth1".into(),
        addresses: vec!["fe80::1/64".parse()?],
    });
    let mut compiler = Compiler::new(table::config());
    compiler.update_all(&cluster, &without);
    let mut states = [with, without];
    Ok(Box::new(move || {
        let keys = compiler.look_at_node(&cluster, &states[0]);
        states.swap(0, 1);
        Box::new(keys)
    }))
}
