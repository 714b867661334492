//! Drains of real servers.

use super::*;
use crate::LostEntries;

/// Checks the last real server of `web` after 10.1.0.2 left with this many connections: at once,
/// after one second, and after the connections ended.
fn check_drain(connections: u32, expected: [&str; 3]) {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1], [10, 1, 0, 2]]);
    let count = |active| Connections {
        active,
        ..Connections::default()
    };
    // These connections appear after the last reading, so the cache does not contain them.
    (node.kernel).set_connections(web_key(), LEAVING, count(connections));
    let before = node.kernel.counts();
    node.cluster(slice(&[[10, 1, 0, 1]]));
    node.pass(Duration::from_millis(10));
    let after = node.kernel.counts();
    assert_eq!(
        after.observations, before.observations,
        "the weight needs no reading"
    );
    assert_eq!(after.ops, before.ops + 1);
    let last = |node: &Node| node.real_servers().last().cloned().unwrap_or_default();
    assert_eq!(last(&node), expected[0]);
    node.pass(Duration::from_secs(1));
    assert_eq!(last(&node), expected[1]);
    node.reports.clear();
    node.kernel.set_connections(web_key(), LEAVING, count(0));
    node.pass(Duration::from_secs(30));
    assert_eq!(last(&node), expected[2]);
    assert_eq!(node.drifts(), 0, "the end of a drain is not drift");
}

#[test]
fn a_leaving_real_server_gets_weight_0_and_is_deleted_after_a_later_reading() {
    let stays = "-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1";
    let drains = "-a -t 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 0";
    check_drain(1, [drains, drains, stays]);
    check_drain(0, [drains, stays, stays]);
}

/// A reading less than a second after the weight may miss a connection that is being created.
#[test]
fn a_reading_within_the_grace_time_ends_no_drain() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1], [10, 1, 0, 2]]);
    node.pass(Duration::from_millis(500));
    node.cluster(slice(&[[10, 1, 0, 1]]));
    node.pass(Duration::from_millis(10));
    node.pass(Duration::from_millis(800));
    // The device lost its addresses, so everything is read again at once.
    let lost = LostEntries {
        device: true,
        ..LostEntries::default()
    };
    let readings = node.kernel.counts().observations;
    node.handle(Event::Lost(lost));
    assert!(node.kernel.counts().observations > readings);
    assert_eq!(deletions(&node), 0);
    node.pass(Duration::from_millis(200));
    assert_eq!(deletions(&node), 1);
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let config = NodeConfig {
        drain_timeout: Duration::from_secs(60),
        ..config()
    };
    let mut node = leaving(config, 3, true);
    assert_eq!(node.reconciler.drains().len(), 1);
    for _ in 0..11 {
        node.pass(Duration::from_secs(5));
    }
    assert_eq!(deletions(&node), 0);
    node.pass(Duration::from_secs(5));
    assert_eq!(deletions(&node), 1);
    assert!(node.reconciler.drains().is_empty());
}

#[test]
fn a_drain_without_deadline_ends_with_its_connections() {
    let config = NodeConfig {
        drain_timeout: Duration::ZERO,
        ..config()
    };
    let mut node = leaving(config, 3, true);
    for _ in 0..1_000 {
        node.pass(Duration::from_secs(5));
    }
    assert_eq!(deletions(&node), 0);
    let none = Connections::default();
    node.kernel.set_connections(web_key(), LEAVING, none);
    node.pass(Duration::from_secs(5));
    assert_eq!(deletions(&node), 1);
}

#[test]
fn connections_are_counted_only_during_drains() {
    let mut node = leaving(config(), 0, true);
    node.pass(Duration::from_secs(1));
    assert_eq!(deletions(&node), 1);
    let readings = node.kernel.counts().observations;
    node.pass(Duration::from_secs(15));
    assert_eq!(node.kernel.counts().observations, readings);
}

#[test]
fn a_returning_endpoint_ends_its_drain_and_keeps_its_connections() {
    let mut node = leaving(config(), 3, true);
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
    node.pass(Duration::from_millis(10));
    assert!(node.reconciler.drains().is_empty());
    assert_eq!(
        node.real_servers().last().map(String::as_str),
        Some("-a -t 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 1")
    );
    let tables = node.kernel.snapshot();
    assert_eq!(tables.connections[&(web_key(), LEAVING)].active, 3);
}

#[test]
fn lost_endpoints_are_cut_if_configured() {
    for (cut, terminates, expected) in [
        (false, false, 0),
        (true, false, 1),
        // The terminating state gave its clients time to leave.
        (true, true, 0),
    ] {
        let config = NodeConfig {
            cut_lost_endpoints: cut,
            ..config()
        };
        let node = leaving(config, 3, terminates);
        assert_eq!(deletions(&node), expected, "{cut} {terminates}");
    }
}

#[test]
fn only_lost_endpoints_among_leaving_ones_are_cut() {
    let config = NodeConfig {
        cut_lost_endpoints: true,
        ..config()
    };
    let all: Vec<[u8; 4]> = (1..=9).map(|last| [10, 1, 0, last]).collect();
    let mut node = Node::with_web(config, &all);
    let mut slice = web_slice(&all);
    for endpoint in &mut slice.endpoints[3..6] {
        endpoint.ready = false;
        endpoint.terminating = true;
    }
    node.upsert(Object::EndpointSlice(slice));
    node.pass(Duration::from_millis(10));
    // All but the first three endpoints are removed. Three of the removed ones never terminated.
    node.cluster(super::slice(&all[..3]));
    node.pass(Duration::from_millis(10));
    let expected: Vec<String> = (1..=6)
        .map(|last| {
            let weight = u8::from(last <= 3);
            format!("-a -t 10.96.0.1:80 -r 10.1.0.{last}:8080 -m -w {weight}")
        })
        .collect();
    assert_eq!(node.real_servers(), expected);
}

#[test]
fn a_drain_continues_after_a_restart() {
    let before = leaving(config(), 3, true);
    let mut node = Node::new(config());
    node.kernel = before.kernel.clone();
    node.start(&[[10, 1, 0, 1]]);
    assert_eq!(deletions(&node), 0);
    assert_eq!(node.reconciler.drains().len(), 1);
    node.kernel
        .set_connections(web_key(), LEAVING, Connections::default());
    node.pass(Duration::from_secs(5));
    assert_eq!(deletions(&node), 1);
}

/// The reading of a drain shows changes of other programs, as an audit does.
#[test]
fn a_repair_during_a_drain_is_reported_as_drift() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1], [10, 1, 0, 2]]);
    node.cluster(slice(&[[10, 1, 0, 1]]));
    node.pass(Duration::from_millis(10));
    let stays = RealServerKey {
        address: [10, 1, 0, 1].into(),
        port: 8080,
    };
    node.foreign(&Op::DelRealServer(web_key(), stays));
    node.pass(Duration::from_secs(1));
    assert_eq!(
        node.real_servers(),
        ["-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1"]
    );
    assert_eq!(node.drifts(), 1);
}
