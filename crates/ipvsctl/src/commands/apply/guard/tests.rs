use std::net::SocketAddr;

use ipvs::VirtualServerKey;
use kernel::{Kernel as _, MemoryKernel};
use model::cluster::{Service, StaticServer};
use model::{ClusterState, NodeConfig, NodeState, Object, ObjectName, Scope, text};
use sources::proxy::{METRICS, Running};

use super::{Guard, Refusal};
use crate::input::Input;
use crate::input::running::{Manager, ProcessFacts, Proxies, State};
use crate::input::view::View;

/// Two virtual servers of Services, and one of another program.
const LIVE: &str = "\
-A -t 10.96.0.10:80 -s rr
-A -t 10.96.0.11:80 -s rr
-A -t 192.0.2.1:443 -s sh
# addresses
10.96.0.10/32
10.96.0.11/32
";

fn key(text: &str) -> VirtualServerKey {
    let at: SocketAddr = text.parse().expect("an address and a port");
    VirtualServerKey::Address {
        address: at.ip(),
        port: at.port(),
        protocol: ipvs::Protocol::Tcp,
    }
}

/// Returns the view of a node with the tables [`LIVE`] and Services at these addresses.
fn view(cluster_ips: &[&str], guard: &Guard) -> View {
    let mut cluster = ClusterState::default();
    let services = cluster_ips.iter().enumerate().map(|(index, address)| {
        let port = fixtures::service_port("http", 80, ipvs::Protocol::Tcp);
        Object::Service(Service {
            cluster_ips: vec![model::Parsed::Valid(address.parse().expect("an address"))],
            ports: vec![port],
            ..Service::new(ObjectName::new("default", format!("s{index}")))
        })
    });
    for service in services {
        cluster.absorb(model::ClusterEvent::Upsert(service));
    }
    of_cluster(cluster, guard)
}

/// Returns the view of a node with the tables [`LIVE`] and the objects of `cluster`.
fn of_cluster(cluster: ClusterState, guard: &Guard) -> View {
    let config = NodeConfig::new("node1");
    let (desired, findings, claims) =
        planner::compile_with_claims(&cluster, &NodeState::default(), &config, Default::default());
    let input = Input {
        services: cluster.service_names().count(),
        cluster,
        config,
        node: NodeState::default(),
        desired,
        claims,
        findings,
        whole: true,
        pods: Default::default(),
    };
    let tables = text::parse(LIVE).expect("tables");
    let live = MemoryKernel::with_tables(&tables).observe(&Scope::EVERYTHING);
    View::compare(input, live.expect("a reading"), guard.delete.clone())
}

fn check(cluster_ips: &[&str], guard: &Guard) -> Result<(), Refusal> {
    guard.check_plan(&view(cluster_ips, guard))
}

#[test]
fn input_without_services_does_not_empty_the_table() {
    let refused = Refusal::NoServices {
        deleted: 2,
        ours: 2,
    };
    assert_eq!(check(&[], &Guard::default()), Err(refused));
    let allowed = Guard {
        allow_empty: true,
        ..Guard::default()
    };
    assert_eq!(check(&[], &allowed), Ok(()));
}

#[test]
fn one_of_several_virtual_servers_of_files_may_go() {
    let line = "-A -t 10.96.0.10:80 -s rr";
    let line = ipvs::text::parse_lines(line).expect("a line").remove(0);
    let ipvs::text::Line::VirtualServer(server) = line else {
        panic!("{line:?} is a virtual server");
    };
    let mut cluster = ClusterState::default();
    cluster.absorb(model::ClusterEvent::Upsert(Object::VirtualServer(
        StaticServer {
            name: ObjectName::virtual_server("default", "web"),
            server,
            real_servers: Vec::new(),
            bind: true,
            masquerade_source: false,
            policy: None,
        },
    )));
    let guard = Guard::default();
    assert_eq!(guard.check_plan(&of_cluster(cluster, &guard)), Ok(()));
}

#[test]
fn a_proxy_without_metrics_is_found_among_the_processes_unless_forced() {
    let running = || Proxies {
        kube_proxies: vec![ProcessFacts {
            pid: 7,
            name: "kube-proxy".to_owned(),
            state: State::Running,
            manager: Manager::Unknown,
        }],
        ..Proxies::default()
    };
    let refused = Refusal::Process {
        name: "kube-proxy".to_owned(),
        pid: 7,
    };
    assert_eq!(Guard::default().check_processes(running), Err(refused));
    assert_eq!(Guard::default().check_processes(Proxies::default), Ok(()));
    let forced = Guard {
        force: true,
        ..Guard::default()
    };
    assert_eq!(forced.check_processes(running), Ok(()));
}

#[test]
fn services_of_another_cluster_do_not_replace_every_virtual_server() {
    let refused = Refusal::DeletesAll { ours: 2 };
    assert_eq!(check(&["10.96.0.99"], &Guard::default()), Err(refused));
    assert_eq!(check(&["10.96.0.10"], &Guard::default()), Ok(()));
}

#[test]
fn a_foreign_virtual_server_is_deleted_only_by_name() {
    let deletes = |guard: &Guard| {
        let view = view(&["10.96.0.10", "10.96.0.11"], guard);
        let ops = view.plan.ops().map(|planned| planned.op.to_string());
        ops.filter(|op| op.starts_with("delete virtual server"))
            .collect::<Vec<_>>()
    };
    assert_eq!(deletes(&Guard::default()), Vec::<String>::new());
    let named = Guard {
        delete: [key("192.0.2.1:443")].into(),
        ..Guard::default()
    };
    assert_eq!(deletes(&named), ["delete virtual server 192.0.2.1:443/TCP"]);
    // It does not count as a virtual server of a Service.
    assert_eq!(check(&["10.96.0.10", "10.96.0.11"], &named), Ok(()));
}

#[test]
fn a_virtual_server_to_delete_exists() {
    let live = view(&[], &Guard::default()).live;
    let guard = |text| Guard {
        delete: [key(text)].into(),
        ..Guard::default()
    };
    assert_eq!(guard("192.0.2.1:443").check_named(&live), Ok(()));
    let missing = guard("192.0.2.1:444").check_named(&live);
    assert_eq!(
        missing.expect_err("a refusal").to_string(),
        "nothing was changed: --delete 192.0.2.1:444/TCP: the node has no such virtual server; ipvsctl get \
         servers lists them"
    );
}

#[test]
fn a_running_proxy_is_asked_for_unless_forced() {
    let running = || vec![(METRICS, Running::KubeIpvs)];
    let refused = Guard::default().check_proxies(running);
    assert_eq!(
        refused.expect_err("a refusal").to_string(),
        "nothing was changed: kube-ipvsd answers at 127.0.0.1:10249 and writes the same tables. It would undo \
         these changes at its next audit; until then connections to the changed Services fail. Change its \
         source instead, or stop it; --force applies the changes all the same"
    );
    assert_eq!(Guard::default().check_proxies(Vec::new), Ok(()));
    let forced = Guard {
        force: true,
        ..Guard::default()
    };
    assert_eq!(forced.check_proxies(running), Ok(()));
}
