//! When the proxy is healthy, and what it says about it.

use std::time::{Duration, Instant};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use jiff::{SignedDuration, Timestamp};

use super::{Health, Moment, NodeHealth};

const START: &str = "2026-01-02T03:04:05Z";

/// Each step at so many seconds after the start.
#[derive(Clone, Copy)]
enum Step {
    Queued(u64, ipvs::AddressFamily),
    /// All that came until then is served.
    Updated(u64, ipvs::AddressFamily),
    /// All that came until the first is served at the second.
    Served(u64, u64, ipvs::AddressFamily),
    Node(Option<NodeHealth>),
}

struct Run {
    health: Health,
    start: Instant,
}

impl Run {
    /// A proxy with a sync period of 30 s.
    fn of(steps: &[Step]) -> Self {
        let start = Instant::now();
        let mut health = Health::new([Ipv4, Ipv6], Duration::from_secs(30), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        for step in steps {
            match *step {
                Step::Queued(seconds, family) => health.queued(family, at(seconds)),
                Step::Updated(seconds, family) => {
                    health.updated(family, at(seconds), at(seconds));
                }
                Step::Served(began, ended, family) => health.updated(family, at(began), at(ended)),
                Step::Node(node) => health.node(node),
            }
        }
        Self { health, start }
    }

    fn at(&self, seconds: u32) -> Moment {
        let time: Timestamp = START.parse().expect("a time");
        Moment {
            instant: self.start + Duration::from_secs(seconds.into()),
            time: time + SignedDuration::from_secs(seconds.into()),
        }
    }
}

/// Whether it is healthy at so many seconds, by `/livez` and by `/healthz`.
fn check(steps: &[Step], seconds: u32, livez: bool, healthz: bool) {
    let run = Run::of(steps);
    let now = run.at(seconds);
    assert_eq!(run.health.livez(now).healthy, livez, "/livez");
    assert_eq!(run.health.healthz(now).healthy, healthz, "/healthz");
    assert_eq!(run.health.is_healthy(now.instant), livez, "health checks");
}

const HERE: Option<NodeHealth> = Some(NodeHealth {
    deleting: false,
    leaving: false,
});

#[test]
fn healthy_before_the_first_synchronisation() {
    check(&[], 0, true, true);
    check(&[], 86_400, true, true);
}

#[test]
fn a_change_may_wait_for_twice_the_sync_period() {
    check(&[Step::Queued(10, Ipv4)], 69, true, true);
    check(&[Step::Queued(10, Ipv4)], 70, false, false);
}

#[test]
fn another_sync_period_counts_at_once() {
    let mut run = Run::of(&[Step::Queued(10, Ipv4)]);
    for (period, healthy) in [(5, false), (300, true)] {
        run.health.set_sync_period(Duration::from_secs(period));
        assert_eq!(run.health.livez(run.at(60)).healthy, healthy, "{period}");
    }
}

#[test]
fn the_oldest_change_counts() {
    let steps = [Step::Queued(10, Ipv4), Step::Queued(60, Ipv4)];
    check(&steps, 70, false, false);
}

#[test]
fn a_synchronisation_serves_every_change_before_it() {
    let steps = [Step::Queued(10, Ipv4), Step::Updated(75, Ipv4)];
    check(&steps, 76, true, true);
    let again = [steps[0], steps[1], Step::Queued(80, Ipv4)];
    check(&again, 139, true, true);
    check(&again, 140, false, false);
}

#[test]
fn a_change_during_a_synchronisation_waits_for_the_next() {
    let steps = [
        Step::Queued(10, Ipv4),
        Step::Queued(25, Ipv4),
        Step::Served(20, 30, Ipv4),
    ];
    // It counts from the beginning of the synchronisation that it missed.
    check(&steps, 79, true, true);
    check(&steps, 80, false, false);
    let served = [steps[0], steps[1], steps[2], Step::Served(40, 41, Ipv4)];
    check(&served, 3600, true, true);
}

#[test]
fn one_family_that_is_late_is_enough() {
    let steps = [
        Step::Queued(0, Ipv4),
        Step::Queued(0, Ipv6),
        Step::Updated(30, Ipv4),
    ];
    check(&steps, 60, false, false);
}

#[test]
fn a_family_that_is_not_served_does_not_count() {
    let start = Instant::now();
    let mut health = Health::new([Ipv4], Duration::from_secs(30), start);
    health.queued(Ipv6, start);
    assert!(health.is_healthy(start + Duration::from_secs(3600)));
}

#[test]
fn a_node_that_leaves_is_alive_and_gets_no_new_connections() {
    let node = |deleting, leaving| Step::Node(Some(NodeHealth { deleting, leaving }));
    check(&[Step::Node(HERE)], 1, true, true);
    check(&[node(true, false)], 1, true, false);
    check(&[node(false, true)], 1, true, false);
    check(&[Step::Node(None)], 1, true, false);
    check(&[Step::Node(None), Step::Node(HERE)], 1, true, true);
}

fn body(steps: &[Step], seconds: u32, eligible: bool, expected: &str) {
    let run = Run::of(steps);
    let now = run.at(seconds);
    let answer = if eligible {
        run.health.healthz(now)
    } else {
        run.health.livez(now)
    };
    assert_eq!(serde_json::to_string(&answer).expect("JSON"), expected);
}

#[test]
fn a_healthy_answer_says_that_it_is_of_now() {
    body(
        &[Step::Updated(2, Ipv4), Step::Updated(3, Ipv6)],
        10,
        true,
        r#"{"lastUpdated":"2026-01-02T03:04:15Z","currentTime":"2026-01-02T03:04:15Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T03:04:07Z","healthy":true},"IPv6":{"lastUpdated":"2026-01-02T03:04:08Z","healthy":true}}}"#,
    );
}

#[test]
fn an_unhealthy_answer_says_since_when() {
    body(
        &[Step::Updated(2, Ipv6), Step::Queued(4, Ipv4)],
        64,
        false,
        r#"{"lastUpdated":"2026-01-02T03:04:07Z","currentTime":"2026-01-02T03:05:09Z","healthy":false,"status":{"IPv4":{"lastUpdated":"2026-01-02T03:04:05Z","healthy":false},"IPv6":{"lastUpdated":"2026-01-02T03:04:07Z","healthy":true}}}"#,
    );
}
