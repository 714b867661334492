//! Targets of health checks by Service.

use std::collections::{BTreeMap, BTreeSet};

use model::compact::pack_map;
use model::names::ObjectName;
use model::policy::CheckTarget;

/// Targets of the Services with a health check. Other Services use no memory here.
#[derive(Debug, Default)]
pub(super) struct Checks {
    services: BTreeMap<ObjectName, Box<[CheckTarget]>>,
    /// Targets whose Services changed since they were taken.
    changed: BTreeSet<CheckTarget>,
}

impl Checks {
    /// Replaces the targets of `service`, and updates `checks`, which has the Services of each
    /// target.
    pub(super) fn set(
        &mut self,
        service: &ObjectName,
        targets: &BTreeSet<CheckTarget>,
        checks: &mut BTreeMap<CheckTarget, BTreeSet<ObjectName>>,
    ) {
        let before = match targets.is_empty() {
            true if self.services.is_empty() => return,
            true => self.services.remove(service),
            false => (self.services).insert(service.clone(), targets.iter().cloned().collect()),
        };
        let before: BTreeSet<CheckTarget> = before.into_iter().flatten().collect();
        for target in before.difference(targets) {
            if let Some(services) = checks.get_mut(target) {
                services.remove(service);
                if services.is_empty() {
                    checks.remove(target);
                }
            }
            self.changed.insert(target.clone());
        }
        for target in targets.difference(&before) {
            let services = checks.entry(target.clone()).or_default();
            services.insert(service.clone());
            self.changed.insert(target.clone());
        }
    }

    /// Returns the targets whose Services changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<CheckTarget> {
        std::mem::take(&mut self.changed)
    }

    /// Releases unused memory after a full compilation.
    pub(super) fn pack(&mut self) {
        pack_map(&mut self.services);
    }
}
