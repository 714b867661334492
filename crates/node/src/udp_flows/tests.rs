use std::sync::mpsc;

use model::cluster::{ClusterState, Endpoint, EndpointPort, EndpointSlice, Parsed, Service};
use model::{NodeConfig, NodeState, Object, ObjectName};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

fn flows(port: u16) -> UdpFlows {
    let at = SocketAddr::new([10, 96, 0, 1].into(), port);
    UdpFlows {
        served: [(at, BTreeSet::new())].into(),
    }
}

#[test]
fn requests_during_a_pass_run_once_after_it() {
    let (started, begun) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let cleaner = Cleaner::start(move |flows| {
        started.send(flows.clone()).expect("the test listens");
        wait.recv().is_ok()
    });
    cleaner.request(flows(1));
    assert_eq!(begun.recv_timeout(TIMEOUT), Ok(flows(1)));
    for port in 2..=9 {
        cleaner.request(flows(port));
    }
    go.send(()).expect("it waits");
    assert_eq!(begun.recv_timeout(TIMEOUT), Ok(flows(9)));
    go.send(()).expect("it waits");
    drop(cleaner);
    assert!(begun.recv_timeout(TIMEOUT).is_err(), "nothing more");
}

#[test]
fn a_newer_request_replaces_a_failed_one() {
    let (started, begun) = mpsc::channel();
    let cleaner = Cleaner::start(move |flows| {
        started.send(flows.clone()).expect("the test listens");
        *flows != super::tests::flows(1)
    });
    cleaner.request(flows(1));
    assert_eq!(begun.recv_timeout(TIMEOUT), Ok(flows(1)));
    cleaner.request(flows(2));
    assert_eq!(begun.recv_timeout(TIMEOUT), Ok(flows(2)));
}

/// Returns a cluster with Service `dns` at UDP and TCP port 53 and two endpoints. The second
/// endpoint is terminating and serving.
fn cluster(ready: bool) -> ClusterState {
    let port = |protocol: Protocol| {
        fixtures::service_port(&format!("{protocol:?}").to_lowercase(), 53, protocol)
    };
    let endpoint = |last: u8, ready: bool| Endpoint {
        ready,
        serving: true,
        terminating: !ready,
        ..Endpoint::ready(Parsed::Valid([10, 1, 0, last].into()))
    };
    let service = Service {
        cluster_ips: vec![Parsed::Valid([10, 96, 0, 10].into())],
        ports: vec![port(Protocol::Udp), port(Protocol::Tcp)],
        ..Service::new(ObjectName::new("default", "dns"))
    };
    let slice = EndpointSlice {
        name: ObjectName::new("default", "dns-1"),
        service: "dns".into(),
        family: Some(ipvs::AddressFamily::Ipv4),
        endpoints: match ready {
            true => vec![endpoint(1, true), endpoint(2, false)],
            false => Vec::new(),
        },
        ports: [Protocol::Udp, Protocol::Tcp]
            .map(|protocol| EndpointPort {
                name: Some(format!("{protocol:?}").to_lowercase().into()),
                protocol: Parsed::Valid(protocol),
                port: std::num::NonZeroU16::new(5353),
            })
            .into(),
        triggered: None,
        uid: None,
        several_addresses: None,
    };
    let mut state = ClusterState::default();
    for event in fixtures::lists([Object::Service(service), Object::EndpointSlice(slice)]) {
        state.absorb(event);
    }
    state
}

fn compiled(cluster: &ClusterState) -> Desired {
    planner::compile(cluster, &NodeState::default(), &NodeConfig::new("node1")).0
}

fn key() -> VirtualServerKey {
    VirtualServerKey::Address {
        address: [10, 96, 0, 10].into(),
        port: 53,
        protocol: Protocol::Udp,
    }
}

/// Another program has a virtual server at the key of a Service. Its flows use its own real
/// servers.
#[test]
fn flows_of_a_foreign_virtual_server_are_kept() {
    let desired = compiled(&cluster(true));
    assert!(desired.tables.virtual_servers.contains_key(&key()));
    let flow = model::udp_flows::Flow {
        destination: "10.96.0.10:53".parse().expect("an address"),
        answered_by: "192.0.2.9:53".parse().expect("a server"),
    };
    let live = NodeTables::default();
    for (foreign, stale) in [(BTreeSet::new(), true), ([key()].into(), false)] {
        let flows = wanted(&desired, &live, &foreign, true);
        assert_eq!(flows.is_stale(&flow), stale);
    }
}

/// Another program has the node port at one of two addresses, and a Service uses it at both.
#[test]
fn flows_of_foreign_virtual_servers_at_a_node_port_stay() {
    let at = |address: [u8; 4]| VirtualServerKey::Address {
        address: address.into(),
        port: 30_053,
        protocol: Protocol::Udp,
    };
    let (theirs, ours) = (at([192, 0, 2, 1]), at([198, 51, 100, 1]));
    let mut cluster = cluster(true);
    let mut service = (cluster.service(&ObjectName::new("default", "dns"))).expect("an entry");
    service.kind = model::cluster::ServiceKind::NodePort;
    service.ports[0].node_port = std::num::NonZeroU16::new(30_053).map(Parsed::Valid);
    cluster.absorb(model::ClusterEvent::Upsert(Object::Service(service)));
    let node = NodeState {
        interfaces: vec![model::snapshot::Interface {
            name: "eth0".into(),
            addresses: ["192.0.2.1/24", "198.51.100.1/24"]
                .map(|text| text.parse().expect("a network"))
                .into(),
        }],
        ..NodeState::default()
    };
    let (desired, _) = planner::compile(&cluster, &node, &NodeConfig::new("node1"));
    for key in [theirs, ours] {
        assert!(desired.tables.virtual_servers.contains_key(&key), "{key}");
    }
    let flows = wanted(&desired, &NodeTables::default(), &[theirs].into(), true);
    let is_stale = |destination: &str| {
        flows.is_stale(&model::udp_flows::Flow {
            destination: destination.parse().expect("an address"),
            answered_by: "192.0.2.9:53".parse().expect("a server"),
        })
    };
    assert!(!is_stale("192.0.2.1:30053"));
    assert!(is_stale("198.51.100.1:30053"));
    // A foreign virtual server at an address that no Service has.
    assert!(!is_stale("203.0.113.7:30053"));
}

/// Checks which flows are stale if the kernel has the real servers `live`: flows to 10.1.0.1
/// (ready), to 10.1.0.2 (terminating and serving) and to 10.1.0.3 (deleted).
fn check_servers(live: &[u8], udp_drains: bool, stale: [bool; 3]) {
    let desired = compiled(&cluster(true));
    let mut kernel = desired.tables.clone();
    let entry = kernel.virtual_servers.get_mut(&key()).expect("an entry");
    let entry = Arc::make_mut(entry);
    let (_, first) = entry.real_servers.iter().next().expect("one");
    let first = *first;
    entry.real_servers = model::tables::RealServers::from_iter(live.iter().map(|last| {
        let mut real = first;
        real.key.address = [10, 1, 0, *last].into();
        real
    }));
    let flows = wanted(&desired, &kernel, &BTreeSet::new(), udp_drains);
    let vip: SocketAddr = "10.96.0.10:53".parse().expect("an address");
    assert_eq!(flows.served.keys().collect::<Vec<_>>(), [&vip]);
    let found = [1, 2, 3].map(|last: u8| {
        flows.is_stale(&model::udp_flows::Flow {
            destination: vip,
            answered_by: SocketAddr::from(([10, 1, 0, last], 5353)),
        })
    });
    assert_eq!(found, stale, "{live:?}, drains: {udp_drains}");
}

#[test]
fn udp_flows_may_use_draining_real_servers() {
    // Server 2 drains, and is then deleted.
    check_servers(&[1, 2], true, [false, false, true]);
    check_servers(&[1], true, [false, true, true]);
    // Before the first write, both desired real servers and those in the kernel may answer.
    check_servers(&[3], true, [false, true, false]);
}

/// Without drains their real servers are deleted at once, but an answer under way needs its flow.
#[test]
fn without_drains_udp_flows_to_serving_endpoints_stay() {
    check_servers(&[1], false, [false, false, true]);
}

/// No other endpoint could answer these flows.
#[test]
fn flows_of_a_service_without_endpoints_are_kept() {
    let desired = compiled(&cluster(false));
    let flows = wanted(&desired, &desired.tables, &BTreeSet::new(), true);
    assert_eq!(flows, UdpFlows::default());
}
