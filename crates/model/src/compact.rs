//! Maps in as few pieces as they fit in.
//!
//! A `BTreeMap` that is filled in the order of its keys is little more than half full: its full nodes are split, and nothing is
//! added to the first half any more. One that is built from a sorted sequence is full
//! (`bulk_build_from_sorted_iter`, library/alloc/src/collections/btree/append.rs, Rust 1.95).

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

/// Packs `map`, at the cost of moving all that is in it.
pub fn pack_map<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = take(map).into_iter().collect();
}

/// The same for a set.
pub fn pack_set<T: Ord>(set: &mut BTreeSet<T>) {
    *set = take(set).into_iter().collect();
}
