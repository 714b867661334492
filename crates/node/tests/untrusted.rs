//! Text that the author of an object chose, in what the daemon says of it: findings, Events, `/statusz`, metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ipvs::{AddressFamily, Statistics};
use model::{ClusterState, Finding, NodeConfig, NodeState};
use node::events;
use node::health::Moment;
use node::http::status::Status;
use node::metrics::{Metrics, SourceMetrics, Traffic, TrafficOptions, VirtualServerTraffic};
use proptest::prelude::*;
use reconciler::Report;
use serde_json::json;

/// Returns what a node wants, and finds, where every text of the objects is `text`.
fn compile(text: &str) -> (model::Desired, Vec<Finding>) {
    let labels = json!({"kubernetes.io/service-name": text});
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": name, "namespace": text, "annotations": {"kube-ipvs.io/scheduler": format!("?{text}")},
            },
            "spec": {
                "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "externalIPs": [text, "192.0.2.7"],
                "loadBalancerSourceRanges": [text], "externalTrafficPolicy": "Local",
                "ports": [
                    {"name": text, "port": 80, "nodePort": 30080},
                    {"name": text, "port": 81, "protocol": text},
                ],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": text}]}},
        })
    };
    let items = [
        service(text),
        // It clashes with the first one.
        service(&format!("!{text}")),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": text, "namespace": text, "labels": labels}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.1"], "nodeName": text}, {"addresses": [text]}],
            "ports": [{"name": text, "port": 8080, "protocol": text}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": text},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]},
        }),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("objects.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    std::fs::write(&path, list.to_string()).expect("a file is written");
    let found = sources::files::read(&[path]);
    for error in &found.errors {
        check("errors of files", &error.to_string());
    }
    let mut state = ClusterState::default();
    for event in found.into_events() {
        state.absorb(event);
    }
    let config = NodeConfig::new("node1");
    planner::compile(&state, &NodeState::default(), &config)
}

/// Checks that `text` is one line that commands no terminal, and holds no long piece of what an author wrote.
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

fn check_all(text: &str) {
    let (desired, findings) = compile(text);
    let mut status = Status::default();
    for finding in &findings {
        check("a finding", &finding.to_string());
        if let Some(event) = events::finding(finding) {
            check("the note of an Event", &event.note);
            check("the object of an Event", &event.regarding.name);
        }
        status.observe(&Report::FindingRaised(finding.clone()), Moment::now());
    }
    for line in status.to_string().split('\n') {
        check("/statusz", line);
    }
    let traffic = Traffic::default();
    let counted = |(key, owner): (&ipvs::VirtualServerKey, &Arc<_>)| VirtualServerTraffic {
        key: *key,
        owner: Some(Arc::clone(owner)),
        statistics: Statistics::default(),
        real_servers: Vec::new(),
    };
    traffic.set(desired.owners.virtual_servers.iter().map(counted).collect());
    let options = TrafficOptions {
        services: TrafficOptions::SERVICE_LABELS.into(),
        ..TrafficOptions::default()
    };
    let families = BTreeSet::from([AddressFamily::Ipv4]);
    let metrics = Metrics::new(families, options, traffic, SourceMetrics::default());
    let page = metrics
        .expect("the table is right")
        .text(Instant::now())
        .expect("a page");
    for line in page.split('\n') {
        check("/metrics", line);
    }
}

/// Text with what commands terminals, ends lines and turns text round, between other characters.
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
fn each_kind_of_finding_about_text_is_there() {
    let (_, findings) = compile("x\n");
    let codes: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    for code in [
        "KIV0101", "KIV0102", "KIV0103", "KIV0104", "KIV0105", "KIV0108", "KIV0112", "KIV0115",
        "KIV0201",
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
