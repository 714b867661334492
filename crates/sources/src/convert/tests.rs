use std::time::{Duration, SystemTime};

use ipvs::AddressFamily;
use model::ObjectName;
use model::cluster::{
    Endpoint, EndpointPort, EndpointSlice, Node, Service, ServiceKind, ServicePort, TrafficPolicy,
};
use model::policy::Annotation;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::objects;

fn typed<K: DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).expect("a typed object")
}

/// Returns a Service with only a name.
fn bare(name: &str) -> Service {
    Service {
        name: ObjectName::new("default", name),
        created: None,
        uid: None,
        kind: ServiceKind::ClusterIp,
        cluster_ips: vec![],
        ports: vec![],
        affinity: None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        external_ips: vec![],
        load_balancer_ips: vec![],
        source_ranges: vec![],
        health_check_node_port: None,
        has_selector: false,
        annotations: Box::default(),
        labels: Box::default(),
    }
}

/// Checks that `spec` and `status` convert to a bare Service with `change` applied.
fn check_service(
    spec: &serde_json::Value,
    status: &serde_json::Value,
    change: impl FnOnce(&mut Service),
) {
    let given = json!({"metadata": {"name": "web"}, "spec": spec, "status": status});
    let mut expected = bare("web");
    change(&mut expected);
    assert_eq!(
        service(&typed::<objects::Service>(given), expected.labels.clone()),
        expected
    );
}

#[test]
fn a_service_has_the_api_servers_defaults() {
    check_service(&json!({}), &json!({}), |_| {});
    check_service(&json!({"ports": [{"port": 80}]}), &json!({}), |service| {
        service.ports = vec![ServicePort {
            name: "".into(),
            protocol: Parsed::Valid(Protocol::Tcp),
            port: Parsed::Valid(NonZeroU16::new(80).expect("a port")),
            node_port: None,
        }];
    });
    check_service(
        &json!({"sessionAffinity": "ClientIP"}),
        &json!({}),
        |service| {
            service.affinity = Some(Duration::from_secs(10_800));
        },
    );
}

#[test]
fn every_field_of_a_service_is_converted() {
    let given = json!({
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2024-01-02T03:04:05Z",
            "uid": "0a1B2c3d-0000-4000-8000-00000000000f",
            "annotations": {"kube-ipvs.io/scheduler": "wrr"}},
        "spec": {
            "type": "LoadBalancer", "selector": {"app": "web"}, "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "fd00::10"],
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053, "targetPort": "dns"}],
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local",
            "externalIPs": ["192.0.2.1"], "loadBalancerSourceRanges": [" 10.1.2.3/8 "],
            "healthCheckNodePort": 30999,
        },
        "status": {"loadBalancer": {"ingress": [
            {"ip": "192.0.2.7"}, {"ip": "192.0.2.8", "ipMode": "VIP"},
            {"ip": "192.0.2.9", "ipMode": "Proxy"}, {"hostname": "lb.example.com"},
        ]}},
    });
    let expected = Service {
        name: ObjectName::new("shop", "web"),
        created: Some(1_704_164_645),
        uid: model::names::Uid::parse("0a1b2c3d-0000-4000-8000-00000000000f"),
        kind: ServiceKind::LoadBalancer,
        cluster_ips: vec![ip("10.96.0.10"), ip("fd00::10")],
        ports: vec![ServicePort {
            name: "dns".into(),
            protocol: Parsed::Valid(Protocol::Udp),
            port: Parsed::Valid(NonZeroU16::new(53).expect("a port")),
            node_port: Some(Parsed::Valid(NonZeroU16::new(30053).expect("a port"))),
        }],
        affinity: Some(Duration::from_secs(60)),
        internal_policy: TrafficPolicy::Local,
        external_policy: TrafficPolicy::Local,
        external_ips: vec![ip("192.0.2.1")],
        load_balancer_ips: vec![ip("192.0.2.7"), ip("192.0.2.8")],
        source_ranges: vec![Parsed::Valid("10.0.0.0/8".parse().expect("a network"))],
        health_check_node_port: Some(Parsed::Valid(NonZeroU16::new(30999).expect("a port"))),
        has_selector: true,
        annotations: [Annotation::new("scheduler", "wrr")].into(),
        labels: [("tier".into(), "front".into())].into(),
    };
    assert_eq!(
        service(&typed::<objects::Service>(given), expected.labels.clone()),
        expected
    );
}

#[test]
fn services_without_cluster_ip_have_no_address() {
    check_service(&json!({"clusterIP": "None"}), &json!({}), |_| {});
    check_service(
        &json!({"clusterIP": "None", "clusterIPs": ["None"]}),
        &json!({}),
        |_| {},
    );
    check_service(
        &json!({"type": "ExternalName", "externalName": "example.com"}),
        &json!({}),
        |service| service.kind = ServiceKind::ExternalName,
    );
    check_service(
        &json!({"clusterIP": "10.96.0.1", "clusterIPs": []}),
        &json!({}),
        |service| service.cluster_ips = vec![ip("10.96.0.1")],
    );
}

#[test]
fn invalid_values_of_a_service_are_kept_as_text() {
    check_service(
        &json!({
            "clusterIP": "10.96.0.300", "externalIPs": ["x", " ", ""],
            "loadBalancerSourceRanges": ["10.0.0.0", ""],
            "ports": [{"port": 0, "protocol": "QUIC", "nodePort": 70000}],
            "healthCheckNodePort": -1,
        }),
        &json!({}),
        |service| {
            service.cluster_ips = vec![Parsed::Invalid("10.96.0.300".into())];
            service.external_ips = vec![Parsed::Invalid("x".into())];
            service.source_ranges = ["10.0.0.0", ""]
                .map(|text| Parsed::Invalid(text.into()))
                .into();
            service.ports = vec![ServicePort {
                name: "".into(),
                protocol: Parsed::Invalid("QUIC".into()),
                port: Parsed::Invalid("0".into()),
                node_port: Some(Parsed::Invalid("70000".into())),
            }];
            service.health_check_node_port = Some(Parsed::Invalid("-1".into()));
        },
    );
}

fn endpoint(address: &str, ready: bool) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready,
        serving: true,
        terminating: false,
        node: None,
        zone: None,
        zone_hints: Box::default(),
        node_hints: Box::default(),
    }
}

fn tcp(name: &str, port: u16) -> EndpointPort {
    EndpointPort {
        name: Some(name.into()),
        protocol: Parsed::Valid(Protocol::Tcp),
        port: NonZeroU16::new(port),
    }
}

#[test]
fn every_field_of_a_slice_is_converted() {
    let given: objects::EndpointSlice = typed(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"},
            "uid": "0a1b2c3d-0000-4000-8000-00000000001f",
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:02.5Z"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.244.1.5", "10.244.1.6"], "nodeName": "node1",
             "conditions": {"ready": false, "serving": true, "terminating": true},
             "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "node1"}]}},
            {"addresses": ["10.244.2.5"], "conditions": {"ready": false}},
            {"addresses": ["nonsense"]},
            {"addresses": []},
        ],
        "ports": [{"port": 8080}, {"name": "all"}, {"name": "big", "port": 65536}],
    }));
    let terminating = Endpoint {
        ready: false,
        serving: true,
        terminating: true,
        node: Some("node1".into()),
        zone_hints: Box::new(["a".into()]),
        node_hints: Box::new(["node1".into()]),
        ..endpoint("10.244.1.5", false)
    };
    let expected = EndpointSlice {
        name: ObjectName::new("shop", "web-1"),
        service: "web".into(),
        family: Some(AddressFamily::Ipv4),
        endpoints: vec![
            terminating,
            endpoint("10.244.2.5", false),
            endpoint("nonsense", true),
            endpoint("", true),
        ],
        ports: vec![tcp("", 8080), tcp("all", 0), tcp("big", 0)],
        triggered: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(2500)),
        uid: model::names::Uid::parse("0a1b2c3d-0000-4000-8000-00000000001f"),
        several_addresses: Some(0),
    };
    assert_eq!(slice(&given), expected);
}

#[test]
fn only_the_name_of_an_unlabelled_slice_is_read() {
    let of = |labels| {
        slice(&typed(json!({
            "metadata": {"name": "x", "labels": labels, "uid": "0a1b2c3d-0000-4000-8000-00000000001f",
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:02.5Z"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1", "10.1.0.2"]}], "ports": [{"port": 80}],
        })))
    };
    let expected = EndpointSlice {
        name: ObjectName::new("default", "x"),
        service: "".into(),
        family: None,
        endpoints: Vec::new(),
        ports: Vec::new(),
        triggered: None,
        uid: model::names::Uid::parse("0a1b2c3d-0000-4000-8000-00000000001f"),
        several_addresses: None,
    };
    assert_eq!(of(json!({"app": "x"})), expected);
    assert_eq!(of(json!({"kubernetes.io/service-name": ""})), expected);
    let of_service = of(json!({"kubernetes.io/service-name": "x"}));
    assert_eq!((of_service.endpoints.len(), of_service.ports.len()), (1, 1));
}

#[test]
fn a_slice_of_host_names_has_no_family() {
    let given: objects::EndpointSlice = typed(json!({"addressType": "FQDN", "endpoints": [],
        "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "x"}}}));
    assert_eq!(slice(&given).family, None);
}

#[test]
fn endpoints_become_a_slice_for_each_subset_and_family() {
    let given: objects::Endpoints = typed(json!({
        "metadata": {"name": "web"},
        "subsets": [
            {"addresses": [{"ip": "10.244.1.5", "nodeName": "node1"}, {"ip": "fd00::5"}],
             "notReadyAddresses": [{"ip": "10.244.1.6"}],
             "ports": [{"name": "http", "port": 8080}]},
            {"addresses": [{"ip": "10.244.1.7"}], "ports": [{"port": 9090}]},
        ],
    }));
    let part = |name: &str, family, endpoints, port| EndpointSlice {
        name: ObjectName::new("default", name),
        service: "web".into(),
        family: Some(family),
        endpoints,
        ports: vec![port],
        triggered: None,
        uid: None,
        several_addresses: None,
    };
    let local = Endpoint {
        node: Some("node1".into()),
        ..endpoint("10.244.1.5", true)
    };
    assert_eq!(
        endpoints(&given),
        [
            part(
                "web:ipv4:0",
                AddressFamily::Ipv4,
                vec![
                    local,
                    Endpoint {
                        serving: false,
                        ..endpoint("10.244.1.6", false)
                    }
                ],
                tcp("http", 8080)
            ),
            part(
                "web:ipv6:0",
                AddressFamily::Ipv6,
                vec![endpoint("fd00::5", true)],
                tcp("http", 8080)
            ),
            part(
                "web:ipv4:1",
                AddressFamily::Ipv4,
                vec![endpoint("10.244.1.7", true)],
                tcp("", 9090)
            ),
        ]
    );
}

#[test]
fn a_node_has_internal_addresses_first() {
    let given: objects::Node = typed(json!({
        "metadata": {"name": "node1", "labels": {"topology.kubernetes.io/zone": "a"}},
        "spec": {"podCIDR": "10.244.9.0/24", "podCIDRs": ["10.244.1.0/24", "nonsense", "fd00::/64"]},
        "status": {"addresses": [
            {"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "node1"},
            {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd77::1"},
        ]},
    }));
    let expected = Node {
        name: "node1".into(),
        zone: Some("a".into()),
        addresses: ["10.0.0.1", "fd77::1", "192.0.2.1"]
            .map(|text| text.parse().expect("an address"))
            .to_vec(),
        pod_cidrs: ["10.244.1.0/24", "fd00::/64"]
            .map(|text| text.parse().expect("a network"))
            .to_vec(),
        deleting: false,
        leaving: false,
    };
    assert_eq!(node(&given), expected);
}

#[test]
fn a_node_that_is_being_deleted_is_marked() {
    let check = |text: serde_json::Value, deleting, leaving| {
        let given = node(&typed(text));
        assert_eq!((given.deleting, given.leaving), (deleting, leaving));
    };
    check(
        json!({"metadata": {"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        true,
        false,
    );
    let tainted = |key: &str| json!({"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}});
    check(tainted("ToBeDeletedByClusterAutoscaler"), false, true);
    check(tainted("node.kubernetes.io/unreachable"), false, false);
}

#[test]
fn addresses_are_parsed_as_in_kube_proxy() {
    let check = |text: &str, expected: Option<&str>| {
        let found = ip(text).as_result().ok().map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    check("10.0.0.1", Some("10.0.0.1"));
    check("010.000.00.01", Some("10.0.0.1"));
    check("::ffff:10.0.0.01", Some("10.0.0.1"));
    check("fd00::00a", Some("fd00::a"));
    for wrong in [
        "",
        "10.0.0",
        "10.0.0.0.1",
        "10.0.0.256",
        "10.0.0.+1",
        " 10.0.0.1",
        "fe80::1%eth0",
        "::g",
    ] {
        check(wrong, None);
    }
}

#[test]
fn networks_are_parsed_as_in_kube_proxy() {
    let check = |text: &str, expected: Option<&str>| {
        let found = cidr(text).as_result().ok().map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    check("10.1.2.3/8", Some("10.0.0.0/8"));
    check(" 010.0.0.0/08 ", Some("10.0.0.0/8"));
    check("fd00::1/64", Some("fd00::/64"));
    check("0.0.0.0/0", Some("0.0.0.0/0"));
    check("::ffff:10.1.2.3/104", Some("10.0.0.0/8"));
    for wrong in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "::/129",
    ] {
        check(wrong, None);
    }
}

/// Files can contain text that no API server accepts. All text of a converted object is short and
/// printable.
#[test]
fn all_text_of_an_object_is_safe_to_print() {
    let odd = format!("x\n\u{1b}[2J\u{202e}{}", "y".repeat(1000));
    let safe = SafeText::new(&odd);
    let metadata = json!({
        "name": odd, "namespace": odd, "labels": {"kubernetes.io/service-name": odd, "topology.kubernetes.io/zone": odd},
        "annotations": {"kube-ipvs.io/scheduler": odd},
    });
    let name = ObjectName::new(safe.clone().into_name(), safe.clone().into_name());
    let given = service(
        &typed(json!({
            "metadata": metadata,
            "spec": {
                "clusterIPs": [odd], "externalIPs": [odd], "loadBalancerSourceRanges": [odd],
                "ports": [{"name": odd, "port": 80, "protocol": odd}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": odd}]}},
        })),
        Box::default(),
    );
    assert_eq!(given.name, name);
    assert_eq!(*given.annotations, [Annotation::new("scheduler", &odd)]);
    for address in [
        &given.cluster_ips[0],
        &given.external_ips[0],
        &given.load_balancer_ips[0],
    ] {
        assert_eq!(*address, Parsed::Invalid(safe.clone()));
    }
    assert_eq!(given.source_ranges, [Parsed::Invalid(safe.clone())]);
    assert_eq!(given.ports[0].name, name.name);
    assert_eq!(given.ports[0].protocol, Parsed::Invalid(safe.clone()));

    let given = slice(&typed(json!({
        "metadata": metadata, "addressType": "IPv4",
        "endpoints": [{
            "addresses": [odd], "nodeName": odd,
            "hints": {"forZones": [{"name": odd}], "forNodes": [{"name": odd}]},
        }],
        "ports": [{"name": odd, "protocol": odd}],
    })));
    let endpoint = &given.endpoints[0];
    assert_eq!((&given.name, &given.service), (&name, &name.name));
    assert_eq!(endpoint.address, Parsed::Invalid(safe.clone()));
    assert_eq!(endpoint.node, Some(name.name.clone()));
    assert_eq!(
        (&endpoint.zone_hints[0], &endpoint.node_hints[0]),
        (&name.name, &name.name)
    );
    assert_eq!(given.ports[0].name, Some(name.name.clone()));
    assert_eq!(given.ports[0].protocol, Parsed::Invalid(safe.clone()));

    let given = node(&typed(json!({"metadata": metadata})));
    assert_eq!(
        (given.name, given.zone),
        (name.name.clone(), Some(name.name))
    );
}
