//! Contested keys whose findings are not yet updated.

use std::collections::BTreeMap;

/// Contested keys whose claimants changed since the last [`Contests::take`].
///
/// Findings name the winner, so a new winner changes the findings of every claimant of its key.
/// Findings are written once at the end of an update. Otherwise a list in which each claimant beats
/// the previous one would cost n² findings.
#[derive(Debug)]
pub(super) struct Contests<K, C> {
    changed: BTreeMap<K, Contest<C>>,
}

/// Changes at one key.
#[derive(Debug)]
pub(super) struct Contest<C> {
    /// Winner before the changes.
    winner: Option<C>,
    /// Claimants that were added, removed, or changed their claim. The value is true if the
    /// claimant still claims the key.
    claimants: BTreeMap<C, bool>,
}

impl<K, C> Default for Contests<K, C> {
    fn default() -> Self {
        Self {
            changed: BTreeMap::new(),
        }
    }
}

impl<K: Ord, C: Ord + Clone> Contests<K, C> {
    /// Records that `claimant` claims `key`, or no longer does.
    ///
    /// `winner` is the winner before this change. `is_contested` is true if several claimants claim
    /// the key, now or before this change. Other keys need no findings, unless they were contested
    /// earlier in this update.
    pub(super) fn record(
        &mut self,
        key: K,
        is_contested: bool,
        winner: Option<&C>,
        claimant: &C,
        claims: bool,
    ) {
        if !is_contested && !self.changed.contains_key(&key) {
            return;
        }
        let contest = self.changed.entry(key).or_insert_with(|| Contest {
            winner: winner.cloned(),
            claimants: BTreeMap::new(),
        });
        contest.claimants.insert(claimant.clone(), claims);
    }

    /// Returns the changes since the last call.
    pub(super) fn take(&mut self) -> BTreeMap<K, Contest<C>> {
        std::mem::take(&mut self.changed)
    }
}

impl<C: Ord + Clone> Contest<C> {
    /// Returns the claimants whose findings may have changed, each with true if it lost the key.
    /// `claimants` lists all current claimants, the winner first.
    pub(super) fn outcomes<'a>(self, claimants: impl Iterator<Item = &'a C>) -> Vec<(C, bool)>
    where
        C: 'a,
    {
        let mut claimants = claimants.peekable();
        let winner = claimants.peek().copied().cloned();
        let mut affected = self.claimants;
        if winner != self.winner {
            affected.extend(self.winner.map(|winner| (winner, false)));
            affected.extend(claimants.map(|claimant| (claimant.clone(), true)));
        }
        (affected.into_iter())
            .map(|(claimant, claims)| {
                let lost = claims && Some(&claimant) != winner.as_ref();
                (claimant, lost)
            })
            .collect()
    }
}
