//! Health checks of endpoints.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::Protocol;
use model::cluster::{Changed, Service};
use model::config::NodeConfig;
use model::finding::Code;
use model::names::{Name, ObjectName};
use model::policy::{Annotation, CheckTarget, FailedTargets, PolicyField};
use model::{ClusterEvent, NodeState, Object};

use crate::testing::{Scene, cluster, config, deleted, endpoint, service, slice, texts};
use crate::{Compiler, EndpointStates, EndpointVerdict, compile_with_claims};

const ADDRESSES: [&str; 4] = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"];

fn checking() -> NodeConfig {
    NodeConfig {
        allowed_annotations: PolicyField::ALL.iter().copied().collect(),
        health_check_networks: vec!["10.1.0.0/16".parse().expect("a network")],
        ..config()
    }
}

fn checked(name: &str, cluster_ip: &str, check: &str) -> Service {
    Service {
        annotations: [Annotation::new("health-check", check)].into(),
        ..service(name, &[cluster_ip])
    }
}

/// Compiles Services with these checks, `a` and `b`, and one without, `c`. They have the same
/// endpoints.
fn scene(checks: [&str; 2], config: NodeConfig) -> Scene {
    let services = vec![
        checked("a", "10.96.0.1", checks[0]),
        checked("b", "10.96.0.2", checks[1]),
        service("c", &["10.96.0.3"]),
    ];
    let endpoints = || ADDRESSES.iter().map(|address| endpoint(address)).collect();
    let slices = ["a", "b", "c"].map(|name| slice(name, name, endpoints()));
    let state = cluster(services, slices.into());
    Scene::new(state, Compiler::new(config), &NodeState::default())
}

/// Sets the error of the first `count` endpoints for each check, or clears all errors. Returns the
/// Services that were compiled again and the virtual servers that changed.
fn fail(scene: &mut Scene, count: usize) -> (Vec<String>, Vec<String>) {
    let failing = &ADDRESSES[..count];
    let targets = scene.compiler.desired().checks.keys();
    let results = targets.map(|target| {
        let fails = failing.contains(&target.address.to_string().as_str());
        (target.clone(), fails.then(|| Name::from("refused")))
    });
    let results: BTreeMap<CheckTarget, Option<Name>> = results.collect();
    let services = scene.compiler.set_health(results);
    let names = services.iter().map(|name| name.name.to_string()).collect();
    let changed = Changed {
        services,
        ..Changed::default()
    };
    let keys = scene.compiler.update(&scene.state, &changed);
    (names, texts(&keys.virtual_servers))
}

/// Returns the real servers of Service `a`: the last number of the address and the weight.
fn weights(scene: &Scene) -> Vec<(char, u32)> {
    let servers = &scene.compiler.desired().tables.virtual_servers;
    let entry = &servers[&crate::testing::key("10.96.0.1:80")];
    let real = entry.real_servers.values().map(|real| {
        let last = real.key.address.to_string().pop();
        (last.expect("an address"), real.weight)
    });
    real.collect()
}

fn codes(scene: &Scene) -> Vec<Code> {
    scene
        .compiler
        .findings()
        .map(|finding| finding.code)
        .collect()
}

const ALL: [(char, u32); 4] = [('1', 1), ('2', 1), ('3', 1), ('4', 1)];

#[test]
fn a_failed_endpoint_is_quiesced() {
    let mut scene = scene(["type=tcp", "type=tcp, rise=1"], checking());
    assert_eq!(weights(&scene), ALL);
    assert_eq!(fail(&mut scene, 1).0, ["a", "b"]);
    assert_eq!(weights(&scene), [('1', 0), ('2', 1), ('3', 1), ('4', 1)]);
    assert_eq!(codes(&scene), [Code::EndpointFailed; 2]);
    fail(&mut scene, 0);
    assert_eq!(weights(&scene), ALL);
    assert_eq!(codes(&scene), []);
}

#[test]
fn a_failed_endpoint_is_removed_if_asked() {
    let mut scene = scene(["type=tcp, onFailure=remove", "type=tcp"], checking());
    fail(&mut scene, 2);
    assert_eq!(weights(&scene), [('3', 1), ('4', 1)]);
}

#[test]
fn above_the_panic_threshold_all_endpoints_are_used() {
    let mut scene = scene(
        ["type=tcp", "type=tcp, panicThreshold=100, onFailure=remove"],
        checking(),
    );
    fail(&mut scene, 2);
    assert_eq!(weights(&scene), [('1', 0), ('2', 0), ('3', 1), ('4', 1)]);
    fail(&mut scene, 3);
    assert_eq!(weights(&scene), ALL);
    assert!(codes(&scene).contains(&Code::HealthCheckPanic));
    // With a threshold of 100 every endpoint of `b` may be removed.
    fail(&mut scene, 4);
    let servers = &scene.compiler.desired().tables.virtual_servers;
    let entry = &servers[&crate::testing::key("10.96.0.2:80")];
    assert_eq!(entry.real_servers.len(), 0);
}

/// Endpoints that the policy's weights leave out cannot replace those that fail.
#[test]
fn endpoints_with_weight_0_do_not_count_for_the_threshold() {
    let mut scene = scene(["type=tcp", "type=tcp"], checking());
    let mut service = checked("a", "10.96.0.1", "type=tcp");
    let weights_of = Annotation::new("weights", "10.1.0.1=5, default=0");
    service.annotations = [weights_of, service.annotations[0].clone()].into();
    scene.apply(ClusterEvent::Upsert(Object::Service(service)));
    fail(&mut scene, 1);
    assert_eq!(weights(&scene), [('1', 5), ('2', 0), ('3', 0), ('4', 0)]);
}

#[test]
fn services_with_equal_probes_share_them_whatever_they_do_with_the_result() {
    let mut scene = scene(["type=tcp", "type=tcp, onFailure=remove"], checking());
    let services = ["a", "b"].map(|name| ObjectName::new("default", name));
    let shared = BTreeSet::from(services);
    let checks = scene.compiler.desired().checks.clone();
    assert_eq!(checks.len(), ADDRESSES.len());
    assert!(checks.values().all(|services| *services == shared));
    assert_eq!(scene.compiler.take_check_changes(), checks);
    assert_eq!(scene.compiler.take_check_changes(), BTreeMap::new());
    let (compiled, changed) = fail(&mut scene, 1);
    assert_eq!(compiled, ["a", "b"]);
    assert_eq!(changed, ["10.96.0.1:80/TCP", "10.96.0.2:80/TCP"]);

    // Without its Services a target is no longer wanted.
    scene.apply(deleted(model::ObjectKind::Service, "a"));
    let changes = scene.compiler.take_check_changes();
    assert!(changes.values().all(|services| services.len() == 1));
    scene.apply(deleted(model::ObjectKind::Service, "b"));
    let changes = scene.compiler.take_check_changes();
    assert_eq!(changes.len(), ADDRESSES.len());
    assert!(changes.values().all(BTreeSet::is_empty));
    assert_eq!(scene.compiler.desired().checks, BTreeMap::new());
}

#[test]
fn only_the_services_of_a_target_are_compiled_again() {
    let mut scene = scene(["type=tcp", "type=tcp, port=9090"], checking());
    let checks = &scene.compiler.desired().checks;
    let ports: BTreeSet<u16> = checks.keys().map(|target| target.port.get()).collect();
    assert_eq!(ports, [8080, 9090].into());
    let target = checks.keys().find(|target| target.port.get() == 9090);
    let results = [(
        target.expect("a target").clone(),
        Some(Name::from("refused")),
    )];
    let services = scene.compiler.set_health(results.clone().into());
    assert_eq!(services, [ObjectName::new("default", "b")].into());
    // An equal result is no change.
    let services = scene.compiler.set_health(results.into());
    assert_eq!(services, BTreeSet::new());
}

#[test]
fn endpoints_outside_the_networks_are_not_probed() {
    let mut config = checking();
    config.health_check_networks = vec!["10.1.0.1/32".parse().expect("a network")];
    let scene = scene(["type=tcp", "type=icmp"], config);
    let checks = scene.compiler.desired().checks.keys();
    let probed: Vec<String> = checks.map(|target| target.address.to_string()).collect();
    assert_eq!(probed, ["10.1.0.1"]);
    assert_eq!(
        codes(&scene),
        [Code::InvalidPolicy, Code::EndpointNotChecked]
    );
    let problems: Vec<&str> = (scene.compiler.findings())
        .map(|finding| finding.problem.as_str())
        .collect();
    assert_eq!(
        problems[1],
        "healthChecks.networks of the configuration does not contain 3 of the endpoints, such as \
         10.1.0.2"
    );
}

#[test]
fn a_service_may_not_set_a_check_by_default() {
    let mut config = config();
    config.health_check_networks = checking().health_check_networks;
    let scene = scene(["type=tcp", "type=tcp"], config);
    assert_eq!(scene.compiler.desired().checks, BTreeMap::new());
    assert_eq!(codes(&scene), [Code::PolicyNotAllowed; 2]);
}

#[test]
fn a_port_of_another_protocol_needs_a_port_to_probe() {
    let mut scene = scene(["type=tcp", "type=tcp"], checking());
    let udp = |check| {
        let mut service = checked("a", "10.96.0.1", check);
        service.ports[0].protocol = model::cluster::Parsed::Valid(Protocol::Udp);
        ClusterEvent::Upsert(Object::Service(service))
    };
    let mut of_udp = slice("a", "a", ADDRESSES.map(endpoint).into());
    of_udp.ports[0].protocol = model::cluster::Parsed::Valid(Protocol::Udp);
    scene.apply(ClusterEvent::Upsert(Object::EndpointSlice(of_udp)));
    scene.apply(udp("type=tcp"));
    assert!(codes(&scene).contains(&Code::PolicyWithoutEffect));
    scene.apply(udp("type=tcp, port=8080"));
    assert!(!codes(&scene).contains(&Code::PolicyWithoutEffect));
    // A probe by datagrams needs no other port there, and one on the TCP port of `b`.
    scene.apply(udp("type=udp"));
    assert!(!codes(&scene).contains(&Code::PolicyWithoutEffect));
    let kinds = |scene: &Scene| -> BTreeSet<&str> {
        let checks = scene.compiler.desired().checks.keys();
        checks.map(|target| target.probe.kind.name()).collect()
    };
    assert_eq!(kinds(&scene), ["tcp", "udp"].into());
    scene.apply(ClusterEvent::Upsert(Object::Service(checked(
        "b",
        "10.96.0.2",
        "type=udp",
    ))));
    assert_eq!(kinds(&scene), ["udp"].into());
    let problems: Vec<&str> = (scene.compiler.findings())
        .filter(|finding| finding.code == Code::PolicyWithoutEffect)
        .map(|finding| finding.problem.as_str())
        .collect();
    assert_eq!(
        problems,
        ["the Service has no UDP port, and the check no port=NUMBER"]
    );
}

#[test]
fn a_check_by_an_unknown_authority_probes_nothing() {
    let checks = ["type=https, verify=shop", "type=https"];
    let mut config = checking();
    let scene = scene(checks, config.clone());
    let verified = |scene: &Scene| {
        let checks = scene.compiler.desired().checks.keys();
        let verified = checks.filter(|target| target.probe.kind.authority().is_some());
        verified.count()
    };
    assert_eq!(verified(&scene), 0);
    assert_eq!(scene.compiler.desired().checks.len(), ADDRESSES.len());
    assert_eq!(codes(&scene), [Code::EndpointNotChecked]);
    let problem = scene.compiler.findings().next().map(|finding| {
        let object = finding.object.to_string();
        (
            object,
            finding.problem.as_str(),
            finding.consequence.as_str(),
        )
    });
    assert_eq!(
        problem,
        Some((
            "default/a".to_owned(),
            "verify=shop: healthChecks.authorities of the configuration has no shop",
            "the endpoints are not probed and count as healthy"
        ))
    );
    (config.health_check_authorities).insert("shop".into(), "/etc/shop.pem".into());
    let scene = self::scene(checks, config);
    assert_eq!(verified(&scene), ADDRESSES.len());
    assert_eq!(codes(&scene), []);
}

#[test]
fn a_full_compilation_with_the_same_failures_agrees() {
    let mut scene = scene(["type=tcp", "type=tcp, onFailure=remove"], checking());
    fail(&mut scene, 2);
    let failed: FailedTargets = scene.compiler.failed_targets().clone();
    assert_eq!(failed.len(), 2);
    let node = NodeState::default();
    let states = EndpointStates {
        failed,
        ..EndpointStates::default()
    };
    let (desired, findings, claims) = compile_with_claims(&scene.state, &node, &checking(), states);
    assert_eq!(desired, *scene.compiler.desired());
    assert!(findings.iter().eq(scene.compiler.findings()));

    let name = ObjectName::new("default", "a");
    let explained = claims.explain(&scene.state, &desired, &name);
    let explained = explained.expect("the Service");
    let verdicts: Vec<&EndpointVerdict> = (explained.ports[0].endpoints.iter())
        .map(|endpoint| &endpoint.internal)
        .collect();
    let failed = EndpointVerdict::HealthCheckFailed("refused".to_owned());
    let ready = EndpointVerdict::Ready;
    assert_eq!(verdicts, [&failed, &failed, &ready, &ready]);
    assert_eq!(failed.to_string(), "health check failed: refused");
}
