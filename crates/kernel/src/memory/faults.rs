//! Knobs: what is to go wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipvs::{RealServerKey, VirtualServerKey};
use model::Snapshot;

use super::{MemoryKernel, State};
use model::kernel::{ObserveError, OpErrorKind};

/// What becomes of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not done; the outcome is this.
    Refuse(OpErrorKind),
    /// Not done, and no answer comes: the outcome is [`OpErrorKind::Unknown`].
    LoseRequest,
    /// Done, where the kernel does not refuse it, and no answer comes: the outcome is
    /// [`OpErrorKind::Unknown`].
    LoseAnswer,
    /// Not done, nor any later one, as if the process were killed here: every outcome is
    /// [`OpErrorKind::Unknown`] and every reading fails until [`MemoryKernel::revive`].
    Kill,
}

/// What one reading misses although it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tear {
    /// Virtual servers.
    pub virtual_servers: BTreeSet<VirtualServerKey>,
    /// Real servers of a virtual server that is seen.
    pub real_servers: BTreeSet<(VirtualServerKey, RealServerKey)>,
    /// Whether the reading says so. Linux loses entries in silence too, rarely: a reader that
    /// believes it would add what exists.
    pub flagged: bool,
}

impl Tear {
    pub(super) fn apply(self, snapshot: &mut Snapshot) {
        let tables = &mut snapshot.tables.virtual_servers;
        for key in &self.virtual_servers {
            tables.remove(key);
        }
        for (key, real) in &self.real_servers {
            if let Some(entry) = tables.get_mut(key) {
                Arc::make_mut(entry).real_servers.remove(real);
            }
        }
        snapshot.connections.retain(|(key, real), _| {
            let entry = tables.get(key);
            entry.is_some_and(|entry| entry.real_servers.contains_key(real))
        });
        snapshot.torn |= self.flagged;
    }
}

impl MemoryKernel {
    /// Lets `fault` happen to the change that comes after `skip` others. A change has one fault at
    /// most: the last one set.
    pub fn inject(&self, skip: u64, fault: Fault) {
        let mut state = self.state();
        let number = state.counts.ops.saturating_add(skip);
        state.faults.insert(number, fault);
    }

    /// Forgets all faults that have not happened, and revives a killed process.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.tears.clear();
        state.failing_observations = 0;
        state.killed = false;
    }

    /// Tears the next reading; several tears are for one reading each.
    pub fn tear(&self, tear: Tear) {
        self.state().tears.push_back(tear);
    }

    /// Lets the next `count` readings fail.
    pub fn fail_observations(&self, count: u32) {
        self.state().failing_observations = count;
    }

    /// Whether a [`Fault::Kill`] has happened.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.state().killed
    }

    /// Starts the process again after [`Fault::Kill`].
    pub fn revive(&self) {
        self.state().killed = false;
    }
}

impl State {
    pub(super) fn check_observation(&mut self) -> Result<(), ObserveError> {
        let message = if self.killed {
            "the process was killed"
        } else if self.failing_observations > 0 {
            self.failing_observations -= 1;
            "this reading was to fail"
        } else {
            return Ok(());
        };
        Err(ObserveError::Failed {
            what: "the tables",
            source: message.into(),
        })
    }
}
