//! Findings by source, and their changes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Finding;

/// Findings by their sources. A source is a part of the input that is checked on its own, such as
/// one Service.
///
/// Replacing the findings of one source costs O(log n) for each of them. Findings of other sources
/// are neither compared nor copied. A finding of two sources is stored once.
#[derive(Clone, Debug)]
pub struct FindingIndex<S> {
    /// Sources with findings.
    by_source: BTreeMap<S, Box<[Arc<Finding>]>>,
    /// Number of times that each finding occurs in `by_source`. Never zero.
    counts: BTreeMap<Arc<Finding>, usize>,
    /// Changes since the last [`FindingIndex::take_changes`]: true for a finding that exists now
    /// and did not exist then, false for the reverse.
    changed: BTreeMap<Arc<Finding>, bool>,
}

/// Findings raised and cleared between two calls of [`FindingIndex::take_changes`], in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingChanges {
    /// Findings that did not exist before.
    pub raised: Vec<Finding>,
    /// Findings that no longer exist.
    pub cleared: Vec<Finding>,
}

impl FindingChanges {
    /// Returns true if nothing was raised and nothing was cleared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.cleared.is_empty()
    }
}

impl<S> Default for FindingIndex<S> {
    fn default() -> Self {
        Self {
            by_source: BTreeMap::new(),
            counts: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }
}

impl<S: Ord> FindingIndex<S> {
    /// Replaces the findings of `source`. An empty list removes the source.
    pub fn set(&mut self, source: S, findings: Vec<Finding>) {
        let before = if findings.is_empty() {
            self.by_source.remove(&source)
        } else {
            let known = self.by_source.get(&source);
            if known.is_some_and(|known| known.iter().map(AsRef::as_ref).eq(&findings)) {
                return;
            }
            // New findings are added before old ones are removed, so that a common one is not a
            // change.
            let added = findings.into_iter().map(|finding| self.add(finding));
            let added = added.collect();
            self.by_source.insert(source, added)
        };
        for finding in before.into_iter().flatten() {
            self.remove(&finding);
        }
    }

    /// Returns each finding once, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.counts.keys().map(AsRef::as_ref)
    }

    /// Returns the number of distinct findings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Returns true if there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the findings raised and cleared since the last call, or since the index was created.
    /// A finding that was raised and cleared, or cleared and raised, is not a change.
    pub fn take_changes(&mut self) -> FindingChanges {
        let mut changes = FindingChanges::default();
        for (finding, exists) in std::mem::take(&mut self.changed) {
            let list = if exists {
                &mut changes.raised
            } else {
                &mut changes.cleared
            };
            list.push(Arc::unwrap_or_clone(finding));
        }
        changes
    }

    fn add(&mut self, finding: Finding) -> Arc<Finding> {
        if let Some((known, _)) = self.counts.get_key_value(&finding) {
            let known = Arc::clone(known);
            *self.counts.entry(Arc::clone(&known)).or_default() += 1;
            return known;
        }
        let finding = Arc::new(finding);
        self.counts.insert(Arc::clone(&finding), 1);
        self.toggle(&finding, true);
        finding
    }

    fn remove(&mut self, finding: &Arc<Finding>) {
        let Some(count) = self.counts.get_mut(finding) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(finding);
            self.toggle(finding, false);
        }
    }

    /// Records that `finding` was raised or cleared. A second change cancels the first one.
    fn toggle(&mut self, finding: &Arc<Finding>, exists: bool) {
        if self.changed.remove(finding).is_none() {
            self.changed.insert(Arc::clone(finding), exists);
        }
    }
}
