use super::allocations::Allocations;
use super::{Part, admit_change, admit_new};
use crate::config::ServerConfig;
use crate::resource::Resource;
use serde_json::{Value, json};

fn allocations() -> Allocations {
    let config = ServerConfig::default();
    Allocations::new(config.service_cidrs, config.node_ports)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "calls with json! read better so"
)]
fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
}

fn errors(result: Result<(), Vec<crate::status::FieldError>>) -> Vec<String> {
    result
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The spec after admission.
#[track_caller]
fn admitted(spec: Value) -> Value {
    let mut object = service(spec);
    let result = admit_new(Resource::Services, &mut object, &allocations());
    assert_eq!(errors(result), Vec::<String>::new());
    object["spec"].take()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "calls with json! read better so"
)]
#[track_caller]
fn refused(spec: Value, why: &str) {
    let mut object = service(spec.clone());
    let found = errors(admit_new(Resource::Services, &mut object, &allocations()));
    assert!(
        found.iter().any(|e| e.contains(why)),
        "{spec}: {why:?} is not in {found:?}"
    );
}

#[test]
fn a_service_gets_its_defaults() {
    assert_eq!(
        admitted(json!({"ports": [{"port": 80}]})),
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
        })
    );
}

#[test]
fn session_affinity_has_a_timeout() {
    let spec = admitted(json!({"sessionAffinity": "ClientIP", "ports": [{"port": 80}]}));
    assert_eq!(
        spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"],
        10800
    );
}

#[test]
fn families() {
    let ports = json!([{"port": 80}]);
    let both = admitted(json!({"ipFamilyPolicy": "RequireDualStack", "ports": ports}));
    assert_eq!(both["clusterIPs"], json!(["10.96.1.1", "fd00:10:96::101"]));
    let six = admitted(json!({"ipFamilies": ["IPv6"], "ports": ports}));
    assert_eq!(six["clusterIP"], "fd00:10:96::101");
    let inferred = admitted(json!({"clusterIP": "fd00:10:96::7", "ports": ports}));
    assert_eq!(inferred["ipFamilies"], json!(["IPv6"]));
    let headless = admitted(json!({"clusterIP": "None"}));
    assert_eq!(
        (&headless["ipFamilies"], &headless["clusterIPs"]),
        (&json!(["IPv4", "IPv6"]), &json!(["None"]))
    );
    refused(
        json!({"ipFamilies": ["IPv4", "IPv6"], "ports": ports}),
        "must be 'RequireDualStack' or 'PreferDualStack'",
    );
    refused(
        json!({"clusterIP": "10.96.0.5", "ipFamilies": ["IPv6"], "ports": ports}),
        "expected an IPv6 value",
    );
}

#[test]
fn node_ports_are_given_to_exposed_services() {
    let tcp_udp = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
    let spec = admitted(json!({"type": "NodePort", "ports": tcp_udp}));
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    assert_eq!(spec["ports"][0]["nodePort"], 30000);
    assert_eq!(
        spec["ports"][1]["nodePort"], 30000,
        "TCP and UDP of one port share a node port"
    );
    let local =
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let spec = admitted(local);
    assert_eq!(
        (&spec["ports"][0]["nodePort"], &spec["healthCheckNodePort"]),
        (&json!(30000), &json!(30001))
    );
    let none = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]});
    assert!(admitted(none)["ports"][0]["nodePort"].is_null());
    refused(
        json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
        "not in the valid range",
    );
    refused(
        json!({"ports": [{"port": 80, "nodePort": 30000}]}),
        "may not be used when `type` is 'ClusterIP'",
    );
}

#[test]
fn services_are_refused_with_the_field_and_the_reason() {
    let with = |field: &str, value: Value| {
        let mut spec = json!({"ports": [{"port": 80}]});
        spec[field] = value;
        spec
    };
    refused(json!({}), "spec.ports: Required value");
    refused(
        json!({"ports": [{"port": 0}]}),
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535",
    );
    refused(
        json!({"ports": [{"port": 80}, {"port": 81}]}),
        "spec.ports[0].name: Required value",
    );
    refused(
        json!({"ports": [{"port": 80, "protocol": "ICMP"}]}),
        "supported values: \"SCTP\", \"TCP\", \"UDP\"",
    );
    let twice = json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}]);
    refused(json!({"ports": twice}), "spec.ports[1]: Duplicate value");
    refused(with("type", json!("Magic")), "spec.type: Unsupported value");
    refused(
        with("clusterIP", json!("ten")),
        "spec.clusterIPs[0]: Invalid value: \"ten\": must be a valid IP address",
    );
    refused(
        with("clusterIP", json!("10.97.0.1")),
        "not in the valid range. The range of valid IPs is 10.96.0.0/16",
    );
    refused(
        with("clusterIP", json!("10.96.0.0")),
        "not in the valid range",
    );
    refused(
        with("externalIPs", json!(["127.0.0.1"])),
        "may not be in the loopback range",
    );
    refused(
        with("sessionAffinity", json!("Cookie")),
        "spec.sessionAffinity: Unsupported value",
    );
    refused(
        with("externalTrafficPolicy", json!("Local")),
        "may only be set for externally-accessible services",
    );
    refused(
        with("loadBalancerSourceRanges", json!(["10.0.0.0/8"])),
        "may only be used when `type` is 'LoadBalancer'",
    );
    refused(
        with("healthCheckNodePort", json!(30001)),
        "spec.healthCheckNodePort",
    );
    refused(
        with("trafficDistribution", json!("Far")),
        "spec.trafficDistribution: Unsupported value",
    );
    refused(
        json!({"type": "ExternalName"}),
        "spec.externalName: Required value",
    );
    refused(
        json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
        "may not be set to 'None'",
    );
}

#[test]
fn addresses_and_ports_are_given_once() {
    let mut taken = allocations();
    let mut first = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
    admit_new(Resource::Services, &mut first, &taken).unwrap();
    taken.follow(None, Some(&first));
    let mut other = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
    other["metadata"]["name"] = json!("other");
    admit_new(Resource::Services, &mut other, &taken).unwrap();
    assert_ne!(first["spec"]["clusterIP"], other["spec"]["clusterIP"]);
    assert_ne!(
        first["spec"]["ports"][0]["nodePort"],
        other["spec"]["ports"][0]["nodePort"]
    );

    let mut thief =
        service(json!({"clusterIP": first["spec"]["clusterIP"], "ports": [{"port": 80}]}));
    thief["metadata"]["name"] = json!("thief");
    let found = errors(admit_new(Resource::Services, &mut thief.clone(), &taken));
    assert!(
        found[0].ends_with("provided IP is already allocated"),
        "{found:?}"
    );
    taken.follow(Some(&first), None);
    admit_new(Resource::Services, &mut thief, &taken).unwrap();
}

#[test]
fn an_update_keeps_what_was_allocated() {
    let taken = allocations();
    let mut old = service(json!({"type": "NodePort", "ports": [{"port": 80}]}));
    admit_new(Resource::Services, &mut old, &taken).unwrap();
    let mut new = service(json!({"type": "NodePort", "ports": [{"port": 80, "targetPort": 8080}]}));
    admit_change(Resource::Services, Part::Main, &mut new, &old, &taken).unwrap();
    assert_eq!(new["spec"]["clusterIP"], old["spec"]["clusterIP"]);
    assert_eq!(
        new["spec"]["ports"][0]["nodePort"],
        old["spec"]["ports"][0]["nodePort"]
    );

    let mut plain = old.clone();
    plain["spec"]["type"] = json!("ClusterIP");
    admit_change(Resource::Services, Part::Main, &mut plain, &old, &taken).unwrap();
    assert!(
        plain["spec"]["ports"][0]["nodePort"].is_null(),
        "a node port goes with its type"
    );
    assert!(plain["spec"]["externalTrafficPolicy"].is_null());

    let mut moved = old.clone();
    moved["spec"]["clusterIP"] = json!("10.96.9.9");
    let found = errors(admit_change(
        Resource::Services,
        Part::Main,
        &mut moved,
        &old,
        &taken,
    ));
    assert!(
        found.iter().any(|e| e.contains("may not change once set")),
        "{found:?}"
    );
}

#[test]
fn a_service_becomes_dual_stack_and_single_again() {
    let taken = allocations();
    let mut old = service(json!({"ports": [{"port": 80}]}));
    admit_new(Resource::Services, &mut old, &taken).unwrap();
    let mut dual = old.clone();
    dual["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
    admit_change(Resource::Services, Part::Main, &mut dual, &old, &taken).unwrap();
    assert_eq!(dual["spec"]["clusterIPs"].as_array().unwrap().len(), 2);
    let mut single = dual.clone();
    single["spec"]["ipFamilyPolicy"] = json!("SingleStack");
    admit_change(Resource::Services, Part::Main, &mut single, &dual, &taken).unwrap();
    assert_eq!(
        single["spec"]["clusterIPs"],
        json!([old["spec"]["clusterIP"]])
    );
}

#[track_caller]
fn slice_refused(change: impl FnOnce(&mut Value), why: &str) {
    let mut slice = json!({"metadata": {"name": "web-1"}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "http", "port": 80}]});
    change(&mut slice);
    let found = errors(admit_new(
        Resource::EndpointSlices,
        &mut slice,
        &allocations(),
    ));
    assert!(
        found.iter().any(|e| e.contains(why)),
        "{why:?} is not in {found:?}"
    );
}

#[test]
fn slices_are_checked() {
    slice_refused(
        |s| s["addressType"] = json!(""),
        "addressType: Required value",
    );
    slice_refused(
        |s| s["addressType"] = json!("IPv5"),
        "addressType: Unsupported value: \"IPv5\"",
    );
    slice_refused(
        |s| s["addressType"] = json!("IPv6"),
        "must be an IPv6 address",
    );
    slice_refused(
        |s| s["endpoints"][0]["addresses"] = json!([]),
        "must contain at least 1 address",
    );
    slice_refused(
        |s| s["endpoints"][0]["addresses"] = json!(["127.0.0.1"]),
        "loopback",
    );
    slice_refused(
        |s| s["endpoints"][0]["addresses"] = json!(["pod"]),
        "must be a valid IP address",
    );
    slice_refused(|s| s["ports"][0]["port"] = json!(70000), "ports[0].port");
    slice_refused(
        |s| s["ports"] = json!([{"port": 1}, {"port": 2}]),
        "ports[1].name: Duplicate value: \"\"",
    );
    slice_refused(
        |s| s["endpoints"] = json!(vec![json!({"addresses": ["10.0.0.1"]}); 1001]),
        "Too many: 1001",
    );
}

#[test]
fn endpoints_are_checked() {
    let mut object = json!({"subsets": [{"addresses": [{"ip": "169.254.0.1"}], "ports": [{"port": 0}, {"port": 1}]}]});
    let found = errors(admit_new(Resource::Endpoints, &mut object, &allocations()));
    for why in [
        "link-local",
        "subsets[0].ports[0].name: Required value",
        "between 1 and 65535",
    ] {
        assert!(
            found.iter().any(|e| e.contains(why)),
            "{why:?} is not in {found:?}"
        );
    }
    assert_eq!(object["subsets"][0]["ports"][0]["protocol"], "TCP");
}

#[test]
fn pod_ranges_of_a_node_are_set_once() {
    let taken = allocations();
    let mut old = json!({"metadata": {"name": "node1"}, "spec": {"podCIDR": "10.244.1.0/24"}});
    admit_new(Resource::Nodes, &mut old, &taken).unwrap();
    assert_eq!(old["spec"]["podCIDRs"], json!(["10.244.1.0/24"]));
    let mut new = old.clone();
    new["spec"] = json!({"podCIDR": "10.244.2.0/24"});
    let found = errors(admit_change(
        Resource::Nodes,
        Part::Main,
        &mut new,
        &old,
        &taken,
    ));
    assert!(
        found[0].starts_with("spec.podCIDRs: Forbidden"),
        "{found:?}"
    );
}
