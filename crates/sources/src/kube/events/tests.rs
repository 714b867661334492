//! Tests of the rate limit for events about one object. Tests with a server are in
//! `tests/kube_events.rs`.

use super::*;

fn object(name: &str) -> Regarding {
    Regarding {
        api_version: "v1",
        kind: "Service",
        namespace: "default".into(),
        name: name.into(),
        uid: None,
    }
}

/// Checks the number of `asked` events about `name` that are admitted `after` seconds.
fn check(
    filter: &mut EventRateLimit,
    start: Instant,
    name: &str,
    after: u64,
    asked: u32,
    admitted: usize,
) {
    let now = start + Duration::from_secs(after);
    let got = (0..asked).filter(|_| filter.admits(&object(name), now));
    assert_eq!(got.count(), admitted, "{name} after {after} s");
}

#[test]
fn an_object_has_a_burst_of_25_events_and_one_more_every_five_minutes() {
    let (mut filter, start) = (EventRateLimit::default(), Instant::now());
    check(&mut filter, start, "a", 0, 30, 25);
    check(&mut filter, start, "a", 299, 5, 0);
    check(&mut filter, start, "a", 300, 5, 1);
    check(&mut filter, start, "a", 599, 5, 0);
    check(&mut filter, start, "a", 1200, 5, 3);
    check(&mut filter, start, "a", 1_000_000, 30, 25);
}

#[test]
fn each_object_has_its_own_limit() {
    let (mut filter, start) = (EventRateLimit::default(), Instant::now());
    check(&mut filter, start, "a", 0, 30, 25);
    check(&mut filter, start, "b", 0, 30, 25);
}

#[test]
fn at_most_4096_objects_are_kept_and_the_quietest_is_removed_first() {
    let (mut filter, start) = (EventRateLimit::default(), Instant::now());
    check(&mut filter, start, "first", 0, 25, 25);
    for number in 1..4096 {
        check(&mut filter, start, &format!("o{number}"), 1, 1, 1);
    }
    check(&mut filter, start, "first", 1, 1, 0);
    check(&mut filter, start, "one-more", 1, 1, 1);
    check(&mut filter, start, "first", 1, 30, 25);
}

#[test]
fn a_long_note_is_cut_between_characters() {
    assert_eq!(cut("äöü".to_owned(), 5), "äö");
    assert_eq!(cut("äöü".to_owned(), 6), "äöü");
    assert_eq!(cut("abc".to_owned(), 9), "abc");
    assert_eq!(cut("ä".to_owned(), 1), "");
}
