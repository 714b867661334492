//! Starts, steps and ends the slow starts of real servers.

use std::collections::BTreeSet;
use std::time::Instant;

use ipvs::{RealServerKey, VirtualServerKey};
use model::tables::TableKeys;

use super::Reconciler;
use crate::agenda::Task;
use crate::messages::Trigger;
use crate::ramps::Server;
use crate::sync_run::SyncRun;

impl Reconciler {
    /// Starts and ends ramps after a compilation. Returns the virtual servers whose weights changed
    /// by that.
    ///
    /// Before the first sync has ended, every real server starts with its full weight: a restart of
    /// the daemon does not show which are new.
    pub(super) fn follow_arrivals(&mut self, now: Instant) -> TableKeys {
        let arrivals = self.compiler.take_arrivals();
        let mut keys = TableKeys::default();
        if !self.synced || arrivals.is_empty() {
            return keys;
        }
        for (key, arrived) in arrivals {
            if self.follow_ramps(key, &arrived, now) {
                keys.virtual_servers.insert(key);
            }
        }
        self.schedule_ramps();
        keys
    }

    /// Makes the steps that are due.
    pub(super) fn begin_ramps(&mut self, now: Instant) -> SyncRun {
        let mut run = SyncRun::new(Trigger::SlowStart, vec![Task::Ramps], now);
        for key in self.ramps.servers() {
            if self.follow_ramps(key, &BTreeSet::new(), now) {
                run.keys.virtual_servers.insert(key);
            }
        }
        self.schedule_ramps();
        run
    }

    /// Updates the ramps at `key`. Returns true if a desired weight changed.
    fn follow_ramps(
        &mut self,
        key: VirtualServerKey,
        arrived: &BTreeSet<RealServerKey>,
        now: Instant,
    ) -> bool {
        let live = self.cache.tables.virtual_servers.get(&key);
        let server = Server {
            key,
            full: self.compiler.without_ramps(key),
            live: live
                .filter(|_| self.owned.is_ours(&self.cache, key))
                .map(AsRef::as_ref),
            time: self.compiler.desired().slow_start(key),
        };
        let steps = self.ramps.follow(&server, arrived, now);
        self.compiler.set_ramps(key, steps)
    }

    fn schedule_ramps(&mut self) {
        match self.ramps.next() {
            Some(at) => self.agenda.schedule(Task::Ramps, at),
            None => drop(self.agenda.remove(&Task::Ramps)),
        }
    }
}
