//! A whole node with a kernel in memory, against an API server with faults.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use apiserver::{Forbid, Server, ServerConfig, State};
use ipvs::AddressFamily;
use kernel::memory::{FaultRule, Part};
use kernel::{MemoryKernel, OpErrorKind};
use model::NodeConfig;
use reconciler::Reconciler;
use serde_json::{Value, json};
use sources::config::Resolved;
use sources::kube::{BackoffSettings, Connection, KubeSettings};
use sources::{EventSink, SourceConfig, SourceState};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::{Sources, TelemetryObserver};
use crate::http::flagz::Flags;
use crate::http::tests::{free_port, get, resolved, wait_for};
use crate::run::{Inputs, Until, run};

const LIMIT: Duration = Duration::from_secs(30);

struct Node {
    server: Server,
    health: SocketAddr,
    metrics: SocketAddr,
    kernel: MemoryKernel,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<()>>,
    runtime: Runtime,
    _config: watch::Sender<Arc<Resolved>>,
    events: crate::mailbox::NodeEvents,
}

impl Node {
    /// Starts a node after `before` has prepared its API server.
    fn start(before: impl AsyncFnOnce(&Server)) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let inside = runtime.enter();
        let server = runtime.block_on(async {
            let server = Server::start(ServerConfig::default()).await;
            let server = server.expect("a server");
            server
                .put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}))
                .expect("a Node");
            before(&server).await;
            server
        });
        let [health, metrics] =
            [free_port(), free_port()].map(|port| (Ipv4Addr::LOCALHOST, port).into());
        let resolved = resolved(&format!(
            "hostnameOverride: node1\nhealthzBindAddress: {health}\nmetricsBindAddress: {metrics}\n"
        ));
        let url = server.url().parse().expect("a URL");
        let connection = Connection::without_credentials(url).expect("a client");
        let backoff = BackoffSettings {
            base: Duration::from_millis(10),
            max: Duration::from_millis(50),
        };
        let requests = connection.requests.clone();
        let source = SourceConfig::Kube {
            connection,
            settings: Box::new(KubeSettings {
                backoff,
                relist: backoff,
                ..KubeSettings::new("node1")
            }),
        };
        let (to_loop, from_sources) = mpsc::channel(16);
        let sink = EventSink::new(source.names(), to_loop);
        let sources = Sources {
            progress: sink.progress().clone(),
            requests: Some(requests),
            flags: Flags::new(),
        };
        runtime.spawn(sources::run(source, sink));
        let (config, in_force) = watch::channel(Arc::new(resolved.clone()));
        let (stop, stopped) = watch::channel(false);
        let (mut observer, _) = TelemetryObserver::start(
            &resolved,
            sources,
            runtime.handle(),
            &stopped,
            in_force,
            1024,
        )
        .expect("servers");
        let (events, node) = crate::mailbox::mailbox();
        let inputs = Inputs {
            sources: from_sources,
            node,
            stop: stopped,
        };
        let handle = runtime.handle().clone();
        let kernel = MemoryKernel::new();
        let mut of_loop = kernel.clone();
        let running = thread::spawn(move || {
            let reconciler = Reconciler::new(resolved.node, 1, Instant::now());
            run(
                &mut of_loop,
                reconciler,
                inputs,
                &mut observer,
                &handle,
                Until::Stopped,
            );
        });
        drop(inside);
        wait_for(health);
        wait_for(metrics);
        Self {
            server,
            health,
            metrics,
            kernel,
            stop,
            running: Some(running),
            runtime,
            _config: config,
            events,
        }
    }

    /// Returns status and body of a page of the health server.
    fn health(&self, path: &str) -> (u16, Value) {
        let answer = get(self.health, path);
        let status = answer["HTTP/1.1 ".len()..][..3].parse().expect("a status");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        (status, serde_json::from_str(body).expect("JSON"))
    }

    /// Returns `/statusz` as JSON.
    fn status(&self) -> Value {
        let answer = get(self.metrics, "/statusz?format=json");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(body).expect("JSON")
    }

    /// Returns the value of a series of `/metrics`.
    fn metric(&self, series: &str) -> f64 {
        let text = get(self.metrics, "/metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("{series} is not in {text}"));
        value.parse().expect("a number")
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !done(self) {
            let ready = self.health("/readyz").1;
            assert!(Instant::now() < deadline, "not in time: {what}; {ready}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_state(&self, source: &str, state: SourceState) {
        self.until(&format!("{source} is {state}"), |node| {
            node.health("/readyz").1["sources"][source]["state"] == state.as_str()
        });
    }

    fn until_ready(&self) {
        self.until("ready", |node| node.health("/readyz").0 == 200);
    }

    /// Waits until `source` is in `state`, for a reason that contains `why`, and compares every
    /// page with that.
    fn check(&self, source: &str, state: SourceState, ready: bool, why: &str) {
        self.until_state(source, state);
        assert_eq!(self.health("/livez").0, 200);
        let (status, body) = self.health("/readyz");
        assert_eq!((status == 200, &body["ready"]), (ready, &json!(ready)));
        let reasons = &body[if ready { "stale" } else { "missing" }];
        let reasons = reasons.as_array().expect("reasons");
        let names = |reason: &&Value| {
            let reason = reason.as_str().expect("a reason");
            reason.starts_with(source) && reason.contains(why)
        };
        assert!(reasons.iter().any(|reason| names(&reason)), "{body}");
        let error = &body["sources"][source]["lastError"]["message"];
        assert!(error.as_str().expect("an error").contains(why), "{body}");

        let text = get(self.metrics, "/statusz");
        assert!(
            text.contains(&format!("\nSource {source}: {state} since ")),
            "{text}"
        );
        let json = self.status();
        assert_eq!(json["sources"][source]["state"], state.as_str());

        let series = format!("kubeipvs_source_state{{source=\"{source}\",state=\"{state}\"}}");
        assert!((self.metric(&series) - 1.0).abs() < f64::EPSILON);
        let listed = self.metric(&format!("kubeipvs_source_listed{{source=\"{source}\"}}"));
        assert_eq!(listed > 0.0, ready);
        assert_eq!(self.metric("kubeipvs_ready") > 0.0, ready);
    }

    fn requests(&self, code: &str) -> f64 {
        let host = self.server.addr();
        self.metric(&format!(
            "rest_client_requests_total{{code=\"{code}\",method=\"GET\",host=\"{host}\"}}"
        ))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(running) = self.running.take() {
            // A loop that panicked has printed its message.
            let _ = running.join();
        }
    }
}

fn forbid_slices(server: &Server, on: bool) {
    let slices = Forbid {
        resource: "endpointslices".to_owned(),
        verb: "*".to_owned(),
    };
    let faults = server.faults();
    faults.forbid(on.then_some(slices).into_iter().collect());
    faults.close_watches();
}

#[test]
fn one_resource_is_forbidden_from_the_start_and_later() {
    let node = Node::start(async |server| forbid_slices(server, true));
    node.until_state("services", SourceState::Watching);
    node.check("endpointslices", SourceState::Refused, false, "403");
    assert!(node.requests("403") > 0.0);
    let (status, body) = node.health("/readyz");
    assert_eq!(
        (status, body["missing"].as_array().map(Vec::len)),
        (503, Some(2))
    );

    forbid_slices(&node.server, false);
    node.until_ready();
    assert_eq!(node.health("/livez").0, 200);
    assert_eq!(node.health("/healthz").0, 200);

    forbid_slices(&node.server, true);
    node.check("endpointslices", SourceState::Refused, true, "403");
    // The other sources keep working.
    node.until_state("services", SourceState::Watching);

    forbid_slices(&node.server, false);
    node.until_state("endpointslices", SourceState::Watching);
    assert_eq!(node.health("/readyz").1["stale"], json!([]));
}

#[test]
fn credentials_are_refused_from_the_start() {
    let node = Node::start(async |server| server.faults().unauthorized(true));
    for source in ["services", "nodes", "endpointslices"] {
        node.check(source, SourceState::Refused, false, "401");
    }
    assert!(node.requests("401") >= 3.0);
    node.server.faults().unauthorized(false);
    node.until_ready();
}

#[test]
fn the_server_is_unreachable_from_the_start_and_later() {
    let node = Node::start(async |server| server.down().await);
    for source in ["services", "nodes", "endpointslices"] {
        node.check(
            source,
            SourceState::Unreachable,
            false,
            "Connection refused",
        );
    }
    assert!(node.requests("<error>") >= 3.0);
    let up = node.runtime.block_on(node.server.up(State::Kept));
    up.expect("the port");
    node.until_ready();
    node.runtime.block_on(node.server.down());
    node.check(
        "services",
        SourceState::Unreachable,
        true,
        "Connection refused",
    );
}

#[test]
fn entries_and_readings_that_fail_are_shown_until_they_succeed() {
    let node = Node::start(async |_| {});
    node.until_ready();
    let entries = |kind: &str| node.metric(&format!("kubeipvs_failing_entries{{kind=\"{kind}\"}}"));
    let sets = || node.metric("kubeipvs_failing_readings{column=\"sets\"}");
    assert_eq!((entries("rules"), sets()), (0.0, 0.0));

    let rules = Part::Rules(AddressFamily::Ipv4);
    let rules = (node.kernel).hold(FaultRule::refuse(rules, OpErrorKind::NoPacketFilter));
    let reading = node.kernel.hold(FaultRule::Unreadable(Part::Sets));
    // Changes the rules, and makes the daemon read everything.
    let mut config = NodeConfig::new("node1");
    config.masquerade.all = true;
    node.events.configured(config);

    node.until("both fail", |_| sets() > 0.0 && entries("rules") > 0.0);
    let status = node.status();
    assert_eq!(status["counts"]["failingEntries"], 1);
    let entry = &status["failingEntries"][0];
    assert_eq!(entry["entry"], "IPv4 rules");
    assert_eq!(
        entry["reason"],
        "this kernel lacks the packet filter of the family"
    );
    assert_eq!(entry["desired"], true);
    let advice = entry["advice"].as_str().expect("a text");
    assert!(advice.contains("modules"), "{advice}");
    let sets_reading = &status["failingReadings"][0];
    assert_eq!(sets_reading["column"], "sets");
    assert_eq!(sets_reading["task"], "reading of sets");

    node.kernel.release(rules);
    node.kernel.release(reading);
    node.until("both succeed", |_| sets() < 1.0 && entries("rules") < 1.0);
    let status = node.status();
    assert_eq!(status["counts"]["failingEntries"], 0);
    assert_eq!(status["failingEntries"], json!([]));
    assert_eq!(status["failingReadings"], json!([]));
}

/// The alert names every state in which a source delivers nothing, and uses series that exist.
#[test]
fn alerts_name_existing_states_and_series() {
    let rules = include_str!("../../../../../manifests/components/monitoring/rules.yaml");
    let bad: Vec<&str> = (SourceState::ALL.iter())
        .filter(|state| !matches!(state, SourceState::Listing | SourceState::Watching))
        .map(|state| state.as_str())
        .collect();
    let selector = format!("kubeipvs_source_state{{state=~\"{}\"}}", bad.join("|"));
    assert!(rules.contains(&selector), "{selector}");
    for series in [
        "kubeipvs_ready",
        "kubeipvs_heartbeat_age_seconds",
        "kubeipvs_unapplied_event_age_seconds",
        "kubeipvs_failing_entries",
        "kubeipvs_failing_readings",
    ] {
        assert!(rules.contains(series), "{series}");
    }
}
