//! Guard against lists that would delete most objects at once (deviation D27).
//!
//! A complete list may lack nearly all objects by mistake: the API server lost its storage, a cache
//! is still empty, or a directory is not mounted yet. A list counts as shrunk if it lacks more than
//! half of the known objects, and either at least [`FEWEST_MISSING`] or all of them. A shrunk list
//! deletes nothing until a later list is shrunk too.
//!
//! Deletions that a watch reports one by one are never delayed.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use model::{ClusterEvent, ObjectKind, ObjectName};

/// Minimum number of missing objects in a shrunk list that still contains some objects.
const FEWEST_MISSING: usize = 10;

/// Settings of the guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// Time between a shrunk list and the list that confirms it; zero disables the guard.
    pub after: Duration,
    /// True if a first list without Services needs confirmation too, because the node has entries
    /// of an earlier process.
    pub of_first: bool,
}

/// A list that lacks most of the known objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shrunk {
    /// Number of objects that were known before.
    known: usize,
    /// Number of known objects that the list lacks.
    missing: usize,
    /// Time between a shrunk list and the list that confirms it.
    after: Duration,
    /// Time from now until a list counts as a confirmation.
    pub(crate) wait: Duration,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            known,
            missing,
            after,
            wait: _,
        } = self;
        match known {
            0 => f.write_str("the first list is empty, and this node has addresses of Services"),
            _ => write!(f, "the list lacks {missing} of {known} known objects"),
        }?;
        let seconds = after.as_secs_f32();
        write!(
            f,
            "; nothing is deleted unless a list {seconds} s later lacks them too"
        )
    }
}

impl Shrunk {
    /// Returns the advice for an operator.
    pub(crate) fn advice() -> String {
        "if the objects were deleted on purpose, wait; else check the source: a directory may be unmounted, or the API server may \
         have lost its storage (see deletionConfirmation)"
            .to_owned()
    }
}

/// Guard of one kind of objects.
#[derive(Debug)]
pub(crate) struct ListGuard {
    confirmation: Confirmation,
    hasher: RandomState,
    /// Hashes of the names of known objects with the number of the last list that contained them. A
    /// hash takes less memory than a name; a collision changes a count by one.
    known: HashMap<u64, u64>,
    list: u64,
    /// Number of known objects at the start of the list, or of the first of several shrunk lists.
    before: usize,
    has_listed: bool,
    /// Time of the first of several shrunk lists.
    doubted: Option<Instant>,
}

impl ListGuard {
    /// Returns a guard of objects of `kind` without known objects.
    pub(crate) fn new(confirmation: Confirmation, kind: ObjectKind) -> Self {
        Self {
            confirmation: Confirmation {
                // A source may have no Nodes and no slices, but every cluster has the Service
                // `default/kubernetes`.
                of_first: confirmation.of_first && kind == ObjectKind::Service,
                ..confirmation
            },
            hasher: RandomState::new(),
            known: HashMap::new(),
            list: 0,
            before: 0,
            has_listed: false,
            doubted: None,
        }
    }

    /// Records `event`. [`Self::end_list`] handles the end of a list.
    pub(crate) fn see(&mut self, event: &ClusterEvent) {
        if self.confirmation.after.is_zero() {
            return;
        }
        match event {
            ClusterEvent::ListStarted(_) => {
                self.list += 1;
                if self.doubted.is_none() {
                    self.before = self.known.len();
                }
            }
            ClusterEvent::Upsert(object) => self.name(&object.name()),
            ClusterEvent::Undecodable(_, name, _) => self.name(name),
            ClusterEvent::Delete(_, name) => {
                let hash = self.hasher.hash_one(name);
                self.known.remove(&hash);
            }
            ClusterEvent::ListDone(_) => {}
        }
    }

    fn name(&mut self, name: &ObjectName) {
        let hash = self.hasher.hash_one(name);
        self.known.insert(hash, self.list);
    }

    /// Checks the list that is complete at `now`.
    ///
    /// # Errors
    ///
    /// The list is shrunk and not confirmed yet. It must not be delivered as complete.
    pub(crate) fn end_list(&mut self, now: Instant) -> Result<(), Shrunk> {
        let Confirmation { after, of_first } = self.confirmation;
        let known = self.before;
        let missing = (self.known.values())
            .filter(|list| **list != self.list)
            .count();
        let most = missing > known / 2 && (missing >= FEWEST_MISSING || missing >= known);
        let first_is_empty = of_first && !self.has_listed && self.known.is_empty();
        let is_shrunk = (known > 0 && most) || first_is_empty;
        if is_shrunk && !after.is_zero() {
            let doubted = *self.doubted.get_or_insert(now);
            let wait = after.saturating_sub(now.saturating_duration_since(doubted));
            if !wait.is_zero() {
                return Err(Shrunk {
                    known,
                    missing,
                    after,
                    wait,
                });
            }
        }
        self.doubted = None;
        self.has_listed = true;
        let list = self.list;
        self.known.retain(|_, named| *named == list);
        Ok(())
    }
}
