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
            prop_assert_eq!(index.is_empty(), union.is_empty());
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
