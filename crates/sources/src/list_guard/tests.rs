use std::time::{Duration, Instant};

use model::{ClusterEvent, ObjectKind, ObjectName};

use super::*;

const KIND: ObjectKind = ObjectKind::Service;
const WAIT: Duration = Duration::from_secs(10);

fn guard(of_first: bool) -> ListGuard {
    let after = WAIT;
    ListGuard::new(Confirmation { after, of_first }, KIND)
}

fn event(number: usize) -> ClusterEvent {
    let name = ObjectName::new("default", format!("web{number}"));
    let why = model::cluster::Undecodable {
        field: "spec".into(),
        problem: "text".into(),
    };
    ClusterEvent::Undecodable(KIND, name, why)
}

fn list(
    guard: &mut ListGuard,
    objects: impl IntoIterator<Item = usize>,
    now: Instant,
) -> Result<(), Shrunk> {
    guard.see(&ClusterEvent::ListStarted(KIND));
    for number in objects {
        guard.see(&event(number));
    }
    guard.end_list(now)
}

#[test]
fn a_shrunken_list_needs_a_second_list() {
    let now = Instant::now();
    for (before, after, is_held) in [
        (0..0, 0..0, false),
        (0..1, 0..0, true),
        (0..1, 1..2, true),
        (0..4, 0..1, false),
        (0..9, 0..0, true),
        (0..20, 0..10, false),
        (0..20, 0..9, true),
        (0..1000, 0..499, true),
        (0..1000, 0..500, false),
        (0..1000, 2000..3000, true),
        (0..10, 0..1000, false),
    ] {
        let mut guard = guard(false);
        list(&mut guard, before.clone(), now).expect("the first list");
        let held = list(&mut guard, after.clone(), now).is_err();
        assert_eq!(held, is_held, "{before:?} then {after:?}");
        let early = now + WAIT - Duration::from_millis(1);
        assert_eq!(list(&mut guard, after.clone(), early).is_err(), is_held);
        list(&mut guard, after.clone(), now + WAIT).expect("a confirmed list");
        list(&mut guard, after, now + WAIT).expect("a list without missing objects");
    }
}

#[test]
fn a_full_list_resets_the_guard() {
    let now = Instant::now();
    let mut guard = guard(false);
    list(&mut guard, 0..100, now).expect("the first list");
    list(&mut guard, 0..0, now).expect_err("an empty list");
    list(&mut guard, 0..100, now + WAIT).expect("a full list");
    list(&mut guard, 0..0, now + WAIT * 2).expect_err("another empty list");
}

#[test]
fn objects_that_a_watch_deleted_are_not_missing() {
    let now = Instant::now();
    let mut guard = guard(false);
    list(&mut guard, 0..100, now).expect("the first list");
    for number in 0..95 {
        let name = ObjectName::new("default", format!("web{number}"));
        guard.see(&ClusterEvent::Delete(KIND, name));
    }
    list(&mut guard, 95..100, now).expect("a list of the other five");
}

#[test]
fn objects_of_a_watch_and_of_an_aborted_list_are_known() {
    let now = Instant::now();
    let mut guard = guard(false);
    list(&mut guard, 0..10, now).expect("the first list");
    (10..50).for_each(|number| guard.see(&event(number)));
    guard.see(&ClusterEvent::ListStarted(KIND));
    (50..100).for_each(|number| guard.see(&event(number)));
    let shrunk = list(&mut guard, 0..10, now).expect_err("90 are missing");
    assert_eq!(
        shrunk.to_string(),
        "the list lacks 90 of 100 known objects; nothing is deleted unless a list 10 s later lacks them too"
    );
}

#[test]
fn an_empty_first_list_needs_confirmation_on_a_node_with_entries() {
    let now = Instant::now();
    list(&mut guard(false), 0..0, now).expect("a node without entries");
    let mut guard = guard(true);
    list(&mut guard, 0..0, now).expect_err("a node with entries");
    list(&mut guard, 0..0, now + WAIT).expect("a confirmed list");
    list(&mut guard, 0..0, now + WAIT).expect("a later list");
    list(&mut self::guard(true), 0..1, now).expect("a first list with a Service");
    let confirmation = Confirmation {
        after: WAIT,
        of_first: true,
    };
    let mut nodes = ListGuard::new(confirmation, ObjectKind::Node);
    list(&mut nodes, 0..0, now).expect("a list without Nodes");
}

#[test]
fn a_time_of_zero_disables_the_guard() {
    let now = Instant::now();
    let mut guard = ListGuard::new(Confirmation::default(), KIND);
    list(&mut guard, 0..100, now).expect("the first list");
    list(&mut guard, 0..0, now).expect("the guard is off");
}
