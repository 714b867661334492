//! Tests of all servers on real sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipvs::AddressFamily::{Ipv4, Ipv6};
use model::frontend::HealthCheck;
use model::names::ObjectName;
use model::plan::Summary;
use model::{ClusterEvent, ObjectKind};
use sources::Progress;
use sources::config::Resolved;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{ServeErrors, Settings, Telemetry};
use crate::health::Moment;
use crate::health_checks::ListenOn;
use crate::http::flagz::Flags;
use crate::http::tests::{free_port, get, resolved, taken_port, wait_for};
use crate::metrics::{TableCounts, TrafficOptions};
use reconciler::{Report, Trigger};

struct Node {
    telemetry: Telemetry,
    errors: ServeErrors,
    progress: Progress,
    config: watch::Sender<Arc<Resolved>>,
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
    let progress = Progress::default();
    let (config, in_force) = watch::channel(Arc::new(resolved("")));
    let settings = Settings {
        health: Some(health),
        metrics: Some(metrics),
        hard_fail,
        families: BTreeSet::from([Ipv4, Ipv6]),
        sync_period,
        node_name: "node1".into(),
        progress: progress.clone(),
        requests: None,
        flags: Flags::new(),
        traffic: TrafficOptions::default(),
        config: in_force,
        descriptors: 1024,
    };
    let (telemetry, errors) =
        Telemetry::start(settings, runtime.handle(), &stopped, Moment::now()).expect("it starts");
    wait_for(metrics);
    wait_for(health);
    Node {
        telemetry,
        errors,
        progress,
        config,
        health,
        metrics,
        runtime,
        _stop: stop,
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
        trigger: Trigger::Change,
        first: false,
        summary: Summary::default(),
        done: Summary::default(),
        failed: 0,
        took,
    }
}

#[test]
fn a_late_change_is_unhealthy() {
    // With a period of zero every change is late.
    let node = start(Duration::ZERO, free(), false);
    node.check("200", "200");
    for kind in ObjectKind::ALL {
        (node.progress.backlog).stamp(&ClusterEvent::ListDone(kind), Instant::now());
    }
    node.check("503", "503");
    node.telemetry.settled(3, Moment::now());
    node.check("200", "200");
}

#[test]
fn an_ineligible_node_is_alive() {
    let node = start(Duration::from_secs(30), free(), false);
    node.telemetry.set_node_eligible(false);
    node.check("200", "503");
}

#[test]
fn reports_are_in_metrics_and_status() {
    let node = start(Duration::from_secs(30), free(), false);
    node.telemetry
        .observe(&synced(Duration::from_secs(1)), Moment::now());
    node.telemetry.counted(&TableCounts::default(), 4);
    let other = Arc::new(resolved("ipvs: {scheduler: wrr}"));
    node.config.send_replace(Arc::clone(&other));
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
        status.contains("\nForeign virtual servers: 4\n"),
        "{status}"
    );
    let shown = other.configz().to_string();
    assert!(get(node.metrics, "/configz").ends_with(&shown));
}

#[test]
fn health_checks_are_opened_and_failures_reported() {
    let mut node = start(Duration::from_secs(30), free(), false);
    let (taken, address) = taken_port();
    let check = HealthCheck {
        port: NonZeroU16::new(address.port()).expect("a port"),
        local_endpoints: 2,
        families: BTreeSet::new(),
    };
    let checks = BTreeMap::from([(ObjectName::new("shop", "web"), check)]);
    let listen_on = ListenOn::Addresses(BTreeSet::from([address.ip()]));
    node.telemetry.health_checks(&listen_on, &checks, false);
    let failure = node.runtime.block_on(node.errors.checks.recv());
    assert_eq!(failure.expect("a failure").address, address);
    drop(taken);
    // Without a change it is tried again only with `retry`.
    node.telemetry.health_checks(&listen_on, &checks, false);
    std::thread::sleep(Duration::from_millis(50));
    assert!(TcpStream::connect(address).is_err());
    node.telemetry.health_checks(&listen_on, &checks, true);
    wait_for(address);
    assert!(get(address, "/").contains("x-load-balancing-endpoint-weight: 2\r\n"));
}

#[test]
fn a_taken_address_is_a_fatal_error_with_hard_fail() {
    let (_taken, address) = taken_port();
    let mut node = start(Duration::from_secs(30), address, true);
    let fatal = node.runtime.block_on(node.errors.fatal.recv());
    let fatal = fatal.expect("a failure");
    assert_eq!(
        (fatal.name, fatal.address),
        ("proxy health server", address)
    );
}
