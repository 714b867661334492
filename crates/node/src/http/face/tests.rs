//! The whole face on real sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use model::frontend::HealthCheck;
use model::names::ObjectName;
use model::plan::Summary;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{Alarms, Face, Settings};
use crate::health::{Moment, NodeHealth};
use crate::health_checks::ListenOn;
use crate::http::tests::{free_port, get, taken_port};
use crate::metrics::{TableCounts, TrafficOptions};
use reconciler::{Cause, Report};

struct Node {
    face: Face,
    alarms: Alarms,
    health: SocketAddr,
    metrics: SocketAddr,
    runtime: Runtime,
    _stop: watch::Sender<bool>,
}

fn free() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

fn start(sync_period: Duration, health: SocketAddr, hard_fail: bool) -> Node {
    let runtime = Runtime::new().expect("a runtime");
    let (stop, stopped) = watch::channel(false);
    let metrics = free();
    let settings = Settings {
        health: Some(health),
        metrics: Some(metrics),
        hard_fail,
        families: BTreeSet::from([Ipv4, Ipv6]),
        sync_period,
        node_name: "node1".into(),
        traffic: TrafficOptions::default(),
        config: "{}".into(),
    };
    let (face, alarms) =
        Face::start(settings, runtime.handle(), &stopped, Moment::now()).expect("it starts");
    wait_for(metrics);
    wait_for(health);
    Node {
        face,
        alarms,
        health,
        metrics,
        runtime,
        _stop: stop,
    }
}

/// Until somebody listens there.
fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Node {
    fn status(&self, path: &str) -> String {
        let answer = get(self.health, path);
        answer["HTTP/1.1 ".len()..][..3].to_owned()
    }

    fn check(&self, livez: &str, healthz: &str) {
        assert_eq!(self.status("/livez"), livez);
        assert_eq!(self.status("/healthz"), healthz);
    }
}

fn synced(took: Duration) -> Report {
    Report::Synced {
        cause: Cause::Change,
        summary: Summary::default(),
        failed: 0,
        took,
    }
}

#[test]
fn a_change_that_waits_for_too_long_shows() {
    // A change is late at once.
    let mut node = start(Duration::ZERO, free(), false);
    node.check("200", "200");
    node.face.queued(Moment::now());
    node.check("503", "503");
    node.face.observe(&synced(Duration::ZERO), Moment::now());
    node.check("200", "200");
    // This one came while the next was under way.
    node.face.queued(Moment::now());
    node.face
        .observe(&synced(Duration::from_secs(60)), Moment::now());
    node.check("503", "503");
}

#[test]
fn a_node_that_leaves_shows() {
    let node = start(Duration::from_secs(30), free(), false);
    node.face.node(Some(NodeHealth {
        deleting: true,
        leaving: false,
    }));
    node.check("200", "503");
}

#[test]
fn what_happens_is_in_metrics_and_status() {
    let mut node = start(Duration::from_secs(30), free(), false);
    node.face
        .observe(&synced(Duration::from_secs(1)), Moment::now());
    node.face.counted(&TableCounts::default(), 4);
    node.face.configured(r#"{"mode":"ipvs"}"#.into());
    let metrics = get(node.metrics, "/metrics");
    assert!(metrics.contains("kubeipvs_syncs_total{cause=\"change\",result=\"ok\"} 1\n"));
    assert!(metrics.contains("\nkubeipvs_foreign_virtual_servers 4\n"));
    let status = get(node.metrics, "/statusz");
    assert!(
        status.contains("kube-ipvsd 0.1.0 on node1, since "),
        "{status}"
    );
    assert!(status.contains(" change, 1.000 s, 0 added"), "{status}");
    assert!(
        status.contains("\nVirtual servers of others: 4\n"),
        "{status}"
    );
    assert!(get(node.metrics, "/configz").ends_with(r#"{"mode":"ipvs"}"#));
}

#[test]
fn health_checks_are_opened_and_failures_told() {
    let mut node = start(Duration::from_secs(30), free(), false);
    let (taken, address) = taken_port();
    let check = HealthCheck {
        port: NonZeroU16::new(address.port()).expect("a port"),
        local_endpoints: 2,
        families: BTreeSet::new(),
    };
    let checks = BTreeMap::from([(ObjectName::new("shop", "web"), check)]);
    let listen_on = ListenOn::Addresses(BTreeSet::from([address.ip()]));
    node.face.health_checks(&listen_on, &checks, false);
    let failure = node.runtime.block_on(node.alarms.checks.recv());
    assert_eq!(failure.expect("a failure").address, address);
    drop(taken);
    // Nothing changed: it is tried again when asked to.
    node.face.health_checks(&listen_on, &checks, false);
    std::thread::sleep(Duration::from_millis(50));
    assert!(TcpStream::connect(address).is_err());
    node.face.health_checks(&listen_on, &checks, true);
    wait_for(address);
    assert!(get(address, "/").contains("x-load-balancing-endpoint-weight: 2\r\n"));
}

#[test]
fn an_address_that_is_taken_is_told_where_that_is_the_end() {
    let (_taken, address) = taken_port();
    let mut node = start(Duration::from_secs(30), address, true);
    let fatal = node.runtime.block_on(node.alarms.fatal.recv());
    let fatal = fatal.expect("a failure");
    assert_eq!(
        (fatal.name, fatal.address),
        ("proxy health server", address)
    );
}
