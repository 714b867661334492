//! Tests of the events about reports.

use std::sync::Arc;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use ipvs::Protocol;
use kernel::OpErrorKind;
use model::names::ServicePortName;
use model::plan::{Op, Reason};

use super::*;

/// Prints an event in one line: object, severity, reason, action, note.
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
fn findings_of_level_info_have_no_event() {
    assert_eq!(
        found(Code::NoLocalEndpoints, "Service", "shop", "web"),
        None
    );
}

#[test]
fn an_object_without_a_name_has_no_event() {
    let nameless = found(Code::UndecodableObject, "Service", "shop", "");
    assert_eq!(nameless, None);
}

#[test]
fn every_code_has_a_distinct_reason_in_camel_case() {
    let reasons: BTreeSet<_> = Code::ALL.into_iter().map(reason).collect();
    assert_eq!(reasons.len(), Code::ALL.len());
    for reason in reasons {
        let camel = reason.starts_with(|first: char| first.is_ascii_uppercase())
            && reason.chars().all(|letter| letter.is_ascii_alphanumeric());
        assert!(camel && reason.len() <= 128, "{reason}");
    }
}

#[test]
fn the_start_is_an_event_on_the_node() {
    check(
        &[starting(&"node1".into())],
        &["v1 Node /node1 uid node1 | Normal Starting StartKubeProxy | "],
    );
}

#[test]
fn ports_that_cannot_be_opened_are_events_with_kube_proxys_reasons() {
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
fn repairs_of_one_sync_are_one_event_for_each_service() {
    let (node, mut repairs) = ("node1".into(), Repairs::default());
    repairs.add(&repair(Some("web"), "10.96.0.1"));
    repairs.add(&repair(None, "10.96.0.9"));
    repairs.add(&repair(Some("web"), "10.96.0.2"));
    repairs.add(&repair(Some("web"), "10.96.0.3"));
    check(
        &repairs.take(&node),
        &[
            "v1 Node /node1 uid node1 | Warning DriftRepaired Repair | node node1: another program changed \
             the kernel's tables: add address 10.96.0.9 to kube-ipvs0: missing in the kernel",
            "v1 Service shop/web | Warning DriftRepaired Repair | node node1: another program changed the \
             kernel's tables: add address 10.96.0.1 to kube-ipvs0: missing in the kernel; and 2 more",
        ],
    );
    check(&repairs.take(&node), &[]);
}

fn fail(failures: &mut Failures, planned: &PlannedOp, kind: OpErrorKind) {
    let error = OpError::new(planned.op.clone(), kind, None);
    failures.add(planned, &error);
}

#[test]
fn a_change_that_fails_again_is_one_event_for_each_service() {
    let (node, mut failures, start) = ("node1".into(), Failures::default(), Instant::now());
    let sync = |failures: &mut Failures, retried: bool, seconds: u64| {
        fail(
            failures,
            &repair(Some("web"), "10.96.0.1"),
            OpErrorKind::Invalid,
        );
        fail(
            failures,
            &repair(Some("web"), "10.96.0.2"),
            OpErrorKind::Invalid,
        );
        fail(failures, &repair(None, "10.96.0.9"), OpErrorKind::NoDevice);
        failures.take(&node, retried, start + Duration::from_secs(seconds))
    };
    check(&sync(&mut failures, false, 0), &[]);
    let expected = [
        "v1 Node /node1 uid node1 | Warning ProgrammingFails Program | node node1: failed to add address 10.96.0.9 to \
         kube-ipvs0: there is no device kube-ipvs0; find the program that changes the same tables",
        "v1 Service shop/web | Warning ProgrammingFails Program | node node1: failed to add address 10.96.0.1 to \
         kube-ipvs0: the kernel does not accept these settings; and 1 more; see the log of kube-ipvsd",
    ];
    check(&sync(&mut failures, true, 1), &expected);
    check(&sync(&mut failures, true, 600), &[]);
    check(&sync(&mut failures, true, 601), &expected);
}

#[test]
fn a_permanent_failure_is_an_event_at_once() {
    let (node, mut failures) = ("node1".into(), Failures::default());
    let planned = PlannedOp {
        op: Op::SetSysctl("net.ipv4.ip_forward".into(), "1".into()),
        ..repair(None, "10.96.0.1")
    };
    fail(&mut failures, &planned, OpErrorKind::ReadOnlySetting);
    assert_eq!(failures.take(&node, false, Instant::now()).len(), 1);
}

#[test]
fn events_about_failing_services_are_limited() {
    let (node, mut failures) = ("node1".into(), Failures::default());
    for number in 0..1000 {
        let planned = repair(Some(&format!("s{number}")), "10.96.0.1");
        fail(&mut failures, &planned, OpErrorKind::Invalid);
    }
    let now = Instant::now();
    assert_eq!(failures.take(&node, true, now).len(), MOST_FAILING);
    let planned = repair(Some("t"), "10.96.0.1");
    fail(&mut failures, &planned, OpErrorKind::Invalid);
    check(&failures.take(&node, true, now), &[]);
}

#[test]
fn a_reading_that_keeps_failing_is_an_event() {
    let (node, mut failures, start) = ("node1".into(), Failures::default(), Instant::now());
    let mut fail = |count: u32, seconds: u64| {
        failures.unread(&ObserveError::Failed {
            what: "sets",
            source: "no module".into(),
        });
        let now = start + Duration::from_secs(seconds);
        let events: Vec<_> = failures
            .take_unread(&node, || count, now)
            .into_iter()
            .collect();
        assert_eq!(
            failures.take_unread(&node, || count, now),
            None,
            "sent already"
        );
        events
    };
    check(&fail(2, 0), &[]);
    let expected = "v1 Node /node1 uid node1 | Warning ReadingFails Observe | node node1: failed to read sets: no \
                    module; until a reading succeeds, kube-ipvsd does not repair these entries";
    check(&fail(3, 1), &[expected]);
    check(&fail(9, 600), &[]);
    check(&fail(9, 601), &[expected]);
}

#[test]
fn an_event_on_an_object_has_its_uid() {
    let uid = |last| format!("0a1b2c3d-0000-4000-8000-00000000000{last}");
    let parsed = |last| model::names::Uid::parse(&uid(last));
    let mut service = fixtures::service(ObjectName::new("shop", "web"), [10, 96, 0, 1]);
    service.uid = parsed(1);
    let mut slice = fixtures::slice(ObjectName::new("shop", "web-1"), "web", Vec::new());
    slice.uid = parsed(2);
    let mut cluster = ClusterState::default();
    for object in [
        model::Object::Service(service),
        model::Object::EndpointSlice(slice),
    ] {
        cluster.absorb(model::ClusterEvent::Upsert(object));
    }
    let event = |kind, name| {
        let event = found(Code::ServiceClash, kind, "shop", name).expect("an event");
        with_uid(event, &cluster).regarding.uid
    };
    assert_eq!(event("Service", "web"), Some(uid(1).into()));
    assert_eq!(event("EndpointSlice", "web-1"), Some(uid(2).into()));
    assert_eq!(event("Service", "gone"), None);
    assert_eq!(event("EndpointSlice", "gone"), None);
    let node = with_uid(starting(&"node1".into()), &cluster);
    assert_eq!(node.regarding.uid.as_deref(), Some("node1"));
}
