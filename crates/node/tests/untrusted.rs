//! Text from objects of users in the output of the daemon: findings, Events, log lines and pages of
//! its metrics server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant, SystemTime};

use ipvs::{AddressFamily, Statistics};
use model::plan::Stage;
use model::{ClusterEvent, ClusterState, Finding, NodeConfig, NodeState, ObjectKind};
use model::{Op, PlannedOp, Reason};
use node::change_log::{ChangeLog, ChangeRecorder};
use node::events;
use node::health::{Health, Moment};
use node::http::metrics_pages::Pages;
use node::http::owners_page::OwnersPage;
use node::http::status::{DrainStatus, Status};
use node::http::{Request, health_pages, metrics_pages};
use node::logging::{self, LogFormat};
use node::metrics::{Metrics, SourceMetrics, Traffic, TrafficOptions, VirtualServerTraffic};
use node::run::Observer as _;
use proptest::prelude::*;
use reconciler::Report;
use serde_json::{Map, Value, json};
use sources::config::Resolved;
use sources::objects::{MetadataOnly, Service, decode};
use sources::{NodeOverrides, ProblemKind, Progress, SourceProblem, SourceStatuses};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Returns objects with `text` in every field that is read, and in some that are not.
fn objects(text: &str) -> Vec<Value> {
    let labels = json!({"kubernetes.io/service-name": text});
    let service = |name: &str, spec: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "namespace": text, "uid": text, "creationTimestamp": text, "resourceVersion": text,
                "annotations": {"kube-ipvs.io/scheduler": format!("?{text}"), text: text},
            },
            "spec": spec,
            "status": {"loadBalancer": {"ingress": [{"ip": text}, {"hostname": text}]}},
        })
    };
    let balancer = || {
        json!({
            "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "externalIPs": [text, "192.0.2.7"],
            "loadBalancerSourceRanges": [text], "externalTrafficPolicy": "Local", "sessionAffinity": text,
            "ports": [
                {"name": text, "port": 80, "nodePort": 30080, "appProtocol": text},
                {"name": text, "port": 81, "protocol": text},
            ],
        })
    };
    let mut undecodable = Map::new();
    undecodable.insert(text.to_owned(), json!(text));
    vec![
        service(text, balancer()),
        // It clashes with the first one.
        service(&format!("!{text}"), balancer()),
        service(&format!("?{text}"), json!({"ports": [{"port": text}]})),
        service(&format!(".{text}"), json!({"type": undecodable})),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": text, "namespace": text, "labels": labels}, "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.1.0.1"], "nodeName": text, "hostname": text, "zone": text,
                    "hints": {"forZones": [{"name": text}], "forNodes": [{"name": text}]},
                },
                {"addresses": [text]},
            ],
            "ports": [{"name": text, "port": 8080, "protocol": text}],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("!{text}"), "namespace": text, "labels": labels}, "addressType": text,
            "endpoints": [],
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{text}-1"), "namespace": text}, "addressType": "IPv4", "endpoints": [],
        }),
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": text, "labels": {"topology.kubernetes.io/zone": text}},
            "spec": {"podCIDR": text, "podCIDRs": [text], "taints": [{"key": text}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}, {"type": text, "address": text}]},
        }),
        // Kinds that a proxy ignores.
        json!({"apiVersion": "v1", "kind": text, "metadata": {"name": text, "namespace": text}}),
        json!({"apiVersion": text, "kind": "Service", "metadata": {"name": text, "namespace": text}}),
    ]
}

/// Returns the events of a file with `objects`, and checks the errors about the file.
fn in_a_file(objects: &[Value]) -> Vec<ClusterEvent> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&path, list.to_string()).expect("a file is written");
    let found = sources::files::read(&[path]);
    for error in &found.errors {
        check("errors of files", &error.to_string());
    }
    for kind in found.other_kinds.keys() {
        check("other kinds", kind);
    }
    found.into_events()
}

/// Returns the event of a source about an object that cannot be decoded, or `None` if it can.
fn undecodable(object: &Value) -> Option<ClusterEvent> {
    let text = object.to_string();
    let why = decode::<Service>(&text).err()?;
    let metadata = decode::<MetadataOnly>(&text).expect("an object").metadata;
    let name = metadata.object_name();
    Some(ClusterEvent::Undecodable(ObjectKind::Service, name, why))
}

/// Returns the desired tables and the findings for objects with `text` in every field.
fn compile(text: &str) -> (model::Desired, Vec<Finding>) {
    let objects = objects(text);
    let mut state = ClusterState::default();
    let services = objects.iter().filter(|object| object["kind"] == "Service");
    for event in (in_a_file(&objects).into_iter()).chain(services.filter_map(undecodable)) {
        state.absorb(event);
    }
    let config = NodeConfig::new("node1");
    planner::compile(&state, &NodeState::default(), &config)
}

/// Checks that `text` has no control characters and no long piece of a user's text.
#[track_caller]
fn check(what: &str, text: &str) {
    let turns = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}',
    ];
    let odd = (text.chars()).find(|c| {
        let overrides =
            ('\u{202a}'..='\u{202e}').contains(c) || ('\u{2066}'..='\u{2069}').contains(c);
        c.is_control() || turns.contains(c) || overrides
    });
    assert_eq!(odd, None, "{what}: {text:?}");
    assert!(!text.contains(&"q".repeat(256)), "{what}: {text:?}");
}

/// Checks each line of an output, as [`check`].
#[track_caller]
fn check_lines(what: &str, text: &str) {
    for line in text.split('\n') {
        check(what, line);
    }
}

fn check_all(text: &str) {
    let (desired, findings) = compile(text);
    for finding in &findings {
        check("a finding", &finding.to_string());
        if let Some(event) = events::finding(finding) {
            check("the note of an Event", &event.note);
            check("the name in an Event", &event.regarding.name);
            check("the namespace in an Event", &event.regarding.namespace);
        }
    }
    for format in [LogFormat::Text, LogFormat::Json] {
        check_lines("the log", &logged(format, &findings, text));
    }
    check_pages(&desired, &findings, text);
}

/// Returns the log lines about findings and about a problem of a source with `text` in it.
fn logged(format: LogFormat, findings: &[Finding], text: &str) -> String {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let writer = file.reopen().expect("the same file");
    let writer = move || writer.try_clone().expect("the same file");
    let lines = logging::lines(format, EnvFilter::new("info"), writer, true);
    tracing::dispatcher::with_default(&lines, || {
        for finding in findings {
            tracing::error!(code = %finding.code, object = ?finding.object, "{finding}");
        }
        // Text that is not from an object is escaped but not cut.
        let problem = text.replace('q', "");
        tracing::warn!(problem, shown = %problem, debug = ?problem, "{problem}");
    });
    let log = std::fs::read_to_string(file.path()).expect("text");
    let events = findings.len() + 1;
    assert_eq!(log.lines().count(), events, "{log:?}");
    without_colors(&log)
}

/// Removes the logger's own colours.
fn without_colors(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        let (color, rest) = piece.split_once('m').expect("a colour");
        assert!(color.chars().all(|c| c.is_ascii_digit()), "{piece:?}");
        plain + rest
    })
}

fn check_pages(desired: &model::Desired, findings: &[Finding], text: &str) {
    let mut status = Status::default();
    for finding in findings {
        status.observe(&Report::FindingRaised(finding.clone()), Moment::now());
    }
    let shown = OwnersPage::default();
    shown.show(&desired.owners);
    let owners = || desired.owners.virtual_servers.iter();
    status
        .drains
        .extend(owners().map(|(key, owner)| DrainStatus {
            virtual_server: key.to_string(),
            service: Some(owner.to_string()),
            ..DrainStatus::default()
        }));
    let statuses = SourceStatuses::new(&["services"], SystemTime::now());
    let problem = SourceProblem {
        subject: "services".into(),
        kind: ProblemKind::Protocol,
        message: text.to_owned(),
        advice: None,
    };
    statuses.failed("services", &problem, SystemTime::now());
    let progress = Progress {
        statuses,
        ..Progress::default()
    };
    let health = Health::new(
        BTreeSet::from([AddressFamily::Ipv4]),
        Duration::from_secs(30),
        progress,
        Instant::now(),
    );
    let traffic = Traffic::default();
    let counted = |(key, owner): (&ipvs::VirtualServerKey, &Arc<_>)| VirtualServerTraffic {
        key: *key,
        owner: Some(Arc::clone(owner)),
        statistics: Statistics::default(),
        real_servers: Vec::new(),
    };
    traffic.set(owners().map(counted).collect());
    let options = TrafficOptions {
        services: TrafficOptions::SERVICE_LABELS.into(),
        ..TrafficOptions::default()
    };
    let families = BTreeSet::from([AddressFamily::Ipv4]);
    let metrics = Metrics::new(families, options, traffic, SourceMetrics::default());
    let metrics = Arc::new(metrics.expect("a valid table"));
    let health = Arc::new(Mutex::new(health));
    let proxy_health = health_pages::handler(Arc::clone(&health), Arc::clone(&metrics));
    let pages = metrics_pages::handler(Pages {
        checks: Default::default(),
        slow_starts: Default::default(),
        metrics,
        health,
        status: Arc::new(RwLock::new(status)),
        changes: changes(desired),
        owners: shown,
        config: watch::channel(Arc::new(config(text))).1,
        // Flags come from the administrator, as the configuration does.
        flags: Arc::new([("kubeconfig".to_owned(), text.replace('q', ""))].into()),
    });
    for (handler, path, query) in [
        (&pages, "/metrics", ""),
        (&pages, "/metrics/slis", ""),
        (&pages, "/flagz", ""),
        (&pages, "/statusz", ""),
        (&pages, "/statusz", "format=json"),
        (&pages, "/configz", ""),
        (&pages, "/drains", ""),
        (&pages, "/changes", ""),
        (&pages, "/owners", ""),
        (&pages, text, text),
        (&proxy_health, "/healthz", ""),
        (&proxy_health, "/livez", ""),
        (&proxy_health, "/readyz", ""),
    ] {
        let reply = handler(&Request { path, query });
        check_lines(path, &reply.body);
    }
}

/// Returns a log in which every virtual server was added.
fn changes(desired: &model::Desired) -> ChangeLog {
    let log = ChangeLog::default();
    let servers = desired.tables.virtual_servers.values();
    let ops = servers.map(|entry| PlannedOp {
        op: Op::AddVirtualServer(entry.server.clone()),
        owner: (desired.owners.virtual_servers.get(&entry.server.key)).cloned(),
        reason: Reason::Missing,
    });
    let stage = Stage { ops: ops.collect() };
    let outcomes: Vec<_> = stage.ops.iter().map(|_| Ok(())).collect();
    ChangeRecorder::new(log.clone()).applied(&stage, &outcomes);
    log
}

/// Returns a configuration with an unchecked text. It comes from the administrator, so it is
/// escaped but not cut.
fn config(text: &str) -> Resolved {
    let file = json!({
        "apiVersion": "kube-ipvs.io/v1alpha1", "kind": "KubeIpvsConfiguration",
        "clientConnection": {"kubeconfig": format!("/{}", text.replace('q', ""))},
    });
    let file = sources::config::parse("file", &file.to_string()).expect("a valid file");
    let resolved = file.resolve(&NodeOverrides::default(), "host");
    resolved.expect("a valid file")
}

/// Generates text with characters that control terminals, end lines or change the direction of
/// text, among others.
fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '\n', '\r', '\0', '\t', '\u{1b}', '\u{7}', '\u{7f}', '\u{85}', '\u{9b}', '\u{2028}',
        '\u{2029}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{feff}', '"', '\\', '{',
        '\'',
    ]);
    let character = prop_oneof![odd, any::<char>(), prop::char::range('a', 'z')];
    (prop::collection::vec(character, 1..40), 0..600_usize).prop_map(|(characters, tail)| {
        let text: String = characters.into_iter().collect();
        format!("{text}{}", "q".repeat(tail))
    })
}

#[test]
fn every_finding_that_quotes_text_occurs() {
    let (_, findings) = compile("x\n");
    let codes: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    for code in [
        "KIV0101", "KIV0102", "KIV0103", "KIV0104", "KIV0105", "KIV0108", "KIV0112", "KIV0114",
        "KIV0115", "KIV0119", "KIV0127", "KIV0201",
    ] {
        assert!(codes.contains(code), "{code} is missing in {codes:?}");
    }
}

#[test]
fn a_text_of_250_000_characters_is_cut() {
    check_all(&"q".repeat(250_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_gets_through(text in hostile()) {
        check_all(&text);
    }
}
