use std::time::{Duration, Instant};

use model::{ClusterEvent, ObjectKind, ObjectName};

use super::{Backlog, MARKS};

fn change() -> ClusterEvent {
    ClusterEvent::Delete(ObjectKind::Service, ObjectName::new("shop", "web"))
}

/// A backlog with three first lists that were sent and applied at its start.
struct Scene {
    backlog: Backlog,
    start: Instant,
    sent: u64,
}

impl Scene {
    fn listed() -> Self {
        let mut scene = Self {
            backlog: Backlog::default(),
            start: Instant::now(),
            sent: 0,
        };
        for kind in ObjectKind::ALL {
            scene.send(&ClusterEvent::ListDone(kind), 0);
        }
        scene.backlog.applied(scene.sent);
        scene
    }

    /// Sends an event `at` milliseconds after the start and returns its number.
    fn send(&mut self, event: &ClusterEvent, at: u64) -> u64 {
        let now = self.start + Duration::from_millis(at);
        self.backlog.stamp(event, now);
        self.sent += 1;
        self.sent
    }

    fn check(&self, oldest: Option<u64>, unapplied: u64) {
        let oldest = oldest.map(|at| self.start + Duration::from_millis(at));
        assert_eq!(self.backlog.oldest(), oldest);
        assert_eq!(self.backlog.len(), unapplied);
    }
}

#[test]
fn the_oldest_unapplied_event_counts() {
    let mut scene = Scene::listed();
    scene.check(None, 0);
    let first = scene.send(&change(), 1_000);
    let second = scene.send(&change(), 2_000);
    scene.check(Some(1_000), 2);
    scene.backlog.applied(first);
    scene.check(Some(2_000), 1);
    scene.backlog.applied(second);
    scene.check(None, 0);
}

#[test]
fn nothing_is_late_before_every_kind_was_listed() {
    let mut scene = Scene {
        backlog: Backlog::default(),
        start: Instant::now(),
        sent: 0,
    };
    for (kind, at) in ObjectKind::ALL.into_iter().zip([0, 5_000, 90_000]) {
        scene.check(None, scene.sent);
        scene.send(&ClusterEvent::ListStarted(kind), at);
        scene.send(&ClusterEvent::ListDone(kind), at);
    }
    scene.check(Some(90_000), 6);
    // A second list does not change it.
    scene.send(&ClusterEvent::ListDone(ObjectKind::Node), 200_000);
    scene.check(Some(90_000), 7);
}

#[test]
fn events_close_to_each_other_share_a_mark() {
    let mut scene = Scene::listed();
    let numbers: Vec<u64> = (0..10).map(|n| scene.send(&change(), 1_000 + n)).collect();
    scene.backlog.applied(numbers[4]);
    // The time is too early by less than the spacing.
    scene.check(Some(1_000), 5);
    scene.backlog.applied(numbers[9]);
    scene.check(None, 0);
}

/// Sends an event every 10 ms for twenty minutes without applying any.
#[test]
fn memory_is_bounded_and_the_age_is_never_too_young() {
    let mut scene = Scene::listed();
    let minutes = 20 * 60 * 1_000;
    for at in (0..minutes).step_by(10) {
        scene.send(&change(), at);
    }
    let marks = scene.backlog.counts().marks.len();
    assert!(marks <= MARKS, "{marks} marks");
    scene.check(Some(0), minutes / 10);
    // Half of the events are applied: the oldest remaining one was sent after ten minutes.
    scene.backlog.applied(3 + minutes / 20 - 1);
    let oldest = scene.backlog.oldest().expect("one") - scene.start;
    let oldest = u64::try_from(oldest.as_millis()).expect("small");
    let wanted = minutes / 2;
    assert!(oldest <= wanted, "{oldest} is later than it was sent");
    assert!(wanted - oldest <= minutes / 512, "{oldest} is too early");
}

#[test]
fn applied_ignores_numbers_that_were_never_sent() {
    let mut scene = Scene::listed();
    scene.backlog.applied(1_000);
    scene.send(&change(), 10);
    scene.check(Some(10), 1);
}
