//! Drains of UDP real servers (deviation D26).

use model::cluster::Endpoint;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const STAYS: &str = "-a -u 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1";
const SERVES: &str = "-a -u 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 1";
const DRAINS: &str = "-a -u 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 0";

fn dns_key() -> VirtualServerKey {
    fixtures::server_key([10, 96, 0, 1], 80, Protocol::Udp)
}

/// Returns a UDP Service and its slice with the ready endpoint 10.1.0.1 and, if present, `second`.
fn dns(protocol: Protocol, second: Option<Endpoint>) -> [Object; 2] {
    let mut service = web();
    service.ports[0].protocol = Parsed::Valid(protocol);
    let mut slice = web_slice(&[[10, 1, 0, 1]]);
    slice.endpoints.extend(second);
    slice.ports[0].protocol = Parsed::Valid(protocol);
    [Object::Service(service), Object::EndpointSlice(slice)]
}

fn ready() -> Endpoint {
    Endpoint::ready(Parsed::Valid([10, 1, 0, 2].into()))
}

/// Returns a terminating endpoint.
fn terminating(serving: bool) -> Endpoint {
    Endpoint {
        ready: false,
        serving,
        terminating: true,
        ..ready()
    }
}

fn follow(node: &mut Node, second: Option<Endpoint>) {
    let [_, slice] = dns(Protocol::Udp, second);
    node.upsert(slice);
    node.pass(Duration::from_millis(10));
}

/// Returns a node whose endpoint 10.1.0.2 has a flow.
fn node(config: NodeConfig) -> Node {
    let mut node = Node::new(config);
    node.list(dns(Protocol::Udp, Some(ready())));
    assert_eq!(node.real_servers(), [STAYS, SERVES]);
    set_flows(&mut node, 1);
    node.reports.clear();
    node
}

fn set_flows(node: &mut Node, inactive: u32) {
    let flows = Connections {
        inactive,
        ..Connections::default()
    };
    node.kernel.set_connections(dns_key(), LEAVING, flows);
}

#[test]
fn a_terminating_serving_endpoint_keeps_its_flows_until_the_deadline() {
    let mut node = node(config());
    follow(&mut node, Some(terminating(true)));
    for _ in 0..4 {
        assert_eq!(node.real_servers(), [STAYS, DRAINS]);
        assert_eq!(node.reconciler.drains().len(), 1);
        node.pass(SECOND);
    }
    assert_eq!(node.real_servers(), [STAYS, DRAINS]);
    node.pass(SECOND);
    assert_eq!(node.real_servers(), [STAYS]);
    assert!(node.reconciler.drains().is_empty());
    // The endpoint still terminates and is not added again.
    node.pass(60 * SECOND);
    assert_eq!(node.real_servers(), [STAYS]);
    assert_eq!(node.drifts(), 0);
}

#[test]
fn an_endpoint_without_flows_is_deleted_after_a_second() {
    let mut node = node(config());
    set_flows(&mut node, 0);
    follow(&mut node, Some(terminating(true)));
    assert_eq!(node.real_servers(), [STAYS, DRAINS]);
    node.pass(SECOND);
    assert_eq!(node.real_servers(), [STAYS]);
}

/// Checks the node after 10.1.0.2 terminated and became `second` during its drain.
fn check_change_during_drain(second: Option<Endpoint>, expected: &[&str]) {
    let mut node = node(config());
    follow(&mut node, Some(terminating(true)));
    node.pass(2 * SECOND);
    let readings = node.kernel.counts().observations;
    follow(&mut node, second);
    assert_eq!(node.real_servers(), expected);
    assert_eq!(node.kernel.counts().observations, readings, "no reading");
    assert!(node.reconciler.drains().is_empty());
    assert_eq!(node.drifts(), 0);
}

#[test]
fn an_endpoint_that_stops_serving_during_its_drain_is_deleted_at_once() {
    check_change_during_drain(Some(terminating(false)), &[STAYS]);
    check_change_during_drain(None, &[STAYS]);
}

#[test]
fn an_endpoint_that_returns_during_its_drain_gets_its_weight_back() {
    check_change_during_drain(Some(ready()), &[STAYS, SERVES]);
}

#[test]
fn an_endpoint_that_does_not_serve_is_deleted_at_once() {
    for second in [Some(terminating(false)), None] {
        let mut node = node(config());
        follow(&mut node, second);
        assert_eq!(node.real_servers(), [STAYS]);
    }
}

#[test]
fn without_a_drain_timeout_endpoints_are_deleted_at_once() {
    let config = NodeConfig {
        udp_drain_timeout: Duration::ZERO,
        ..config()
    };
    let mut node = node(config);
    follow(&mut node, Some(terminating(true)));
    assert_eq!(node.real_servers(), [STAYS]);
}

#[test]
fn a_new_drain_timeout_counts_from_the_start_of_the_drain() {
    let with = |seconds: u64| {
        Event::Configured(Box::new(NodeConfig {
            udp_drain_timeout: Duration::from_secs(seconds),
            ..config()
        }))
    };
    let mut node = node(config());
    follow(&mut node, Some(terminating(true)));
    node.handle(with(8));
    node.pass(7 * SECOND);
    assert_eq!(node.real_servers(), [STAYS, DRAINS]);
    node.pass(SECOND);
    assert_eq!(node.real_servers(), [STAYS]);

    let mut node = self::node(config());
    follow(&mut node, Some(terminating(true)));
    node.handle(with(0));
    node.pass(Duration::from_millis(10));
    assert_eq!(node.real_servers(), [STAYS]);
}

/// The kernel does not store the start of a drain.
#[test]
fn a_restart_restarts_the_drain() {
    for (second, kept) in [(Some(terminating(true)), true), (None, false)] {
        let mut before = node(config());
        follow(&mut before, Some(terminating(true)));
        before.pass(4 * SECOND);
        let mut node = Node::new(config());
        node.kernel = before.kernel.clone();
        node.list(dns(Protocol::Udp, second));
        let expected = [STAYS, DRAINS];
        assert_eq!(node.real_servers(), expected[..1 + usize::from(kept)]);
        node.pass(4 * SECOND);
        assert_eq!(node.real_servers(), expected[..1 + usize::from(kept)]);
        node.pass(SECOND);
        assert_eq!(node.real_servers(), [STAYS]);
    }
}

#[test]
fn a_refused_weight_keeps_no_endpoint_that_stopped_serving() {
    let mut node = node(config());
    let _refused = node.kernel.hold(FaultRule::Ops {
        part: Part::RealServers,
        effect: Some(model::plan::OpEffect::Change),
        fault: Fault::Refuse(OpErrorKind::Invalid),
    });
    follow(&mut node, Some(terminating(true)));
    assert_eq!(node.real_servers(), [STAYS, SERVES]);
    follow(&mut node, Some(terminating(false)));
    assert_eq!(node.real_servers(), [STAYS]);
}

#[test]
fn sctp_servers_are_deleted_at_once() {
    let sctp = Protocol::Sctp;
    let mut node = Node::new(config());
    node.list(dns(sctp, Some(ready())));
    assert_eq!(node.real_servers().len(), 2);
    let [_, slice] = dns(sctp, Some(terminating(true)));
    node.upsert(slice);
    node.pass(Duration::from_millis(10));
    assert_eq!(node.real_servers().len(), 1);
}
