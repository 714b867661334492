//! `ipvsctl diff` against an API server.

use std::net::TcpListener;

use apiserver::{Forbid, Kubeconfig, Server, ServerConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::desk::{Desk, SHOP, SHOP_TABLES};

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

    fn desk(&self) -> Desk {
        desk(&self.server.kubeconfig())
    }
}

fn desk(kubeconfig: &Kubeconfig) -> Desk {
    let desk = Desk::new()
        .with("live.txt", SHOP_TABLES)
        .with("empty.txt", "# ipvs\n# addresses\n");
    let written = kubeconfig.write(&desk.file("kubeconfig"));
    written.expect("a kubeconfig");
    desk
}

const DIFF: &str = "diff --kubeconfig kubeconfig --node node1 --live";

#[test]
fn diff_reads_a_cluster() {
    let api = Api::start();
    let desk = api.desk();
    let ran = desk.run(&format!("{DIFF} live.txt")).exits(0);
    assert_eq!(ran.out, "Plan: 0 to add, 0 to change, 0 to delete\n");
    desk.run(&format!("{DIFF} empty.txt")).exits(1);
}

#[test]
fn kubeconfig_of_the_environment_is_used() {
    let api = Api::start();
    let desk = api.desk();
    let ran = desk.run_with("diff --node node1 --live live.txt", |command| {
        command.env("KUBECONFIG", desk.file("kubeconfig"));
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
        let run = desk(&kubeconfig).run(&format!("{DIFF} live.txt"));
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
    let desk = Desk::new().with("live.txt", SHOP_TABLES);
    let ran = desk.run("diff --node node1 --live live.txt").exits(2);
    assert!(
        (ran.err).starts_with("error: no objects to read: give -f PATH or --kubeconfig FILE: "),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("KUBECONFIG is not set"), "{}", ran.err);
}

#[test]
fn unreadable_kubeconfig_is_an_error() {
    let desk = Desk::new().with("live.txt", SHOP_TABLES);
    let ran = desk
        .run("diff --kubeconfig gone --node node1 --live live.txt")
        .exits(2);
    assert!(
        ran.err.contains("failed to use the kubeconfig gone: "),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("no objects to read"), "{}", ran.err);
}
