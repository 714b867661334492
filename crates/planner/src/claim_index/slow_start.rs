//! Slow start: lowers the weights of real servers that are ramping, and finds the real servers that
//! begin to get connections.
//!
//! Which of these ramp, and in which step they are, is decided outside, see
//! [`Compiler::set_ramps`](crate::Compiler::set_ramps). The desired tables follow from the claims
//! and the steps alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipvs::{RealServerKey, VirtualServerKey};
use model::policy::{RampStep, Ramps};
use model::tables::VirtualServerEntry;

use super::ClaimIndex;

/// Real servers that began to get connections at virtual servers with slow start. A virtual server
/// without any is named if its ramps may have ended, because its real servers or its policy changed.
pub type Arrivals = BTreeMap<VirtualServerKey, BTreeSet<RealServerKey>>;

/// Ramps, and changes that may start or end some.
#[derive(Debug, Default)]
pub(super) struct SlowStarts {
    ramps: Ramps,
    arrivals: Arrivals,
}

impl SlowStarts {
    /// Returns the virtual server whose claim `full` is new, with the weights of ramping real servers
    /// lowered.
    pub(super) fn replaced(
        &mut self,
        key: VirtualServerKey,
        full: &Arc<VirtualServerEntry>,
    ) -> Arc<VirtualServerEntry> {
        if self.ramps.contains_key(&key) {
            self.arrivals.entry(key).or_default();
        }
        self.lower(key, full)
    }

    /// Removes the ramps of `key` whose real servers get no connections, and returns `full` with
    /// the weights of the others lowered.
    fn lower(
        &mut self,
        key: VirtualServerKey,
        full: &Arc<VirtualServerEntry>,
    ) -> Arc<VirtualServerEntry> {
        // Nearly always there are none.
        let Some(steps) = self.ramps.get_mut(&key) else {
            return full.clone();
        };
        steps.retain(|real, _| gets_connections(full, *real));
        if steps.is_empty() {
            self.ramps.remove(&key);
            return full.clone();
        }
        lowered(full, steps)
    }

    /// Records the real servers that get connections in `after` and got none in `before`.
    pub(super) fn arrived(
        &mut self,
        key: VirtualServerKey,
        before: &VirtualServerEntry,
        after: &VirtualServerEntry,
    ) {
        let reals = after.real_servers.values();
        let new: BTreeSet<RealServerKey> = reals
            .filter(|real| real.weight > 0 && !gets_connections(before, real.key))
            .map(|real| real.key)
            .collect();
        if !new.is_empty() {
            self.arrivals.entry(key).or_default().extend(new);
        }
    }

    /// Removes the ramps of a virtual server that is no longer desired.
    pub(super) fn forget(&mut self, key: VirtualServerKey) {
        if self.ramps.remove(&key).is_some() {
            self.arrivals.insert(key, BTreeSet::new());
        }
    }

    /// Records that ramps may have ended at those virtual servers for which `is_touched` holds.
    pub(super) fn touch(&mut self, is_touched: impl Fn(&VirtualServerKey) -> bool) {
        for key in self.ramps.keys().filter(|key| is_touched(key)) {
            self.arrivals.entry(*key).or_default();
        }
    }
}

impl ClaimIndex {
    /// Returns the ramps.
    pub(crate) fn ramps(&self) -> &Ramps {
        &self.slow_starts.ramps
    }

    /// Sets all ramps, before the first compilation.
    pub(crate) fn start_with(&mut self, ramps: Ramps) {
        self.slow_starts.ramps = ramps;
    }

    /// Returns the arrivals since the last call.
    pub(crate) fn take_arrivals(&mut self) -> Arrivals {
        std::mem::take(&mut self.slow_starts.arrivals)
    }

    /// Returns the virtual server `key` with the full weights of its real servers.
    pub(crate) fn full(&self, key: VirtualServerKey) -> Option<&Arc<VirtualServerEntry>> {
        let winner = self.claims.get(&key)?.first()?;
        Some(&winner.claim.entry)
    }

    /// Replaces the ramps at `key`. Returns true if the desired virtual server changed. Steps of
    /// real servers that get no connections are ignored.
    pub(crate) fn set_ramps(
        &mut self,
        key: VirtualServerKey,
        steps: BTreeMap<RealServerKey, RampStep>,
    ) -> bool {
        let Some(full) = self.full(key).cloned() else {
            return false;
        };
        self.slow_starts.ramps.insert(key, steps);
        let entry = self.slow_starts.lower(key, &full);
        let servers = &mut self.desired.tables.virtual_servers;
        servers.insert(key, entry.clone()).as_ref() != Some(&entry)
    }
}

fn gets_connections(entry: &VirtualServerEntry, real: RealServerKey) -> bool {
    (entry.real_servers.get(&real)).is_some_and(|real| real.weight > 0)
}

/// Returns `full` with the weights of these steps.
fn lowered(
    full: &VirtualServerEntry,
    steps: &BTreeMap<RealServerKey, RampStep>,
) -> Arc<VirtualServerEntry> {
    let reals = full.real_servers.values().copied().map(|mut real| {
        if let Some(step) = steps.get(&real.key) {
            real.weight = step.weight(real.weight);
        }
        real
    });
    Arc::new(VirtualServerEntry {
        server: full.server.clone(),
        real_servers: reals.collect(),
    })
}
