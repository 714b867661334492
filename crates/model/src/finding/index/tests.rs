use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::{FindingChanges, FindingIndex};
use crate::finding::{Code, Finding};
use crate::names::ObjectName;

fn finding(name: &str) -> Finding {
    Finding {
        code: Code::InvalidScheduler,
        kind: "Service",
        object: ObjectName::new("default", name),
        field: "spec".to_owned(),
        problem: "it is odd".to_owned(),
        consequence: "nothing happens".to_owned(),
    }
}

fn findings(names: &[&str]) -> Vec<Finding> {
    names.iter().map(|name| finding(name)).collect()
}

fn check_changes(index: &mut FindingIndex<u8>, raised: &[&str], cleared: &[&str]) {
    let expected = FindingChanges {
        raised: findings(raised),
        cleared: findings(cleared),
    };
    assert_eq!(index.take_changes(), expected);
}

#[test]
fn replaced_findings_are_reported_as_difference() {
    let mut index = FindingIndex::default();
    index.set(1, findings(&["b", "a"]));
    check_changes(&mut index, &["a", "b"], &[]);
    index.set(1, findings(&["b", "c"]));
    check_changes(&mut index, &["c"], &["a"]);
    index.set(1, Vec::new());
    check_changes(&mut index, &[], &["b", "c"]);
    assert!(index.is_empty());
}

#[test]
fn finding_of_two_sources_stays_until_both_clear_it() {
    let mut index = FindingIndex::default();
    index.set(1, findings(&["a"]));
    index.set(2, findings(&["a", "a"]));
    assert_eq!(index.iter().cloned().collect::<Vec<_>>(), findings(&["a"]));
    assert_eq!(index.len(), 1);
    check_changes(&mut index, &["a"], &[]);
    index.set(2, Vec::new());
    check_changes(&mut index, &[], &[]);
    index.set(1, Vec::new());
    check_changes(&mut index, &[], &["a"]);
}

#[test]
fn finding_raised_and_cleared_between_two_calls_is_no_change() {
    let mut index = FindingIndex::default();
    index.set(1, findings(&["a"]));
    index.set(1, Vec::new());
    check_changes(&mut index, &[], &[]);
    index.set(1, findings(&["a"]));
    check_changes(&mut index, &["a"], &[]);
    index.set(1, Vec::new());
    index.set(2, findings(&["a"]));
    check_changes(&mut index, &[], &[]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The index equals the union of all sources, and its changes the difference of two unions.
    #[test]
    fn index_equals_union_of_lists(
        steps in vec((0_u8..4, vec(0_usize..5, 0..4), any::<bool>()), 0..40),
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let mut index = FindingIndex::default();
        let mut lists: BTreeMap<u8, Vec<Finding>> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (source, chosen, take) in steps {
            let list: Vec<Finding> = chosen.into_iter().map(|at| finding(names[at])).collect();
            index.set(source, list.clone());
            lists.insert(source, list);
            let union: BTreeSet<Finding> = lists.values().flatten().cloned().collect();
            prop_assert!(index.iter().eq(&union));
            prop_assert_eq!(index.len(), union.len());
            if take {
                let expected = FindingChanges {
                    raised: union.difference(&taken).cloned().collect(),
                    cleared: taken.difference(&union).cloned().collect(),
                };
                prop_assert_eq!(index.take_changes(), expected);
                taken = union;
            }
        }
    }
}
