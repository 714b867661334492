//! The versioned store: objects, one revision counter, the history of changes, compaction.
//!
//! The store is pure: no clock, no locks, no sockets. Revisions are etcd's: one counter over all
//! kinds, incremented at every write. A deletion has its own revision.

use crate::object::{Key, Object};
use crate::resource::Resource;
use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

#[cfg(test)]
mod tests;

/// The requested history has been dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision is compacted; the oldest one kept is {oldest}")]
pub(crate) struct Compacted {
    /// Oldest available revision.
    pub(crate) oldest: u64,
}

/// Kind of change of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The object is new.
    Added,
    /// The object has another version.
    Modified,
    /// The object was deleted.
    Deleted,
}

impl Change {
    /// Returns the `type` of a watch event.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object, shared by all watchers.
#[derive(Debug)]
pub(crate) struct Event {
    /// Revision of the store with this change.
    pub(crate) revision: u64,
    /// The change.
    pub(crate) change: Change,
    /// The new version; for a deletion the last one, with the revision of the deletion.
    pub(crate) object: Arc<Object>,
    /// The previous version, if there was one.
    pub(crate) previous: Option<Arc<Object>>,
    frame: OnceLock<Bytes>,
}

impl Event {
    /// Returns the line that a watch sends for this change. It is serialised once and shared.
    pub(crate) fn frame(&self, resource: Resource) -> Bytes {
        self.frame
            .get_or_init(|| frame(self.change, resource, &self.object))
            .clone()
    }
}

/// Returns a watch line for an object.
pub(crate) fn frame(change: Change, resource: Resource, object: &Object) -> Bytes {
    let mut out = Vec::with_capacity(512);
    write_frame(change, resource, object, &mut out);
    Bytes::from(out)
}

/// Appends a watch line for an object.
pub(crate) fn write_frame(change: Change, resource: Resource, object: &Object, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(change.as_str().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    object.write_full(resource, out);
    out.extend_from_slice(b"}\n");
}

/// Part of a list, consistent at one revision.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects, in key order.
    pub(crate) items: Vec<Arc<Object>>,
    /// Revision of the whole list.
    pub(crate) revision: u64,
    /// Key of the last item, if there are more.
    pub(crate) next: Option<Key>,
}

/// Part of a list to read.
#[derive(Debug, Default)]
pub(crate) struct Range<'a> {
    /// Only this namespace.
    pub(crate) namespace: Option<&'a str>,
    /// Read the state at this revision; the newest if `None`.
    pub(crate) at: Option<u64>,
    /// Only keys after this one.
    pub(crate) after: Option<&'a Key>,
    /// Maximum number of objects; 0 means all.
    pub(crate) limit: usize,
}

/// Objects of all kinds and the history of their changes.
#[derive(Debug)]
pub(crate) struct Store {
    revision: u64,
    compacted: u64,
    watchable_from: u64,
    history_limit: usize,
    shelves: [Shelf; Resource::ALL.len()],
}

#[derive(Debug, Default)]
struct Shelf {
    objects: BTreeMap<Key, Arc<Object>>,
    history: VecDeque<Arc<Event>>,
    /// Revision up to which events were dropped to limit the history.
    dropped: u64,
}

impl Store {
    /// Creates an empty store that keeps at most `history_limit` events of each kind. Everything up
    /// to `first_revision` is compacted: a client with an earlier revision must list again.
    #[must_use]
    pub(crate) fn new(history_limit: usize, first_revision: u64) -> Self {
        Self {
            revision: first_revision.max(1),
            compacted: first_revision.max(1) - 1,
            watchable_from: 0,
            history_limit: history_limit.max(1),
            shelves: Default::default(),
        }
    }

    /// Returns the newest revision.
    #[must_use]
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the newest version of an object.
    #[must_use]
    pub(crate) fn get(&self, resource: Resource, key: &Key) -> Option<&Arc<Object>> {
        self.shelves[resource.index()].objects.get(key)
    }

    /// Writes a new or existing object. Its `resourceVersion` becomes the new revision.
    pub(crate) fn put(&mut self, resource: Resource, value: Value) -> Arc<Object> {
        self.revision += 1;
        let object = Arc::new(Object::new(resource, value, self.revision));
        let shelf = &mut self.shelves[resource.index()];
        let previous = shelf
            .objects
            .insert(object.key.clone(), Arc::clone(&object));
        let change = if previous.is_some() {
            Change::Modified
        } else {
            Change::Added
        };
        self.record(resource, change, Arc::clone(&object), previous);
        object
    }

    /// Removes an object. Returns its last version with the revision of the deletion.
    pub(crate) fn remove(&mut self, resource: Resource, key: &Key) -> Option<Arc<Object>> {
        let previous = self.shelves[resource.index()].objects.remove(key)?;
        self.revision += 1;
        let last = Arc::new(Object::new(resource, previous.value.clone(), self.revision));
        self.record(resource, Change::Deleted, Arc::clone(&last), Some(previous));
        Some(last)
    }

    fn record(
        &mut self,
        resource: Resource,
        change: Change,
        object: Arc<Object>,
        previous: Option<Arc<Object>>,
    ) {
        let shelf = &mut self.shelves[resource.index()];
        let revision = self.revision;
        shelf.history.push_back(Arc::new(Event {
            revision,
            change,
            object,
            previous,
            frame: OnceLock::new(),
        }));
        while shelf.history.len() > self.history_limit {
            if let Some(event) = shelf.history.pop_front() {
                shelf.dropped = event.revision;
            }
        }
    }

    /// Returns the changes after `revision`, oldest first, at most `most` of them.
    ///
    /// # Errors
    /// [`Compacted`] if some of them have been dropped.
    pub(crate) fn events_after(
        &self,
        resource: Resource,
        revision: u64,
        most: usize,
    ) -> Result<Vec<Arc<Event>>, Compacted> {
        let shelf = &self.shelves[resource.index()];
        let floor = self.compacted.max(self.watchable_from).max(shelf.dropped);
        if revision < floor {
            return Err(Compacted { oldest: floor });
        }
        let start = shelf.history.partition_point(|e| e.revision <= revision);
        Ok(shelf.history.range(start..).take(most).cloned().collect())
    }

    /// Returns the objects in a range that `select` accepts.
    ///
    /// # Errors
    /// [`Compacted`] if the revision of the range has been dropped.
    pub(crate) fn list(
        &self,
        resource: Resource,
        range: &Range<'_>,
        select: impl Fn(&Object) -> bool,
    ) -> Result<Page, Compacted> {
        let undone = match range.at {
            Some(at) if at != self.revision => self.undone_since(resource, at)?,
            _ => BTreeMap::new(),
        };
        let from = match (range.after, range.namespace) {
            (Some(key), _) => Bound::Excluded(key.clone()),
            (None, Some(ns)) => Bound::Included(Key::new(ns, "")),
            (None, None) => Bound::Unbounded,
        };
        let bounds = (from, Bound::Unbounded);
        let here = |key: &Key| range.namespace.is_none_or(|ns| key.namespace == ns);
        let objects = &self.shelves[resource.index()].objects;
        let now = objects
            .range(bounds.clone())
            .take_while(|(k, _)| here(k))
            .filter(|(k, _)| !undone.contains_key(*k));
        let before = undone
            .range(bounds)
            .take_while(|(k, _)| here(k))
            .filter_map(|(k, o)| Some((k, o.as_ref()?)));
        let mut selected = merge(now, before)
            .map(|(_, object)| object)
            .filter(|object| select(object));
        let most = match range.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let items: Vec<_> = selected.by_ref().take(most).cloned().collect();
        let more = selected.next().is_some();
        Ok(Page {
            next: items.last().filter(|_| more).map(|last| last.key.clone()),
            items,
            revision: range.at.unwrap_or(self.revision),
        })
    }

    /// Returns the versions to restore an older revision: the earlier version of each object
    /// changed since.
    fn undone_since(
        &self,
        resource: Resource,
        at: u64,
    ) -> Result<BTreeMap<Key, Option<Arc<Object>>>, Compacted> {
        let shelf = &self.shelves[resource.index()];
        let floor = self.compacted.max(shelf.dropped);
        if at < floor {
            return Err(Compacted { oldest: floor });
        }
        let mut undone = BTreeMap::new();
        for event in shelf.history.iter().rev().take_while(|e| e.revision > at) {
            undone.insert(event.object.key.clone(), event.previous.clone());
        }
        Ok(undone)
    }

    /// Drops the history up to and including `revision`, as etcd's compaction does. Watches and
    /// lists from before it are answered 410.
    pub(crate) fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision.min(self.revision));
        for shelf in &mut self.shelves {
            while shelf
                .history
                .front()
                .is_some_and(|e| e.revision <= self.compacted)
            {
                shelf.history.pop_front();
            }
        }
    }

    /// Restarts the API server on a store that etcd keeps: objects and revisions stay, the history
    /// of watch events starts again.
    pub(crate) fn restart(&mut self) {
        self.watchable_from = self.revision;
    }

    /// Uses up `by` revisions, as writes to kinds that are not served do.
    pub(crate) fn advance(&mut self, by: u64) {
        self.revision += by;
    }
}

/// Merges two key-ordered sequences without common keys.
fn merge<'a>(
    left: impl Iterator<Item = (&'a Key, &'a Arc<Object>)>,
    right: impl Iterator<Item = (&'a Key, &'a Arc<Object>)>,
) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some(l), Some(r)) if r.0 < l.0 => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    })
}
