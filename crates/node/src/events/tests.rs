//! What is told of what happens.

use std::sync::Arc;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use ipvs::Protocol;
use model::names::ServicePortName;
use model::plan::{Op, Reason};

use super::*;

/// An event in one line: where, how bad, reason, action, note.
fn printed(event: &ObjectEvent) -> String {
    let ObjectEvent {
        regarding,
        severity,
        reason,
        action,
        note,
    } = event;
    let Regarding {
        api_version,
        kind,
        namespace,
        name,
        uid,
    } = regarding;
    let uid = uid
        .as_ref()
        .map_or_else(String::new, |uid| format!(" uid {uid}"));
    format!(
        "{api_version} {kind} {namespace}/{name}{uid} | {severity:?} {reason} {action} | {note}"
    )
}

fn check(events: &[ObjectEvent], expected: &[&str]) {
    let printed: Vec<_> = events.iter().map(printed).collect();
    assert_eq!(printed, expected);
}

fn found(code: Code, kind: &'static str, namespace: &str, name: &str) -> Option<ObjectEvent> {
    finding(&Finding {
        code,
        kind,
        object: ObjectName::new(namespace, name),
        field: "spec.x".to_owned(),
        problem: "is odd".to_owned(),
        consequence: "left out".to_owned(),
    })
}

#[test]
fn a_finding_is_a_warning_on_its_object() {
    let events = [
        found(Code::ServiceClash, "Service", "shop", "web"),
        found(Code::UnusableSlice, "EndpointSlice", "shop", "web-x"),
        found(Code::NoLocalDetection, "Node", "", "node1"),
    ];
    let events: Vec<_> = events.into_iter().flatten().collect();
    check(
        &events,
        &[
            "v1 Service shop/web | Warning ServiceClash Program | KIV0201: spec.x: is odd; left out",
            "discovery.k8s.io/v1 EndpointSlice shop/web-x | Warning UnusableEndpointSlice Program | \
             KIV0114: spec.x: is odd; left out",
            "v1 Node /node1 uid node1 | Warning NoLocalDetection Program | KIV0402: spec.x: is odd; \
             left out",
        ],
    );
}

#[test]
fn a_mere_remark_is_not_told() {
    assert_eq!(
        found(Code::NoLocalEndpoints, "Service", "shop", "web"),
        None
    );
}

#[test]
fn every_code_has_a_reason_of_its_own_in_camel_case() {
    let reasons: BTreeSet<_> = Code::ALL.into_iter().map(reason).collect();
    assert_eq!(reasons.len(), Code::ALL.len());
    for reason in reasons {
        let camel = reason.starts_with(|first: char| first.is_ascii_uppercase())
            && reason.chars().all(|letter| letter.is_ascii_alphanumeric());
        assert!(camel && reason.len() <= 128, "{reason}");
    }
}

#[test]
fn the_start_is_told_on_the_node() {
    check(
        &[starting(&"node1".into())],
        &["v1 Node /node1 uid node1 | Normal Starting StartKubeProxy | "],
    );
}

#[test]
fn ports_that_cannot_be_opened_are_told_with_kube_proxys_reasons() {
    let (node, address) = ("node1".into(), SocketAddr::from(([0, 0, 0, 0], 32000)));
    let taken = || io::Error::from(io::ErrorKind::AddrInUse);
    let bind = |name| BindError {
        name,
        address,
        source: taken(),
    };
    let check_port = ListenFailure {
        service: ObjectName::new("shop", "web"),
        address,
        source: taken(),
    };
    check(
        &[
            listen_failure(&node, &check_port),
            bind_failure(&node, &bind("proxy health server")),
            bind_failure(&node, &bind("metrics server")),
        ],
        &[
            "v1 Service shop/web | Warning FailedToStartServiceHealthcheck Listen | node node1: failed \
             to listen at 0.0.0.0:32000 for the health check of Service shop/web: address in use",
            "v1 Node /node1 uid node1 | Warning FailedToStartProxierHealthcheck StartKubeProxy | failed \
             to start the proxy health server at 0.0.0.0:32000: address in use",
            "v1 Node /node1 uid node1 | Warning FailedToStartMetricServer StartKubeProxy | failed to \
             start the metrics server at 0.0.0.0:32000: address in use",
        ],
    );
}

fn repair(service: Option<&str>, address: &str) -> PlannedOp {
    PlannedOp {
        op: Op::AddAddress(address.parse().expect("an address")),
        owner: service.map(|name| {
            Arc::new(ServicePortName {
                service: ObjectName::new("shop", name),
                port: "".into(),
                protocol: Protocol::Tcp,
            })
        }),
        reason: Reason::Missing,
    }
}

#[test]
fn repairs_of_one_synchronisation_are_told_once_for_each_service() {
    let (node, mut repairs) = ("node1".into(), Repairs::default());
    repairs.add(&repair(Some("web"), "10.96.0.1"));
    repairs.add(&repair(None, "10.96.0.9"));
    repairs.add(&repair(Some("web"), "10.96.0.2"));
    repairs.add(&repair(Some("web"), "10.96.0.3"));
    let told = repairs.take(&node);
    check(
        &told,
        &[
            "v1 Node /node1 uid node1 | Warning DriftRepaired Repair | node node1: somebody else changed \
             the kernel's tables: add address 10.96.0.9 to kube-ipvs0: missing in the kernel",
            "v1 Service shop/web | Warning DriftRepaired Repair | node node1: somebody else changed the \
             kernel's tables: add address 10.96.0.1 to kube-ipvs0: missing in the kernel; and 2 more",
        ],
    );
    check(&repairs.take(&node), &[]);
}
