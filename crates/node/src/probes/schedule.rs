//! Times of probes, and the state of each target that follows from the results.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::names::{Name, ObjectName};
use model::policy::{CheckTarget, Probe};

use super::probe::Outcome;
use super::wanted::TargetChanges;
use crate::health::Moment;

/// State of one target. A new target is healthy, as in Kubernetes an endpoint is until its first
/// probes fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetState {
    /// Error with which the target failed; `None` if it is healthy.
    failed: Option<Name>,
    /// Number of consecutive results that contradict the state.
    streak: u8,
    /// Error of the last probe that failed.
    last_error: Option<Name>,
}

impl TargetState {
    /// Adds a result. Returns true if the target failed or recovered. An error of this node says
    /// nothing about the target.
    pub fn add(&mut self, outcome: Outcome, probe: &Probe) -> bool {
        let error = match outcome {
            Outcome::Local(_) => return false,
            Outcome::Success => None,
            Outcome::Failure(error) => Some(error),
        };
        let contradicts = error.is_some() != self.failed.is_some();
        if let Some(error) = &error {
            self.last_error = Some(error.clone());
        }
        if !contradicts {
            self.streak = 0;
            return false;
        }
        self.streak += 1;
        let needed = if error.is_some() {
            probe.fall
        } else {
            probe.rise
        };
        if self.streak < needed {
            return false;
        }
        self.streak = 0;
        self.failed = error;
        true
    }

    /// Returns the error with which the target failed; `None` if it is healthy.
    #[must_use]
    pub fn failed(&self) -> Option<&Name> {
        self.failed.as_ref()
    }

    /// Returns the error of the last probe that failed.
    #[must_use]
    pub fn last_error(&self) -> Option<&Name> {
        self.last_error.as_ref()
    }
}

/// A target with its state.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Services that use the result.
    pub services: BTreeSet<ObjectName>,
    /// The state.
    pub state: TargetState,
    /// Time of the last change of the state, or of the first probe's order.
    pub since: Timestamp,
    /// Number of the entry, which distinguishes it from an earlier one of the same target.
    number: u64,
    /// Time of the next probe, or of the one under way.
    due: Instant,
}

/// A probe that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The target.
    pub target: CheckTarget,
    /// True if it started more than half an interval late, for lack of probes at a time.
    pub is_late: bool,
    number: u64,
}

/// All targets, and the times of their probes.
#[derive(Debug)]
pub struct Schedule {
    targets: BTreeMap<CheckTarget, Entry>,
    /// Targets by the time of their next probe, without those that are being probed.
    due: BTreeSet<(Instant, CheckTarget)>,
    failed: usize,
    /// Results that changed and are not yet taken.
    changes: BTreeMap<CheckTarget, Option<Name>>,
    /// Number of the next entry.
    next: u64,
    random: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        Self::new(seed)
    }
}

impl Schedule {
    /// Creates a schedule without targets. `seed` randomizes the times, so that nodes do not probe
    /// one endpoint at the same time.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            targets: BTreeMap::new(),
            due: BTreeSet::new(),
            failed: 0,
            changes: BTreeMap::new(),
            next: 0,
            random: seed | 1,
        }
    }

    /// Changes the wanted targets. The first probes are spread over the interval.
    pub fn want(&mut self, changes: TargetChanges, now: Moment) {
        for (target, services) in changes {
            if services.is_empty() {
                self.remove(&target);
            } else if let Some(entry) = self.targets.get_mut(&target) {
                entry.services = services;
            } else {
                let due = now.instant + target.probe.interval.mul_f64(self.random());
                self.due.insert((due, target.clone()));
                let entry = Entry {
                    services,
                    state: TargetState::default(),
                    since: now.time,
                    number: self.next,
                    due,
                };
                self.next += 1;
                self.targets.insert(target, entry);
            }
        }
    }

    fn remove(&mut self, target: &CheckTarget) {
        let Some(entry) = self.targets.remove(target) else {
            return;
        };
        self.due.remove(&(entry.due, target.clone()));
        if entry.state.failed.is_some() {
            self.failed -= 1;
            // A target that is wanted again starts as healthy, here and in the loop.
            self.changes.insert(target.clone(), None);
        }
    }

    /// Returns the time of the next probe.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Starts the next probe that is due at `now`.
    pub fn start(&mut self, now: Instant) -> Option<Started> {
        self.due.first().filter(|(due, _)| *due <= now)?;
        let (due, target) = self.due.pop_first()?;
        let number = self.targets.get(&target)?.number;
        let is_late = now.saturating_duration_since(due) > target.probe.interval / 2;
        Some(Started {
            target,
            is_late,
            number,
        })
    }

    /// Records the result of a probe, and schedules the next one an interval after the time at
    /// which this one was due, 5 % sooner or later at random.
    pub fn finish(&mut self, started: &Started, outcome: Outcome, now: Moment) {
        let factor = 0.95 + 0.1 * self.random();
        let Some(entry) = self.targets.get_mut(&started.target) else {
            return;
        };
        if entry.number != started.number {
            return;
        }
        let probe = &started.target.probe;
        let was_failed = entry.state.failed.is_some();
        if entry.state.add(outcome, probe) {
            entry.since = now.time;
            match was_failed {
                true => self.failed -= 1,
                false => self.failed += 1,
            }
            let result = entry.state.failed.clone();
            self.changes.insert(started.target.clone(), result);
        }
        entry.due = (entry.due + probe.interval.mul_f64(factor)).max(now.instant);
        self.due.insert((entry.due, started.target.clone()));
    }

    /// Returns true if results changed.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Takes the results that changed: the error of a target that failed, or `None` if it is
    /// healthy or no longer wanted.
    pub fn take_changes(&mut self) -> BTreeMap<CheckTarget, Option<Name>> {
        std::mem::take(&mut self.changes)
    }

    /// Returns the numbers of healthy and of failed targets.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.targets.len() - self.failed, self.failed)
    }

    /// Returns all targets.
    pub fn targets(&self) -> impl Iterator<Item = (&CheckTarget, &Entry)> {
        self.targets.iter()
    }

    /// Returns a number from 0 to 1 from xorshift64 (Marsaglia 2003).
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Longest time after which the failure of a target is known, without waits for other probes.
#[must_use]
pub fn detection_time(probe: &Probe) -> Duration {
    probe.interval.mul_f64(1.05) * u32::from(probe.fall) + probe.timeout
}
