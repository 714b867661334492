//! Skipping ops whose prerequisites failed.

use ipvs::AddressFamily;
use model::plan::{DependencyGate, Op, PlannedOp, Reason};
use model::sets::SetKind;

use super::{ENDPOINTS, Prepared};
use crate::table;

/// Entries that could not be added, and the virtual servers that need them.
pub(super) fn entries(services: u32) -> Prepared {
    let tables = table::desired(services, ENDPOINTS)?.tables;
    let name = SetKind::ClusterIp.name(AddressFamily::Ipv4);
    let set = tables.sets.get(&name).ok_or("there is no set")?;
    let failed: Vec<Op> = (set.entries.iter())
        .map(|entry| Op::AddEntry(name.clone(), *entry))
        .collect();
    let servers: Vec<PlannedOp> = (tables.virtual_servers.values())
        .map(|entry| PlannedOp {
            op: Op::AddVirtualServer(entry.server.clone()),
            owner: None,
            reason: Reason::Missing,
        })
        .collect();
    Ok(Box::new(move || {
        let mut gate = DependencyGate::default();
        for op in &failed {
            gate.not_done(op);
        }
        Box::new(gate.admit(servers.clone()))
    }))
}
