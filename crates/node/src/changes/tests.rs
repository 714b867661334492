use std::time::{Duration, SystemTime};

use ipvs::AddressFamily::{self, Ipv4, Ipv6};
use model::cluster::{ClusterEvent, EndpointSlice, Object, ObjectKind, Service};
use model::names::ObjectName;

use super::Waiting;
use crate::metrics::Changes;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn slice(name: &str, family: AddressFamily, triggered: Option<u64>) -> ClusterEvent {
    ClusterEvent::Upsert(Object::EndpointSlice(EndpointSlice {
        name: ObjectName::new("shop", name),
        service: "web".into(),
        family: Some(family),
        endpoints: Vec::new(),
        ports: Vec::new(),
        triggered: triggered.map(at),
    }))
}

fn service(name: &str) -> ClusterEvent {
    ClusterEvent::Upsert(Object::Service(Service::new(ObjectName::new("shop", name))))
}

/// What a daemon that started after 100 s says after 110 s of how long these took, in seconds.
fn check(events: &[ClusterEvent], failed: usize, expected: &[(AddressFamily, u64)]) {
    let mut waiting = Waiting::new(at(100));
    events.iter().for_each(|event| waiting.came(event, true));
    let took: Vec<_> = (waiting.served(failed, at(110)).into_iter())
        .map(|(family, took)| (family, took.as_secs()))
        .collect();
    assert_eq!(took, expected);
    assert_eq!(waiting.served(0, at(120)), [], "told once");
}

#[test]
fn each_change_is_timed_from_when_it_was_made() {
    let both = [slice("a", Ipv4, Some(103)), slice("b", Ipv6, Some(109))];
    check(&both, 0, &[(Ipv4, 7), (Ipv6, 1)]);
}

#[test]
fn what_was_changed_before_the_start_is_not_timed() {
    check(
        &[slice("a", Ipv4, Some(99)), slice("a", Ipv4, None)],
        0,
        &[],
    );
}

#[test]
fn a_slice_that_goes_is_not_timed() {
    let gone = ClusterEvent::Delete(ObjectKind::EndpointSlice, ObjectName::new("shop", "a"));
    let events = [
        slice("a", Ipv4, Some(103)),
        slice("b", Ipv4, Some(104)),
        gone,
    ];
    check(&events, 0, &[(Ipv4, 6)]);
}

#[test]
fn nothing_is_timed_where_something_failed() {
    check(&[slice("a", Ipv4, Some(103))], 1, &[]);
}

#[test]
fn a_clock_that_is_ahead_makes_no_time_negative() {
    check(&[slice("a", Ipv4, Some(115))], 0, &[(Ipv4, 0)]);
}

#[test]
fn changes_wait_until_they_are_served() {
    let mut waiting = Waiting::new(at(100));
    for event in [service("a"), service("b"), slice("a", Ipv4, None)] {
        waiting.came(&event, true);
    }
    let changes = |came, pending| Changes { came, pending };
    assert_eq!(waiting.counts(), (changes(2, 2), changes(1, 1)));
    waiting.came(&service("a"), true);
    assert_eq!(waiting.counts(), (changes(1, 3), changes(0, 1)));
    waiting.served(0, at(110));
    assert_eq!(waiting.counts(), (changes(0, 0), changes(0, 0)));
}

#[test]
fn what_is_no_news_counts_and_does_not_wait() {
    let mut waiting = Waiting::new(at(100));
    waiting.came(&slice("a", Ipv4, Some(103)), false);
    waiting.came(&service("a"), false);
    let counted = Changes {
        came: 1,
        pending: 0,
    };
    assert_eq!(waiting.counts(), (counted, counted));
    assert_eq!(waiting.served(0, at(110)), []);
}
