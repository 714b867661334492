use super::{Change, Compacted, Range, Store};
use crate::object::Key;
use crate::resource::Resource::{self, Services};
use serde_json::{Value, json};

fn service(ns: &str, name: &str, port: u16) -> Value {
    json!({"metadata": {"namespace": ns, "name": name}, "spec": {"ports": [{"port": port}]}})
}

fn store() -> Store {
    let mut store = Store::new(100, 1);
    store.put(Services, service("a", "one", 1));
    store.put(Services, service("b", "one", 2));
    store.put(Services, service("a", "two", 3));
    store
}

/// Returns the range of everything at an old revision.
fn at(revision: u64) -> Range<'static> {
    Range {
        at: Some(revision),
        ..Range::default()
    }
}

fn names(store: &Store, range: &Range<'_>) -> Vec<String> {
    let page = store.list(Services, range, |_| true).unwrap();
    page.items
        .iter()
        .map(|o| format!("{}/{}@{}", o.key.namespace, o.key.name, o.revision))
        .collect()
}

#[test]
fn all_kinds_share_one_revision_counter() {
    let mut store = store();
    assert_eq!(store.revision(), 4);
    let slice = store.put(
        Resource::EndpointSlices,
        json!({"metadata": {"namespace": "a", "name": "s"}}),
    );
    assert_eq!(slice.value["metadata"]["resourceVersion"], "5");
    assert_eq!(
        store
            .remove(Services, &Key::new("a", "one"))
            .unwrap()
            .revision,
        6
    );
}

#[test]
fn lists_are_ordered_by_namespace_and_name() {
    let store = store();
    assert_eq!(
        names(&store, &Range::default()),
        ["a/one@2", "a/two@4", "b/one@3"]
    );
    assert_eq!(
        names(
            &store,
            &Range {
                namespace: Some("a"),
                ..Range::default()
            }
        ),
        ["a/one@2", "a/two@4"]
    );
}

#[test]
fn old_revision_can_be_listed() {
    let mut store = store();
    store.put(Services, service("a", "one", 9));
    store.put(Services, service("a", "new", 9));
    store.remove(Services, &Key::new("b", "one"));
    assert_eq!(names(&store, &at(4)), ["a/one@2", "a/two@4", "b/one@3"]);
    assert_eq!(names(&store, &at(3)), ["a/one@2", "b/one@3"]);
    assert_eq!(
        names(&store, &Range::default()),
        ["a/new@6", "a/one@5", "a/two@4"]
    );
}

#[test]
fn pages_have_one_revision() {
    let mut store = store();
    let first = store
        .list(
            Services,
            &Range {
                limit: 2,
                ..Range::default()
            },
            |_| true,
        )
        .unwrap();
    assert_eq!((first.items.len(), first.revision), (2, 4));
    store.remove(Services, &Key::new("b", "one"));
    let range = Range {
        limit: 2,
        at: Some(4),
        after: first.next.as_ref(),
        ..Range::default()
    };
    assert_eq!(names(&store, &range), ["b/one@3"]);
}

#[test]
fn events_after_a_revision() {
    let mut store = store();
    store.put(Services, service("a", "one", 9));
    store.remove(Services, &Key::new("a", "one"));
    let events = store.events_after(Services, 3, 100).unwrap();
    let changes: Vec<(u64, Change)> = events.iter().map(|e| (e.revision, e.change)).collect();
    assert_eq!(
        changes,
        [
            (4, Change::Added),
            (5, Change::Modified),
            (6, Change::Deleted)
        ]
    );
    assert_eq!(events[2].object.value["metadata"]["resourceVersion"], "6");
    let frame: Value = serde_json::from_slice(&events[1].frame(Services)).unwrap();
    assert_eq!(frame["type"], "MODIFIED");
    assert_eq!(frame["object"], events[1].object.value);
}

#[test]
fn compaction_forgets() {
    let mut store = store();
    store.compact(3);
    assert_eq!(
        store.events_after(Services, 2, 9).unwrap_err(),
        Compacted { oldest: 3 }
    );
    assert_eq!(store.events_after(Services, 3, 9).unwrap().len(), 1);
    assert!(store.list(Services, &at(2), |_| true).is_err());
    assert_eq!(names(&store, &at(3)), ["a/one@2", "b/one@3"]);
}

#[test]
fn full_history_drops_the_oldest_event() {
    let mut store = Store::new(2, 1);
    for port in 1..=4 {
        store.put(Services, service("a", "one", port));
    }
    assert_eq!(
        store.events_after(Services, 2, 9).unwrap_err(),
        Compacted { oldest: 3 }
    );
    assert_eq!(store.events_after(Services, 3, 9).unwrap().len(), 2);
}

#[test]
fn store_that_starts_later_has_no_earlier_history() {
    let mut store = Store::new(9, 1000);
    store.put(Services, service("a", "one", 1));
    assert_eq!(store.revision(), 1001);
    assert!(store.events_after(Services, 5, 9).is_err());
    assert_eq!(store.events_after(Services, 1000, 9).unwrap().len(), 1);
}

#[test]
fn restart_keeps_objects_and_revisions_but_no_history() {
    let mut store = store();
    store.restart();
    assert!(store.events_after(Services, 3, 9).is_err());
    assert!(store.events_after(Services, 4, 9).unwrap().is_empty());
    assert_eq!(names(&store, &at(3)), ["a/one@2", "b/one@3"]);
}
