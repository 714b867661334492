//! Tests of the health of the proxy and of its answers.

mod of_the_loop;

use std::time::{Duration, Instant};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use jiff::{SignedDuration, Timestamp};
use model::{ClusterEvent, ObjectKind, ObjectName};
use sources::Progress;

use super::{Health, Moment, ProxyHealth};

const START: &str = "2026-01-02T03:04:05Z";

/// A proxy with a sync period of 30 s. At the start its sources have listed and the loop has
/// applied the lists.
struct Scene {
    health: Health,
    progress: Progress,
    start: Instant,
    sent: u64,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self::unlisted();
        for kind in ObjectKind::ALL {
            scene.send(&ClusterEvent::ListDone(kind), 0);
        }
        scene.applied(3, 0);
        scene
    }

    fn unlisted() -> Self {
        let (start, progress) = (Instant::now(), Progress::default());
        let period = Duration::from_secs(30);
        Self {
            health: Health::new([Ipv4, Ipv6], period, progress.clone(), start),
            progress,
            start,
            sent: 0,
        }
    }

    fn instant(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn moment(&self, seconds: u32) -> Moment {
        let time: Timestamp = START.parse().expect("a time");
        Moment {
            instant: self.instant(seconds.into()),
            time: time + SignedDuration::from_secs(seconds.into()),
        }
    }

    fn send(&mut self, event: &ClusterEvent, seconds: u64) -> u64 {
        (self.progress.backlog).stamp(event, self.instant(seconds));
        self.sent += 1;
        self.sent
    }

    /// Sends a change of a source and returns its number.
    fn change(&mut self, seconds: u64) -> u64 {
        let web = ObjectName::new("shop", "web");
        let event = ClusterEvent::Delete(ObjectKind::Service, web);
        self.send(&event, seconds)
    }

    fn applied(&mut self, through: u64, seconds: u64) {
        let now = self.instant(seconds);
        self.health.applied(through, now);
    }

    /// Checks the answers at `seconds`, with a loop that still runs.
    fn check(&mut self, seconds: u32, livez: bool, healthz: bool) {
        let now = self.moment(seconds);
        self.health.alive(now.instant);
        assert_eq!(self.health.livez(now).healthy, livez, "/livez");
        assert_eq!(self.health.healthz(now).healthy, healthz, "/healthz");
        assert_eq!(self.health.is_healthy(now.instant), livez, "health checks");
    }
}

#[test]
fn an_idle_proxy_is_healthy() {
    Scene::new().check(86_400, true, true);
}

#[test]
fn nothing_is_late_before_every_source_has_listed() {
    let mut scene = Scene::unlisted();
    scene.change(0);
    scene.check(86_400, true, true);
}

#[test]
fn a_change_may_wait_for_twice_the_sync_period() {
    let mut scene = Scene::new();
    let number = scene.change(10);
    scene.check(70, true, true);
    scene.check(71, false, false);
    scene.applied(number, 72);
    scene.check(72, true, true);
}

#[test]
fn the_oldest_pending_change_decides() {
    let mut scene = Scene::new();
    let first = scene.change(10);
    scene.change(60);
    scene.check(71, false, false);
    scene.applied(first, 75);
    scene.check(120, true, true);
    scene.check(121, false, false);
}

/// A loop that hangs cannot report it. The heartbeat's limit is at least 60 s.
#[test]
fn an_old_heartbeat_is_not_healthy() {
    let mut scene = Scene::new();
    for (period, limit) in [(1, 60), (30, 60), (300, 600)] {
        scene.health.set_sync_period(Duration::from_secs(period));
        assert!(scene.health.is_healthy(scene.instant(limit)), "{period}");
        assert!(
            !scene.health.is_healthy(scene.instant(limit + 1)),
            "{period}"
        );
    }
    let late = scene.instant(1_000);
    scene.health.alive(late);
    assert!(scene.health.is_healthy(late));
}

#[test]
fn a_new_sync_period_applies_at_once() {
    let mut scene = Scene::new();
    scene.change(10);
    for (period, healthy) in [(5, false), (300, true)] {
        scene.health.set_sync_period(Duration::from_secs(period));
        scene.check(60, healthy, healthy);
    }
}

#[test]
fn an_ineligible_node_is_alive() {
    let mut scene = Scene::new();
    for eligible in [true, false, true] {
        scene.health.set_node_eligible(eligible);
        scene.check(1, true, eligible);
    }
}

#[test]
fn a_healthy_answer_has_the_current_time() {
    let mut scene = Scene::new();
    scene.applied(3, 7);
    let answer = scene.health.healthz(scene.moment(10));
    assert_eq!(
        serde_json::to_string(&answer).expect("JSON"),
        r#"{"lastUpdated":"2026-01-02T03:04:15Z","currentTime":"2026-01-02T03:04:15Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T03:04:12Z","healthy":true},"IPv6":{"lastUpdated":"2026-01-02T03:04:12Z","healthy":true}}}"#,
    );
}

#[test]
fn an_unhealthy_answer_has_the_time_of_the_last_progress() {
    let mut scene = Scene::new();
    let first = scene.change(4);
    scene.change(5);
    scene.applied(first, 6);
    let answer = scene.health.livez(scene.moment(66));
    assert_eq!(
        serde_json::to_string(&answer).expect("JSON"),
        r#"{"lastUpdated":"2026-01-02T03:04:11Z","currentTime":"2026-01-02T03:05:11Z","healthy":false,"status":{"IPv4":{"lastUpdated":"2026-01-02T03:04:11Z","healthy":false},"IPv6":{"lastUpdated":"2026-01-02T03:04:11Z","healthy":false}}}"#,
    );
}

/// kube-proxy on a node with one family shows only that family, too.
#[test]
fn a_missing_family_is_not_shown() {
    let mut scene = Scene::new();
    scene.applied(3, 7);
    scene.health.set_families([Ipv4]);
    let shown = |answer: ProxyHealth| answer.status.into_keys().collect::<Vec<_>>();
    assert_eq!(shown(scene.health.healthz(scene.moment(10))), ["IPv4"]);
    assert_eq!(shown(scene.health.livez(scene.moment(10))), ["IPv4"]);
    scene.health.set_families([Ipv4, Ipv6]);
    assert_eq!(
        shown(scene.health.livez(scene.moment(10))),
        ["IPv4", "IPv6"]
    );
}
