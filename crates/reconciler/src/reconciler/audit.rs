//! When the kernel is read again and compared, and how much of it at once.
//!
//! Reading costs a question for each virtual server. A table of few is read whole. Of a larger one a round begins with
//! what costs little: the list of virtual servers, addresses, sets, rules and settings. Then it takes the real servers
//! slice by slice, with pauses so that it works for less than a hundredth of the time, however large the table is.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::snapshot::{Scope, Selection, Snapshot};
use model::tables::TableKeys;

use super::Cause;
use super::sync::Sync;

/// Virtual servers whose real servers are read at once: a change that comes meanwhile waits for them.
pub(super) const SLICE: usize = 256;

/// How much longer than a reading the pause after it is: with what comparing takes on top, less than a hundredth is work.
const PAUSE: u32 = 124;

/// See the module.
#[derive(Debug)]
pub(super) struct Audit {
    /// When the next reading is due.
    at: Instant,
    /// The reading that is under way, or was last.
    reading: Reading,
    /// Where the next slice begins; none where the next reading begins a round.
    slices_from: Option<Bound<VirtualServerKey>>,
    /// When the round began that is under way, or was last.
    round_began: Instant,
    /// How long the last reading took.
    took: Duration,
    /// Readings in a row that could not be used.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Everything,
    /// Everything but real servers.
    List,
    /// Virtual servers up to this one.
    Slice(VirtualServerKey),
}

impl Audit {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            reading: Reading::Everything,
            slices_from: None,
            round_began: now,
            took: Duration::ZERO,
            failures: 0,
        }
    }

    /// When to read next.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// How many readings in a row could not be used.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Begins a round now, whatever was under way.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.at = now;
        self.slices_from = None;
    }

    /// What to read now of a kernel that is known as `mirror`, for which synchronisation.
    pub(super) fn next(&mut self, mirror: Option<&Snapshot>, now: Instant) -> (Sync, Scope) {
        let whole = || Sync::waiting(Cause::Audit, TableKeys::default(), now);
        let large = mirror.filter(|mirror| mirror.tables.virtual_servers.len() > SLICE);
        let slice = large.zip(self.slices_from).map(|(mirror, from)| {
            let keys = servers_from(mirror, from).take(SLICE);
            keys.collect::<BTreeSet<_>>()
        });
        if let Some(keys) = slice
            && let Some(last) = keys.last()
        {
            self.reading = Reading::Slice(*last);
            let about = TableKeys {
                virtual_servers: keys.clone(),
                ..TableKeys::default()
            };
            return (Sync::waiting(Cause::AuditSlice, about, now), servers(keys));
        }
        self.round_began = now;
        self.slices_from = None;
        if large.is_none() {
            self.reading = Reading::Everything;
            return (whole(), Scope::EVERYTHING);
        }
        self.reading = Reading::List;
        let scope = Scope {
            virtual_servers: Selection::WithoutRealServers,
            ..Scope::EVERYTHING
        };
        (whole(), scope)
    }

    /// A reading took so long, whether it can be used or not.
    pub(super) fn took(&mut self, time: Duration) {
        self.took = time;
    }

    /// What was read cannot be used: a round begins after `wait`.
    pub(super) fn failed(&mut self, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        self.failures += 1;
        self.slices_from = None;
        self.at = now + wait(self.failures);
    }

    /// What was read is true.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// What was read is compared. Answers whether that ends the round.
    pub(super) fn done(&mut self, mirror: &Snapshot, period: Duration, now: Instant) -> bool {
        let pause = now + self.took * PAUSE;
        let from = match self.reading {
            Reading::Everything => {
                self.at = now + period;
                return true;
            }
            Reading::List => Bound::Unbounded,
            Reading::Slice(last) => Bound::Excluded(last),
        };
        if servers_from(mirror, from).next().is_some() {
            self.slices_from = Some(from);
            self.at = pause;
            false
        } else {
            self.slices_from = None;
            self.at = pause.max(self.round_began + period);
            true
        }
    }
}

/// Those virtual servers alone.
pub(super) fn servers(keys: BTreeSet<VirtualServerKey>) -> Scope {
    Scope {
        virtual_servers: Selection::Only(keys),
        ..Scope::NOTHING
    }
}

fn servers_from(
    mirror: &Snapshot,
    from: Bound<VirtualServerKey>,
) -> impl Iterator<Item = VirtualServerKey> {
    let servers = &mirror.tables.virtual_servers;
    servers.range((from, Bound::Unbounded)).map(|(key, _)| *key)
}
