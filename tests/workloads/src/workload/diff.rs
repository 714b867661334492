//! Comparison of two tables to a plan.

use model::{NodeTables, Snapshot};
use planner::Ownership;

use super::change::Change;
use super::{ENDPOINTS, Prepared};
use crate::table;

/// Compares all tables without a difference: an audit without drift.
pub(super) fn equal(services: u32) -> Prepared {
    let desired = table::desired(services, ENDPOINTS)?;
    let live = snapshot(&desired.tables);
    let own = ownership(&desired.tables);
    Ok(Box::new(move || {
        Box::new(planner::diff(&desired, &live, &own))
    }))
}

/// Compares all tables with an empty node.
pub(super) fn full(services: u32) -> Prepared {
    let desired = table::desired(services, ENDPOINTS)?;
    let live = Snapshot::default();
    let own = ownership(&NodeTables::default());
    Ok(Box::new(move || {
        Box::new(planner::diff(&desired, &live, &own))
    }))
}

/// Compares one virtual server that loses a real server, among so many.
pub(super) fn change(services: u32) -> Prepared {
    let mut change = Change::new(services)?;
    let live = snapshot(&change.desired().tables);
    let own = ownership(&live.tables);
    let keys = change.compile();
    let desired = change.desired().clone();
    Ok(Box::new(move || {
        Box::new(planner::diff_keys(&desired, &live, &own, &keys))
    }))
}

/// Returns the snapshot of a node with these tables.
fn snapshot(tables: &NodeTables) -> Snapshot {
    Snapshot {
        tables: tables.clone(),
        device: true,
        ..Snapshot::default()
    }
}

/// Returns the ownership of a daemon that remembers its writes.
fn ownership(written: &NodeTables) -> Ownership {
    Ownership {
        recorded: written.virtual_servers.keys().copied().collect(),
        ..Ownership::new(&table::config())
    }
}
