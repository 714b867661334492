//! Health checks and drain times of VirtualServers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::cluster::{Changed, Object, StaticServer};
use model::config::NodeConfig;
use model::names::Name;
use model::policy::{CheckTarget, Given, PolicyField, ServicePolicy};
use model::{ClusterEvent, Code, NodeState, ObjectName};

use super::{server, state};
use crate::Compiler;
use crate::testing::{Scene, config, key, texts};

const FOUR: &str = "-A -t 192.0.2.10:80 -s wrr
    -a -t 192.0.2.10:80 -r 10.0.0.1:8080 -g -w 5
    -a -t 192.0.2.10:80 -r 10.0.0.2:80 -i -w 1
    -a -t 192.0.2.10:80 -r 10.0.0.3:80 -m -w 1
    -a -t 192.0.2.10:80 -r 10.0.0.4:80 -m -w 0";

fn with(lines: &str, fields: &[(PolicyField, &str)]) -> StaticServer {
    let mut policy = ServicePolicy::default();
    for (field, value) in fields {
        policy.set(*field, &Given::from(*value)).expect("a value");
    }
    StaticServer {
        policy: Some(Arc::new(policy)),
        ..server("web", lines)
    }
}

fn checked(lines: &str, check: &str) -> StaticServer {
    with(lines, &[(PolicyField::HealthCheck, check)])
}

fn scene(object: StaticServer) -> Scene {
    // Networks restrict the checks of Services only.
    let config = NodeConfig {
        health_check_networks: Vec::new(),
        ..config()
    };
    let state = state([Object::VirtualServer(object)]);
    Scene::new(state, Compiler::new(config), &NodeState::default())
}

fn targets(scene: &Scene) -> Vec<String> {
    let checks = &scene.compiler.desired().checks;
    checks.keys().map(ToString::to_string).collect()
}

/// Sets an error for the targets with these addresses, and clears those of the others.
fn fail(scene: &mut Scene, addresses: &[&str]) {
    let targets = scene.compiler.desired().checks.keys().cloned();
    let results: BTreeMap<CheckTarget, Option<Name>> = targets
        .map(|target| {
            let fails = addresses.contains(&target.address.to_string().as_str());
            (target, fails.then(|| Name::from("refused")))
        })
        .collect();
    let services = scene.compiler.set_health(results);
    let web = ObjectName::virtual_server("default", "web");
    assert_eq!(services, BTreeSet::from([web]));
    let changed = Changed {
        services,
        ..Changed::default()
    };
    let keys = scene.compiler.update(&scene.state, &changed);
    assert_eq!(texts(&keys.virtual_servers), ["192.0.2.10:80/TCP"]);
}

/// Returns the real servers: the last number of the address and the weight.
fn weights(scene: &Scene) -> Vec<(char, u32)> {
    let servers = &scene.compiler.desired().tables.virtual_servers;
    let real_servers = servers[&key("192.0.2.10:80")].real_servers.values();
    let real_servers = real_servers.map(|real| {
        let last = real.key.address.to_string().pop();
        (last.expect("an address"), real.weight)
    });
    real_servers.collect()
}

fn findings(scene: &Scene, code: Code) -> Vec<String> {
    let findings = scene.compiler.findings();
    texts(findings.filter(|finding| finding.code == code).cloned())
}

const ALL: [(char, u32); 4] = [('1', 5), ('2', 1), ('3', 1), ('4', 0)];

#[test]
fn a_failed_real_server_is_quiesced_and_comes_back() {
    let mut scene = scene(checked(FOUR, "type=tcp"));
    assert_eq!(
        targets(&scene),
        [
            "10.0.0.1:8080 tcp",
            "10.0.0.2:80 tcp",
            "10.0.0.3:80 tcp",
            "10.0.0.4:80 tcp"
        ]
    );
    fail(&mut scene, &["10.0.0.1"]);
    assert_eq!(weights(&scene), [('1', 0), ('2', 1), ('3', 1), ('4', 0)]);
    assert_eq!(
        findings(&scene, Code::EndpointFailed),
        [
            "KIV0132 warning VirtualServer default/web: spec.healthCheck: real server 10.0.0.1:8080 fails: refused; it \
             keeps its connections and gets no new ones, unless too many real servers fail"
        ]
    );
    fail(&mut scene, &[]);
    assert_eq!(weights(&scene), ALL);
    assert_eq!(findings(&scene, Code::EndpointFailed), [""; 0]);
}

#[test]
fn a_failed_real_server_is_removed_if_asked() {
    let mut scene = scene(checked(FOUR, "type=tcp, port=9, onFailure=remove"));
    assert_eq!(targets(&scene)[0], "10.0.0.1:9 tcp");
    fail(&mut scene, &["10.0.0.2"]);
    assert_eq!(weights(&scene), [('1', 5), ('3', 1), ('4', 0)]);
}

/// A real server with weight 0 counts neither as failed nor as one of all.
#[test]
fn above_the_panic_threshold_all_real_servers_are_used() {
    let mut scene = scene(checked(FOUR, "type=tcp"));
    fail(&mut scene, &["10.0.0.1", "10.0.0.4"]);
    assert_eq!(weights(&scene)[0], ('1', 0));
    fail(&mut scene, &["10.0.0.1", "10.0.0.2", "10.0.0.4"]);
    assert_eq!(weights(&scene), ALL);
    assert_eq!(
        findings(&scene, Code::HealthCheckPanic),
        [
            "KIV0133 warning VirtualServer default/web: spec.healthCheck: 2 of 3 real servers fail, more than \
             panicThreshold=50; all of them are used, since the check or the network of this node may be at fault"
        ]
    );
}

#[test]
fn a_real_server_without_a_tcp_port_needs_the_port_of_the_check() {
    for (lines, target) in [
        (
            "-A -f 7 -s rr\n-a -f 7 -r 10.0.0.1:0 -g -w 1",
            "10.0.0.1:53 tcp",
        ),
        (
            "-A -u 192.0.2.10:53 -s rr\n-a -u 192.0.2.10:53 -r 10.0.0.1:53 -m -w 1",
            "10.0.0.1:53 tcp",
        ),
    ] {
        let without = scene(checked(lines, "type=tcp"));
        assert_eq!(targets(&without), [""; 0]);
        assert_eq!(
            findings(&without, Code::EndpointNotChecked),
            [
                "KIV0131 warning VirtualServer default/web: spec.healthCheck: the check has no port=NUMBER, and there \
                 is no TCP port at 1 of the real servers, such as 10.0.0.1; they are not probed and count as healthy; \
                 add port=NUMBER to the check"
            ]
        );
        let with = scene(checked(lines, "type=tcp, port=53"));
        assert_eq!(targets(&with), [target]);
        assert_eq!(findings(&with, Code::EndpointNotChecked), [""; 0]);
    }
    // The mark of a virtual server and a port of TCP.
    let lines = "-A -f 7 -s rr\n-a -f 7 -r 10.0.0.1:80 -m -w 1";
    assert_eq!(
        targets(&scene(checked(lines, "type=tcp"))),
        ["10.0.0.1:80 tcp"]
    );
}

#[test]
fn targets_leave_with_their_object() {
    for object in [
        server("web", FOUR),
        // The kernel does not know the scheduler.
        checked(&FOUR.replace("wrr", "wrrr"), "type=tcp"),
    ] {
        let mut scene = scene(checked(FOUR, "type=tcp"));
        assert_eq!(scene.compiler.take_check_changes().len(), 4);
        scene.apply(ClusterEvent::Upsert(Object::VirtualServer(object)));
        assert_eq!(targets(&scene), [""; 0]);
        let changes = scene.compiler.take_check_changes();
        assert_eq!(changes.len(), 4);
        assert!(changes.values().all(BTreeSet::is_empty));
    }
}

#[test]
fn drain_times_are_those_of_the_object() {
    let config = config();
    let times = [
        (PolicyField::DrainTimeout, "7s"),
        (PolicyField::UdpDrainTimeout, "3s"),
    ];
    let tcp = key("192.0.2.10:80");
    let scene_of = |object| scene(object).compiler.desired().clone();
    let desired = scene_of(with(FOUR, &times));
    assert_eq!(desired.drain_timeout(tcp, &config), Duration::from_secs(7));
    assert_eq!(
        scene_of(server("web", FOUR)).drain_timeout(tcp, &config),
        config.drain_timeout
    );

    // A real server of UDP keeps its flows only if the object says so.
    let lines = "-A -u 192.0.2.10:53 -s rr\n-a -u 192.0.2.10:53 -r 10.0.0.1:53 -m -w 1";
    let left = (
        ipvs::VirtualServerKey::Address {
            address: "192.0.2.10".parse().expect("an address"),
            port: 53,
            protocol: ipvs::Protocol::Udp,
        },
        "10.0.0.2:53"
            .parse::<std::net::SocketAddr>()
            .expect("an address")
            .into(),
    );
    let drains = |object: StaticServer, udp| {
        let desired = scene_of(object);
        (
            crate::drains(&desired, udp, left),
            desired.drain_timeout(left.0, &config),
        )
    };
    let three = Duration::from_secs(3);
    assert_eq!(drains(with(lines, &times), false), (true, three));
    let zero = [(PolicyField::UdpDrainTimeout, "0s")];
    assert!(!drains(with(lines, &zero), true).0);
    assert!(!drains(server("web", lines), true).0);
}
