//! Names that many objects have in common.

use std::collections::HashSet;

use crate::names::Name;

/// Minimum number of names before any is forgotten.
const FEW: usize = 1024;

/// Names that many objects have in common, such as those of namespaces and ports, each kept once. What is in it
/// makes no difference to anybody.
#[derive(Clone, Debug, Default)]
pub(super) struct Interner {
    names: HashSet<Name>,
    /// Number of names left when unused ones were last forgotten.
    in_use: usize,
}

impl PartialEq for Interner {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Interner {}

impl Interner {
    /// `name`, as it is kept.
    pub(super) fn get(&self, name: &Name) -> Name {
        self.names.get(name).unwrap_or(name).clone()
    }

    /// Keeps `name`, and makes it the one that is kept.
    pub(super) fn share(&mut self, name: &mut Name) {
        if let Some(known) = self.names.get(name) {
            name.clone_from(known);
            return;
        }
        if self.names.len() >= FEW.max(2 * self.in_use) {
            self.names.retain(|name| Name::strong_count(name) > 1);
            self.in_use = self.names.len();
        }
        self.names.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_uses_are_forgotten() {
        let mut names = Interner::default();
        let mut kept: Name = "kept".into();
        names.share(&mut kept);
        for number in 0..10 * FEW {
            names.share(&mut format!("node-{number}").as_str().into());
            assert!(names.names.len() <= FEW + 1);
        }
        let mut again: Name = "kept".into();
        names.share(&mut again);
        assert!(Name::ptr_eq(&kept, &again));
    }

    #[test]
    fn many_names_in_use_are_not_looked_through_each_time() {
        let mut names = Interner::default();
        let mut used: Vec<Name> = Vec::new();
        for number in 0..5 * FEW {
            used.push(format!("node-{number}").as_str().into());
            names.share(used.last_mut().expect("one"));
        }
        assert_eq!(names.names.len(), used.len());
        assert_eq!(names.in_use, 4 * FEW, "at 1,024, 2,048 and 4,096");
    }
}
