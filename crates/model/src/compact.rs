//! Rebuilds maps and sets so that they use as little memory as possible.
//!
//! A `BTreeMap` that is filled in the order of its keys is little more than half full: a full node
//! is split, and no later key belongs into its first half. A map that is built from a sorted
//! sequence is full (`bulk_build_from_sorted_iter`, library/alloc/src/collections/btree/append.rs,
//! Rust 1.95).

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

/// Rebuilds `map` with full nodes. Moves every key and value.
pub fn pack_map<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    *map = take(map).into_iter().collect();
}

/// Rebuilds `set` with full nodes. Moves every element.
pub fn pack_set<T: Ord>(set: &mut BTreeSet<T>) {
    *set = take(set).into_iter().collect();
}
