//! Interner of names that many objects share.

use std::collections::HashSet;

use crate::names::Name;

/// Minimum number of names before unused ones are dropped.
const MIN_NAMES: usize = 1024;

/// Names that many objects share, such as names of namespaces and ports, each stored once. The
/// contents do not affect equality.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    names: HashSet<Name>,
    /// Number of names after unused ones were last dropped.
    in_use: usize,
}

impl PartialEq for Interner {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Interner {}

impl Interner {
    /// Returns the stored name that equals `name`, or `name` itself.
    pub(super) fn get(&self, name: &Name) -> Name {
        self.names.get(name).unwrap_or(name).clone()
    }

    /// Replaces `name` by the stored name that equals it; stores `name` if there is none.
    pub(super) fn share(&mut self, name: &mut Name) {
        if let Some(known) = self.names.get(name) {
            name.clone_from(known);
            return;
        }
        if self.names.len() >= MIN_NAMES.max(2 * self.in_use) {
            // A name without a count is a literal of the program, which uses no memory here.
            (self.names).retain(|name| Name::strong_count(name).is_some_and(|count| count > 1));
            self.in_use = self.names.len();
        }
        self.names.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_names_are_dropped() {
        let mut names = Interner::default();
        let mut kept: Name = "kept".into();
        names.share(&mut kept);
        for number in 0..10 * MIN_NAMES {
            names.share(&mut format!("node-{number}").as_str().into());
            assert!(names.names.len() <= MIN_NAMES + 1);
        }
        let mut again: Name = "kept".into();
        names.share(&mut again);
        assert!(Name::ptr_eq(&kept, &again));
    }

    #[test]
    fn names_in_use_are_scanned_only_when_their_number_doubles() {
        let mut names = Interner::default();
        let mut used: Vec<Name> = Vec::new();
        for number in 0..5 * MIN_NAMES {
            used.push(format!("node-{number}").as_str().into());
            names.share(used.last_mut().expect("one"));
        }
        assert_eq!(names.names.len(), used.len());
        assert_eq!(
            names.in_use,
            4 * MIN_NAMES,
            "scanned at 1,024, 2,048 and 4,096"
        );
    }
}
