//! Cluster events that were sent and are not applied yet.
//!
//! The source stamps an event before it sends it, so a hung receiver is detected by the growing age
//! of its backlog.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{ClusterEvent, ObjectKind};

/// Initial minimum time between two marks.
const SPACING: Duration = Duration::from_millis(100);

/// Maximum number of marks. When it is reached, neighbouring marks are merged and the minimum time
/// between marks doubles.
const MARKS: usize = 1024;

/// Counts cluster events from sending to applying and keeps the arrival time of the oldest
/// unapplied one. Clones share the counts.
///
/// Events are numbered from 1 in the order in which they are sent. One task sends all events of a
/// source, so this is also their order of arrival.
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
    /// Time at which the oldest of these events arrived at its source.
    arrived: Instant,
    /// Number of the last of these events.
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
    /// Numbers `event`, which arrived at its source at `arrived`. Call it before the event is sent
    /// to a channel, so that waiting for room in the channel counts. Sources wait for room in
    /// turns, so a time may be older than the previous one.
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

    /// Drops the events up to number `through`, whose changes have been tried, successfully or not.
    /// Returns true if there were any.
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

    /// Returns the time at which the oldest unapplied event arrived at its source, or `None`
    /// without one. Events from before the last first list count from the end of that list: until
    /// then no event is late.
    ///
    /// The time may be too early by one part in 512 of the backlog's age, or by 100 ms, but never
    /// too late.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let counts = self.counts();
        let complete = counts.complete?;
        let oldest = counts.marks.iter().map(|mark| mark.arrived).min()?;
        Some(oldest.max(complete))
    }

    /// Returns the number of unapplied events.
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

/// Merges two consecutive marks; the result has the older time. A single mark is kept.
fn merge(marks: &[Mark]) -> Mark {
    let [first, last] = [marks[0], marks[marks.len() - 1]];
    Mark {
        arrived: first.arrived.min(last.arrived),
        through: last.through,
    }
}
