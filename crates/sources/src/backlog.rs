//! Cluster events that were sent and are not applied yet.
//!
//! The source stamps an event before it sends it, so a receiver that hangs shows: its backlog grows older.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{ClusterEvent, ObjectKind};

/// Minimum time between two marks while there is room for more of them.
const SPACING: Duration = Duration::from_millis(100);

/// Maximum number of marks. When it is reached, neighbours are merged and later marks are twice as far apart.
const MARKS: usize = 1024;

/// Counts cluster events from sending to applying and knows when the oldest unapplied one arrived. Clones
/// share the counts.
///
/// Events are numbered from 1 in the order in which they are sent. All events of a source are sent by one
/// task, so this is the order of arrival too.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    sent: u64,
    applied: u64,
    /// Unapplied events, oldest first.
    marks: VecDeque<Mark>,
    spacing: Duration,
    listed: BTreeSet<ObjectKind>,
    /// Time at which the last kind delivered its first list.
    complete: Option<Instant>,
}

/// Consecutive events.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Time at which the oldest of them arrived at its source.
    arrived: Instant,
    /// Number of the last of them.
    through: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            sent: 0,
            applied: 0,
            marks: VecDeque::new(),
            spacing: SPACING,
            listed: BTreeSet::new(),
            complete: None,
        }
    }
}

impl Backlog {
    /// Numbers `event`, which arrived at its source at `arrived`. Call it before the event is put into a channel:
    /// waiting for room there counts. Sources that wait for room take turns, so a time may be older than the one before.
    pub fn stamp(&self, event: &ClusterEvent, arrived: Instant) {
        let mut counts = self.counts();
        counts.sent += 1;
        let through = counts.sent;
        let spacing = counts.spacing;
        match counts.marks.back_mut() {
            Some(mark) if arrived.saturating_duration_since(mark.arrived) < spacing => {
                mark.arrived = mark.arrived.min(arrived);
                mark.through = through;
            }
            _ => counts.push(Mark { arrived, through }),
        }
        if let ClusterEvent::ListDone(kind) = event {
            counts.listed.insert(*kind);
            if counts.listed.len() == ObjectKind::ALL.len() {
                counts.complete.get_or_insert(arrived);
            }
        }
    }

    /// Drops the events up to number `through`: their changes have been tried, failed ones included. Returns
    /// true if there were any.
    pub fn applied(&self, through: u64) -> bool {
        let mut counts = self.counts();
        let before = counts.applied;
        counts.applied = before.max(through.min(counts.sent));
        while (counts.marks.front()).is_some_and(|mark| mark.through <= through) {
            counts.marks.pop_front();
        }
        if counts.marks.is_empty() {
            counts.spacing = SPACING;
        }
        counts.applied > before
    }

    /// Time at which the oldest unapplied event arrived at its source; `None` without one. An event that came before
    /// every kind delivered its first list counts from that moment: until then nothing is late.
    ///
    /// The time may be too early by one part in 512 of the backlog's age, or by 100 ms, never too late.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let counts = self.counts();
        let complete = counts.complete?;
        let oldest = counts.marks.iter().map(|mark| mark.arrived).min()?;
        Some(oldest.max(complete))
    }

    /// Number of unapplied events.
    #[must_use]
    pub fn len(&self) -> u64 {
        let counts = self.counts();
        counts.sent - counts.applied
    }

    /// Returns true if every event sent so far was applied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn push(&mut self, mark: Mark) {
        if self.marks.len() == MARKS {
            let halves = self.marks.make_contiguous().chunks(2);
            self.marks = halves.map(merge).collect();
            self.spacing *= 2;
        }
        self.marks.push_back(mark);
    }
}

/// Merges two consecutive marks, or keeps the last one: the older time holds for both.
fn merge(marks: &[Mark]) -> Mark {
    let [first, last] = [marks[0], marks[marks.len() - 1]];
    Mark {
        arrived: first.arrived.min(last.arrived),
        through: last.through,
    }
}
