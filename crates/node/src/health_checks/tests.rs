//! Tests of health-check node ports on real sockets.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::frontend::HealthCheck;
use model::names::ObjectName;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use super::{HealthChecks, ListenFailure, ListenOn, Wanted};
use crate::http::Limits;
use crate::http::tests::{free_port, pool};

struct Node {
    runtime: Runtime,
    checks: HealthChecks,
    healthy: Arc<AtomicBool>,
}

impl Node {
    fn new() -> Self {
        let healthy = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&healthy);
        let proxy_healthy = Arc::new(move || asked.load(Ordering::Relaxed));
        Self {
            runtime: Runtime::new().expect("a runtime"),
            checks: HealthChecks::new(proxy_healthy, Limits::default(), pool(256), 64),
            healthy,
        }
    }

    fn update(&mut self, wanted: &Wanted) -> Vec<ListenFailure> {
        self.runtime.block_on(self.checks.update(wanted))
    }

    fn update_well(&mut self, wanted: &Wanted) {
        let failures = self.update(wanted);
        assert!(failures.is_empty(), "{failures:?}");
    }
}

fn wanted(listen_on: ListenOn, checks: &[(&str, u16, usize)]) -> Wanted {
    let check = |(name, port, local_endpoints): &(&str, u16, usize)| {
        let check = HealthCheck {
            port: NonZeroU16::new(*port).expect("a port"),
            local_endpoints: *local_endpoints,
            families: BTreeSet::new(),
        };
        (ObjectName::new("shop", *name), check)
    };
    Wanted {
        listen_on,
        checks: checks.iter().map(check).collect(),
    }
}

fn everywhere(checks: &[(&str, u16, usize)]) -> Wanted {
    wanted(ListenOn::Everywhere, checks)
}

/// Returns the answer without its date, or `None` if no server listens.
fn ask(address: impl Into<IpAddr>, port: u16) -> Option<String> {
    let address = SocketAddr::new(address.into(), port);
    let mut stream = TcpStream::connect(address).ok()?;
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).expect("a time limit");
    write!(stream, "GET /any/path HTTP/1.1\r\nHost: node\r\n\r\n").expect("it is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let lines = text.split_inclusive("\r\n");
    Some(lines.filter(|line| !line.starts_with("date: ")).collect())
}

/// Returns the answer for Service shop/`name`.
fn answer(status: &str, name: &str, count: usize, healthy: bool) -> Option<String> {
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"{name}\"\n\t}},\n\
         \t\"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
    );
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n\
         x-load-balancing-endpoint-weight: {count}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";

#[test]
fn a_node_without_endpoints_or_with_an_unhealthy_proxy_is_unavailable() {
    let (mut node, port) = (Node::new(), free_port());
    for (status, endpoints, healthy) in [
        (OK, 3, true),
        (UNAVAILABLE, 0, true),
        (UNAVAILABLE, 2, false),
    ] {
        node.healthy.store(healthy, Ordering::Relaxed);
        node.update_well(&everywhere(&[("web", port, endpoints)]));
        let expected = answer(status, "web", endpoints, healthy);
        let got = ask(Ipv4Addr::LOCALHOST, port);
        assert_eq!(got, expected, "{endpoints} endpoints, healthy: {healthy}");
    }
}

#[test]
fn one_port_serves_both_families() {
    // Deviation D18.
    let (mut node, port) = (Node::new(), free_port());
    node.update_well(&everywhere(&[("web", port, 1)]));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), answer(OK, "web", 1, true));
    assert_eq!(ask(Ipv6Addr::LOCALHOST, port), answer(OK, "web", 1, true));
}

#[test]
fn a_new_count_keeps_the_listener() {
    let (mut node, port) = (Node::new(), free_port());
    node.update_well(&everywhere(&[("web", port, 2)]));
    // The connection is opened before the change and answered after it, by the same listener.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut open = TcpStream::connect(address).expect("a connection");
    node.update_well(&everywhere(&[("web", port, 5)]));
    write!(open, "GET / HTTP/1.0\r\n\r\n").expect("it is sent");
    let mut text = String::new();
    open.read_to_string(&mut text).expect("an answer");
    assert!(text.contains("\"localEndpoints\": 5"), "{text}");
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), answer(OK, "web", 5, true));
}

#[test]
fn a_deleted_service_closes_its_port() {
    let (mut node, port) = (Node::new(), free_port());
    node.update_well(&everywhere(&[("web", port, 2)]));
    assert_eq!(node.checks.len(), 1);
    node.update_well(&everywhere(&[]));
    assert!(node.checks.is_empty());
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), None);
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
}

#[test]
fn a_service_deleted_during_a_request_gets_an_empty_answer() {
    let (mut node, port) = (Node::new(), free_port());
    node.update_well(&everywhere(&[("web", port, 2)]));
    let mut open = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    open.write_all(b"GET / HTTP/1.0\r\n").expect("it is sent");
    // The listener has accepted the first connection once the second one is answered.
    ask(Ipv4Addr::LOCALHOST, port);
    node.update_well(&everywhere(&[]));
    open.write_all(b"\r\n").expect("it is sent");
    let mut text = String::new();
    open.read_to_string(&mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "no body: {text}");
}

#[test]
fn a_changed_port_closes_the_old_one() {
    let (mut node, first, second) = (Node::new(), free_port(), free_port());
    node.update_well(&everywhere(&[("web", first, 2)]));
    node.update_well(&everywhere(&[("web", second, 2)]));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, first), None);
    assert_eq!(ask(Ipv4Addr::LOCALHOST, second), answer(OK, "web", 2, true));
}

#[test]
fn two_services_may_swap_ports() {
    let (mut node, a, b) = (Node::new(), free_port(), free_port());
    for (web, api) in [(a, b), (b, a), (a, b), (b, a)] {
        node.update_well(&everywhere(&[("web", web, 1), ("api", api, 2)]));
        assert_eq!(ask(Ipv4Addr::LOCALHOST, web), answer(OK, "web", 1, true));
        assert_eq!(ask(Ipv6Addr::LOCALHOST, api), answer(OK, "api", 2, true));
    }
}

#[test]
fn only_the_given_addresses_are_served() {
    let (mut node, port) = (Node::new(), free_port());
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let addresses = |addresses: &[IpAddr]| {
        ListenOn::Addresses(addresses.iter().copied().collect::<BTreeSet<_>>())
    };
    let checks = [("web", port, 1)];
    let expected = answer(OK, "web", 1, true);
    let limited = [second.into(), Ipv6Addr::LOCALHOST.into()];
    node.update_well(&wanted(addresses(&limited), &checks));
    assert_eq!(ask(second, port), expected);
    assert_eq!(ask(Ipv6Addr::LOCALHOST, port), expected);
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), None);
    // The addresses of the node change.
    node.update_well(&wanted(addresses(&[Ipv4Addr::LOCALHOST.into()]), &checks));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), expected);
    assert_eq!(ask(second, port), None);
    node.update_well(&wanted(addresses(&[]), &checks));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), None);
}

#[test]
fn a_taken_port_is_reported_and_tried_again() {
    let (mut node, port) = (Node::new(), free_port());
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
    let both = everywhere(&[("web", port, 1), ("api", free_port(), 1)]);
    for _ in 0..2 {
        let failures = node.update(&both);
        assert_eq!(failures.len(), 1, "the other Service is served");
        assert_eq!(
            model::chain(&failures[0]).to_string(),
            format!(
                "failed to listen at [::]:{port} for the health check of Service shop/web: \
                 Address already in use (os error 98)"
            )
        );
        assert_eq!(failures[0].service, ObjectName::new("shop", "web"));
    }
    drop(other);
    node.update_well(&both);
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), answer(OK, "web", 1, true));
}

#[test]
fn one_taken_address_closes_the_others() {
    let (mut node, port) = (Node::new(), free_port());
    let second = Ipv4Addr::new(127, 0, 0, 2);
    let _other = TcpListener::bind((second, port)).expect("the port is free");
    let both = BTreeSet::from([Ipv4Addr::LOCALHOST.into(), second.into()]);
    let failures = node.update(&wanted(ListenOn::Addresses(both), &[("web", port, 1)]));
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].address, (second, port).into());
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), None);
}

#[test]
fn the_number_of_listeners_is_limited() {
    let (mut node, ports) = (Node::new(), [free_port(), free_port(), free_port()]);
    node.checks.max_listeners = 2;
    let [a, b, c] = ports;
    let all = everywhere(&[("a", a, 1), ("b", b, 1), ("c", c, 1)]);
    let failures = node.update(&all);
    assert_eq!(failures.len(), 1);
    assert_eq!(
        model::chain(&failures[0]).to_string(),
        format!(
            "failed to listen at [::]:{c} for the health check of Service shop/c: the daemon may have 2 listeners for \
             health checks, a quarter of its limit of open files"
        )
    );
    assert_eq!(ask(Ipv4Addr::LOCALHOST, a), answer(OK, "a", 1, true));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, c), None);
    // A closed listener makes room for another one.
    node.update_well(&everywhere(&[("a", a, 1), ("c", c, 1)]));
    assert_eq!(ask(Ipv4Addr::LOCALHOST, c), answer(OK, "c", 1, true));
}

#[test]
fn the_task_follows_the_desired_checks() {
    let port = free_port();
    let runtime = Runtime::new().expect("a runtime");
    let (sender, receiver) = watch::channel(Arc::new(Wanted::default()));
    let (failures, mut failed) = mpsc::channel(1);
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
    let task = runtime.spawn(super::run(
        receiver,
        Arc::new(|| true),
        pool(256),
        64,
        failures,
    ));
    let web = Arc::new(everywhere(&[("web", port, 1)]));
    sender.send_replace(Arc::clone(&web));
    let failure = runtime.block_on(failed.recv()).expect("a failure");
    assert_eq!(failure.address.port(), port);
    drop(other);
    sender.send_replace(web);
    let expected = answer(OK, "web", 1, true);
    let mut got = None;
    for _ in 0..200 {
        got = ask(Ipv4Addr::LOCALHOST, port);
        if got.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(got, expected);
    drop(sender);
    runtime.block_on(task).expect("it ends");
    assert_eq!(ask(Ipv4Addr::LOCALHOST, port), None);
}
