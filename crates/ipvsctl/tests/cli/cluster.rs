//! `ipvsctl diff` against an API server.

use std::net::TcpListener;

use apiserver::{Forbid, Kubeconfig, Server, ServerConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::folder::{Folder, SHOP, SHOP_TABLES};

/// An API server with the objects of [`SHOP`].
struct Api {
    server: Server,
    _runtime: Runtime,
}

impl Api {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(ServerConfig::default()));
        let server = server.expect("a server");
        for text in SHOP.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(text).expect("YAML");
            server.put(object).expect("an object");
        }
        Self {
            server,
            _runtime: runtime,
        }
    }

    fn folder(&self) -> Folder {
        folder(&self.server.kubeconfig())
    }
}

fn folder(kubeconfig: &Kubeconfig) -> Folder {
    let folder = Folder::new()
        .with("live.txt", SHOP_TABLES)
        .with("empty.txt", "# ipvs\n# addresses\n");
    let written = kubeconfig.write(&folder.file("kubeconfig"));
    written.expect("a kubeconfig");
    folder
}

const DIFF: &str = "diff --kubeconfig kubeconfig --node node1 --live";

#[test]
fn diff_reads_a_cluster() {
    let api = Api::start();
    let folder = api.folder();
    let ran = folder.run(&format!("{DIFF} live.txt")).exits(0);
    assert_eq!(ran.out, "Plan: 0 to add, 0 to change, 0 to delete\n");
    folder.run(&format!("{DIFF} empty.txt")).exits(1);
}

#[test]
fn names_of_pods_are_those_of_endpoints() {
    let api = Api::start();
    let slice = |namespace: &str, address: &str| {
        serde_json::json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "db-1", "namespace": namespace,
                "labels": {"kubernetes.io/service-name": "db", "service.kubernetes.io/headless": ""}},
            "endpoints": [{"addresses": [address], "targetRef": {"kind": "Pod", "name": "db-0"}}],
        })
    };
    for (namespace, address) in [("default", "10.244.7.5"), ("bank", "10.244.7.6")] {
        api.server.put(slice(namespace, address)).expect("a slice");
    }
    let folder = api.folder();
    let source = "--kubeconfig kubeconfig --node node1 --desired";
    for (pod, address) in [("default/db-0", "10.244.7.5"), ("bank/db-0", "10.244.7.6")] {
        let ran = folder.run(&format!("trace {source} --from {pod} --to 192.0.2.99:80"));
        let start = format!("{address} (pod {pod} on this node) -> 192.0.2.99:80/TCP, ");
        assert!(ran.out.starts_with(&start), "{ran:#?}");
    }
    // It is no endpoint of a Service that this node serves.
    let ran = folder.run(&format!("explain pod default/db-0 {source}"));
    let start = "Pod default/db-0 (10.244.7.5), seen from node node1\n";
    assert!(ran.exits(1).out.starts_with(start));
    let ran = folder.run(&format!("explain pod default/db {source}"));
    ran.exits(2).says(
        "error: no EndpointSlice has a pod default/db: did you mean default/db-0? Otherwise give its address \
         (kubectl get pod -n default db -o wide), since pods that back no Service are in none",
    );
}

#[test]
fn kubeconfig_of_the_environment_is_used() {
    let api = Api::start();
    let folder = api.folder();
    let ran = folder.run_with("diff --node node1 --live live.txt", |command| {
        command.env("KUBECONFIG", folder.file("kubeconfig"));
    });
    ran.exits(0);
}

#[test]
fn errors_of_the_server_are_reported_with_advice() {
    // Bound and closed again: no process listens there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = Kubeconfig {
        url: format!("http://{}", listener.local_addr().expect("an address")),
        token: None,
        ca_pem: None,
    };
    drop(listener);
    let unauthorized = Api::start();
    unauthorized.server.faults().unauthorized(true);
    let forbidden = Api::start();
    forbidden.server.faults().forbid(vec![Forbid {
        resource: "endpointslices".to_owned(),
        verb: "*".to_owned(),
    }]);
    let (services, slices) = ("services", "endpointslices.discovery.k8s.io");
    for (kubeconfig, resource, problem, advice) in [
        (
            closed,
            services,
            "Connection refused",
            "check that the API server runs",
        ),
        (
            unauthorized.server.kubeconfig(),
            services,
            "401 Unauthorized; ",
            "check the credentials",
        ),
        (
            forbidden.server.kubeconfig(),
            slices,
            "403 endpointslices.discovery.k8s.io is forbidden",
            "a ClusterRole",
        ),
    ] {
        let run = folder(&kubeconfig).run(&format!("{DIFF} live.txt"));
        let ran = run.exits(2);
        assert_eq!(ran.out, "", "{problem}");
        let start = format!("error: failed to list {resource} at {}: ", kubeconfig.url);
        assert!(ran.err.starts_with(&start), "{}", ran.err);
        assert!(ran.err.contains(problem), "{}", ran.err);
        assert!(ran.err.contains(advice), "{}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
}

#[test]
fn missing_kubeconfig_is_an_error() {
    let folder = Folder::new().with("live.txt", SHOP_TABLES);
    let ran = folder.run("diff --node node1 --live live.txt").exits(2);
    assert!(
        (ran.err).starts_with("error: no objects to read: give -f PATH or --kubeconfig FILE: "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("KUBECONFIG is not set"), "{}", ran.err);
}

#[test]
fn unreadable_kubeconfig_is_an_error() {
    let folder = Folder::new().with("live.txt", SHOP_TABLES);
    let ran = folder
        .run("diff --kubeconfig gone --node node1 --live live.txt")
        .exits(2);
    assert!(
        ran.err.contains("failed to use the kubeconfig gone: "),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("no objects to read"), "{}", ran.err);
}
