//! From two tables to a plan.

use model::{NodeTables, Snapshot};
use planner::Ownership;

use super::change::Change;
use super::{ENDPOINTS, Prepared};
use crate::table;

/// All tables, of which nothing is to be written: an audit without drift.
pub(super) fn equal(services: u32) -> Prepared {
    let desired = table::desired(services, ENDPOINTS)?;
    let live = snapshot(&desired.tables);
    let own = ownership(&desired.tables);
    Ok(Box::new(move || {
        Box::new(planner::diff(&desired, &live, &own))
    }))
}

/// All tables, of which everything is to be written: a node without any.
pub(super) fn full(services: u32) -> Prepared {
    let desired = table::desired(services, ENDPOINTS)?;
    let live = Snapshot::default();
    let own = ownership(&NodeTables::default());
    Ok(Box::new(move || {
        Box::new(planner::diff(&desired, &live, &own))
    }))
}

/// One virtual server that loses a real server, among so many.
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

/// A node that holds these tables.
fn snapshot(tables: &NodeTables) -> Snapshot {
    Snapshot {
        tables: tables.clone(),
        device: true,
        ..Snapshot::default()
    }
}

/// As in the daemon, which remembers what it wrote.
fn ownership(written: &NodeTables) -> Ownership {
    Ownership {
        recorded: written.virtual_servers.keys().copied().collect(),
        ..Ownership::new(&table::config())
    }
}
