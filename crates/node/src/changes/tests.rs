use std::time::{Duration, SystemTime};

use ipvs::AddressFamily::{self, Ipv4, Ipv6};
use model::cluster::{ClusterEvent, EndpointSlice, Object, ObjectKind, Service};
use model::names::ObjectName;

use super::{Arrival, BATCHES, ProgrammingLatency};
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
        uid: None,
        several_addresses: None,
    }))
}

fn service(name: &str) -> ClusterEvent {
    ClusterEvent::Upsert(Object::Service(Service::new(ObjectName::new("shop", name))))
}

/// The daemon started after 100 s. It received the events of each row and applied them after 110 s.
#[test]
fn each_change_is_timed_from_its_trigger() {
    let gone = ClusterEvent::Delete(ObjectKind::EndpointSlice, ObjectName::new("shop", "a"));
    let first = || slice("a", Ipv4, Some(103));
    let before_the_start = vec![slice("a", Ipv4, Some(99)), slice("a", Ipv4, None)];
    let deleted = vec![first(), slice("b", Ipv4, Some(104)), gone];
    let both = vec![first(), slice("b", Ipv6, Some(109))];
    for (name, events, failed, expected) in [
        ("two families", both, 0, &[(Ipv4, 7), (Ipv6, 1)][..]),
        ("changes before the start", before_the_start, 0, &[]),
        ("a deleted slice", deleted, 0, &[(Ipv4, 6)]),
        ("a failed op", vec![first()], 1, &[]),
        (
            "a trigger in the future",
            vec![slice("a", Ipv4, Some(115))],
            0,
            &[(Ipv4, 0)],
        ),
    ] {
        let mut latency = ProgrammingLatency::new(at(100));
        (events.iter()).for_each(|event| latency.received(&Arrival::of(event), true));
        let took = latency.applied(events.len() as u64, failed, at(110));
        let seconds = took
            .into_iter()
            .map(|(family, took)| (family, took.as_secs()));
        assert_eq!(seconds.collect::<Vec<_>>(), expected, "{name}");
        let again = latency.applied(u64::MAX, 0, at(120));
        assert_eq!(again, [], "{name}: reported once");
    }
}

/// A change ends when its event is applied, not when any sync ends.
#[test]
fn only_applied_events_are_measured() {
    let mut latency = ProgrammingLatency::new(at(100));
    latency.received(&Arrival::of(&slice("a", Ipv4, Some(103))), true);
    latency.received(&Arrival::of(&slice("b", Ipv6, Some(104))), true);
    assert_eq!(latency.applied(0, 0, at(105)), []);
    let first = [(Ipv4, Duration::from_secs(7))];
    assert_eq!(latency.applied(1, 0, at(110)), first);
    let second = [(Ipv6, Duration::from_secs(16))];
    assert_eq!(latency.applied(2, 0, at(120)), second);
}

fn changes(received: u64, pending: usize) -> Changes {
    Changes { received, pending }
}

#[test]
fn changes_are_pending_until_they_are_applied() {
    let mut latency = ProgrammingLatency::new(at(100));
    for event in [service("a"), service("b"), slice("a", Ipv4, None)] {
        latency.received(&Arrival::of(&event), true);
    }
    latency.applied(0, 0, at(101));
    assert_eq!(latency.counts(), (changes(2, 2), changes(1, 1)));
    latency.received(&Arrival::of(&service("a")), true);
    assert_eq!(latency.counts(), (changes(1, 3), changes(0, 1)));
    // The later change stays pending.
    latency.applied(3, 0, at(110));
    assert_eq!(latency.counts(), (changes(0, 1), changes(0, 0)));
    latency.applied(4, 0, at(111));
    assert_eq!(latency.counts(), (changes(0, 0), changes(0, 0)));
}

#[test]
fn an_event_without_a_change_is_counted_and_not_pending() {
    let mut latency = ProgrammingLatency::new(at(100));
    latency.received(&Arrival::of(&slice("a", Ipv4, Some(103))), false);
    latency.received(&Arrival::of(&service("a")), false);
    assert_eq!(latency.counts(), (changes(1, 0), changes(1, 0)));
    assert_eq!(latency.applied(2, 0, at(110)), []);
}

#[test]
fn memory_is_bounded_while_nothing_is_applied() {
    let mut latency = ProgrammingLatency::new(at(100));
    let events = 3 * BATCHES;
    for _ in 0..events {
        latency.received(&Arrival::of(&service("a")), true);
        latency.applied(0, 0, at(110));
    }
    assert!(latency.waiting.len() <= BATCHES);
    assert_eq!(latency.counts().0.pending, events);
    latency.applied(events as u64, 0, at(120));
    assert_eq!(latency.counts().0.pending, 0);
}
