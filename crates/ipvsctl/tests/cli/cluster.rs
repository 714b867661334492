//! `ipvsctl diff` against an API server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::desk::{Desk, SHOP, SHOP_TABLES};
use serde_json::{Value, json};

/// Starts an API server with the answers of `answer` on a free port. It runs until the test ends.
fn server(answer: impl Fn(&str) -> (u16, Value) + Send + Sync + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(&stream, answer));
        }
    });
    format!("http://{address}")
}

fn serve(stream: &TcpStream, answer: impl Fn(&str) -> (u16, Value)) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut length = 0;
        let mut header = String::new();
        while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
            let lower = header.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            header.clear();
        }
        let _ = reader.by_ref().take(length).read_to_end(&mut Vec::new());
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = answer(target.split('?').next().unwrap_or_default());
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

/// Lists the objects of [`SHOP`] as an API server does.
fn shop(path: &str) -> (u16, Value) {
    let objects = |kind: &str| -> Vec<Value> {
        SHOP.split("\n---\n")
            .map(|text| serde_saphyr::from_str::<Value>(text).expect("YAML"))
            .filter(|object| object["kind"] == kind)
            .collect()
    };
    let list = |api_version: &str, kind: &str| {
        json!({
            "apiVersion": api_version, "kind": format!("{kind}List"),
            "metadata": {"resourceVersion": "7"}, "items": objects(kind),
        })
    };
    match path {
        "/api/v1/services" => (200, list("v1", "Service")),
        "/api/v1/nodes" => (200, list("v1", "Node")),
        "/apis/discovery.k8s.io/v1/endpointslices" => {
            (200, list("discovery.k8s.io/v1", "EndpointSlice"))
        }
        "/apis/discovery.k8s.io/v1" => {
            let resource = json!({
                "name": "endpointslices", "singularName": "endpointslice", "namespaced": true,
                "kind": "EndpointSlice", "verbs": ["list", "watch"],
            });
            let list = json!({
                "apiVersion": "v1", "kind": "APIResourceList",
                "groupVersion": "discovery.k8s.io/v1", "resources": [resource],
            });
            (200, list)
        }
        _ => refusal(
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
    }
}

fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
    .to_string()
}

fn desk(server: &str) -> Desk {
    Desk::new()
        .with("kubeconfig", &kubeconfig(server))
        .with("live.txt", SHOP_TABLES)
        .with("empty.txt", "# ipvs\n# addresses\n")
}

const DIFF: &str = "diff --kubeconfig kubeconfig --node node1 --live";

#[test]
fn diff_reads_a_cluster() {
    let desk = desk(&server(shop));
    let ran = desk.run(&format!("{DIFF} live.txt")).exits(0);
    assert_eq!(ran.out, "Plan: 0 to add, 0 to change, 0 to delete\n");
    desk.run(&format!("{DIFF} empty.txt")).exits(1);
}

#[test]
fn kubeconfig_of_the_environment_is_used() {
    let desk = desk(&server(shop));
    let ran = desk.run_with("diff --node node1 --live live.txt", |command| {
        command.env("KUBECONFIG", desk.file("kubeconfig"));
    });
    ran.exits(0);
}

#[test]
fn unreachable_server_is_an_error() {
    // Bound and closed again: no process listens there.
    let address = (TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr())
    .expect("an address");
    let ran = desk(&format!("http://{address}"))
        .run(&format!("{DIFF} live.txt"))
        .exits(2);
    assert_eq!(ran.out, "");
    let start = format!("error: failed to list services at http://{address}: ");
    assert!(ran.err.starts_with(&start), "{}", ran.err);
    assert!(ran.err.contains("Connection refused"), "{}", ran.err);
    assert!(
        ran.err.contains("check that the API server runs"),
        "{}",
        ran.err
    );
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn rejected_credentials_are_an_error() {
    let server = server(|_| refusal(401, "Unauthorized", "Unauthorized"));
    let ran = desk(&server).run(&format!("{DIFF} live.txt")).exits(2);
    assert!(
        (ran.err).starts_with(&format!(
            "error: failed to list services at {server}: 401 Unauthorized; "
        )),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("check the credentials"), "{}", ran.err);
}

#[test]
fn missing_permission_is_an_error() {
    let server = server(|path| match path {
        "/apis/discovery.k8s.io/v1/endpointslices" => refusal(
            403,
            "Forbidden",
            "endpointslices.discovery.k8s.io is forbidden: User \"x\" cannot list resource",
        ),
        path => shop(path),
    });
    let ran = desk(&server).run(&format!("{DIFF} live.txt")).exits(2);
    assert_eq!(ran.out, "");
    assert!(
        ran.err
            .contains(": 403 endpointslices.discovery.k8s.io is forbidden"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("a ClusterRole"), "{}", ran.err);
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
