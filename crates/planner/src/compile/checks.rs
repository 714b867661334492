//! Targets of health checks by Service and VirtualServer.

use std::collections::{BTreeMap, BTreeSet};

use model::compact::pack_map;
use model::names::ObjectName;
use model::policy::CheckTarget;

/// Targets of the Services and VirtualServers with a health check. Others use no memory here.
#[derive(Debug, Default)]
pub(super) struct Checks {
    owners: BTreeMap<ObjectName, Box<[CheckTarget]>>,
    /// Targets whose owners changed since they were taken.
    changed: BTreeSet<CheckTarget>,
}

impl Checks {
    /// Replaces the targets of `owner`, and updates `checks`, which has the owners of each target.
    pub(super) fn set(
        &mut self,
        owner: &ObjectName,
        targets: &BTreeSet<CheckTarget>,
        checks: &mut BTreeMap<CheckTarget, BTreeSet<ObjectName>>,
    ) {
        let before = match targets.is_empty() {
            true if self.owners.is_empty() => return,
            true => self.owners.remove(owner),
            false => (self.owners).insert(owner.clone(), targets.iter().cloned().collect()),
        };
        let before: BTreeSet<CheckTarget> = before.into_iter().flatten().collect();
        for target in before.difference(targets) {
            if let Some(owners) = checks.get_mut(target) {
                owners.remove(owner);
                if owners.is_empty() {
                    checks.remove(target);
                }
            }
            self.changed.insert(target.clone());
        }
        for target in targets.difference(&before) {
            let owners = checks.entry(target.clone()).or_default();
            owners.insert(owner.clone());
            self.changed.insert(target.clone());
        }
    }

    /// Returns the targets whose owners changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<CheckTarget> {
        std::mem::take(&mut self.changed)
    }

    /// Releases unused memory after a full compilation.
    pub(super) fn pack(&mut self) {
        pack_map(&mut self.owners);
    }
}
