use std::fs;

use kernel::{Kernel as _, MemoryKernel, apply_plan};
use model::{NodeConfig, NodeState, Object, ObjectName, Scope};
use planner::{Ownership, compile, diff};
use sources::SourceConfig;
use sources::kube::ServerHost;

use super::{hosts, release};

/// Returns a kernel in which Service `greedy` has bound the API server's address 192.0.2.100, as an
/// old version left it.
fn captured() -> MemoryKernel {
    let mut kernel = MemoryKernel::new();
    let name = |name| ObjectName::new("default", name);
    let mut greedy = fixtures::service(name("greedy"), [10, 96, 0, 9]);
    greedy.external_ips = vec![model::Parsed::Valid([192, 0, 2, 100].into())];
    let kubernetes = fixtures::service(name("kubernetes"), [10, 96, 0, 1]);
    let mut cluster = model::ClusterState::default();
    for event in fixtures::lists([Object::Service(greedy), Object::Service(kubernetes)]) {
        cluster.absorb(event);
    }
    let config = NodeConfig::new("node1");
    let (desired, _) = compile(&cluster, &NodeState::default(), &config);
    let live = kernel.observe(&Scope::EVERYTHING).expect("a reading");
    let plan = diff(&desired, &live, &Ownership::new(&config));
    apply_plan(&mut kernel, &plan, |_, _| ());
    kernel
}

/// Checks the addresses on the dummy device after the start of a daemon with the API server
/// `server`.
fn check(server: Option<&str>, expected: &[&str]) {
    let mut kernel = captured();
    let config = NodeConfig {
        api_server: (server.iter())
            .map(|text| text.parse().expect("a socket"))
            .collect(),
        ..NodeConfig::new("node1")
    };
    release(&mut kernel, &config).expect("a reading");
    let addresses = kernel.tables().addresses;
    let found: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
    let servers = kernel.tables().virtual_servers.len();
    assert_eq!(
        servers,
        expected.len(),
        "one virtual server at each address"
    );
}

/// As long as the address is bound, the API server is unreachable and the first list never arrives.
#[test]
fn a_captured_api_server_is_released_before_the_first_list() {
    check(Some("192.0.2.100:6443"), &["10.96.0.1", "10.96.0.9"]);
}

#[test]
fn addresses_of_other_servers_stay() {
    let all = ["10.96.0.1", "10.96.0.9", "192.0.2.100"];
    check(Some("10.96.0.1:80"), &all);
    check(Some("198.51.100.1:443"), &all);
    check(None, &all);
}

/// With files as the source, the kubeconfig still names the server that the node needs.
#[test]
fn the_server_of_the_kubeconfig_is_protected() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("kubeconfig");
    let kubeconfig = "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n\
         clusters: [{name: c, cluster: {server: 'https://192.0.2.100:6443'}}]\n";
    fs::write(&path, kubeconfig).expect("to write");
    let source = SourceConfig::Files {
        paths: Vec::new(),
        watch: false,
    };
    let server = ServerHost::of_url("https://192.0.2.100:6443").expect("a host");
    assert!(hosts(&source, Some(&path)).contains(&server));
    let gone = folder.path().join("gone");
    assert!(!hosts(&source, Some(&gone)).contains(&server));
    assert!(!hosts(&source, None).contains(&server));
}
