//! Services that are too large for one sync, beside others.

use std::net::IpAddr;

use model::plan::Summary;

use super::*;

/// Maximum number of ops in one sync.
const OPS: usize = 1_024;

impl Node {
    /// Advances the clock to the next sync and runs it.
    fn sync(&mut self) {
        let next = self.reconciler.poll_timeout().expect("a sync is scheduled");
        self.now = self.now.max(next);
        self.handle(Event::Timeout);
    }

    /// Returns true if Service `web` has this endpoint.
    fn serves(&self, endpoint: [u8; 4]) -> bool {
        let desired = self.reconciler.desired();
        let web = desired.tables.virtual_servers.values().next();
        let key = web.expect("web has the lowest key").server.key;
        let live = self.reconciler.live().expect("the tables were read");
        let real_servers = live.tables.virtual_servers[&key].real_servers.values();
        let mut weights = real_servers.filter(|real| real.key.address == IpAddr::from(endpoint));
        weights.any(|real| real.weight > 0)
    }

    /// Returns the number of ops of each sync so far.
    fn syncs(&self) -> Vec<usize> {
        let ops = |report: &Report| match report {
            Report::Synced { summary, .. } => {
                let Summary {
                    add,
                    change,
                    delete,
                } = summary;
                Some(add + change + delete)
            }
            _ => None,
        };
        self.reports.iter().filter_map(ops).collect()
    }

    /// Panics if the kernel differs from the desired tables. Does not print them, since they are
    /// too long.
    fn assert_large_desired(&self) {
        assert!(self.reconciler.is_settled());
        let live = self.kernel.tables();
        let desired = &self.reconciler.desired().tables;
        assert!(live.virtual_servers == desired.virtual_servers);
        assert!(live.addresses == desired.addresses);
        assert!(live.sets == desired.sets);
    }

    /// Panics if a sync had too many ops. Returns the number of syncs.
    fn assert_limited(&self) -> usize {
        let syncs = self.syncs();
        assert!(syncs.iter().all(|ops| *ops <= OPS), "{syncs:?}");
        syncs.len()
    }
}

/// Returns a Service with 8,000 virtual servers.
fn large(name: &str, third: u8) -> Object {
    let address = |last: u8| Parsed::Valid(IpAddr::from([198, 51, third, last]));
    Object::Service(Service {
        external_ips: (1..80).map(address).collect(),
        ports: (1..=100)
            .map(|number| fixtures::service_port(&format!("p{number}"), number, Protocol::Tcp))
            .collect(),
        ..fixtures::service(ObjectName::new("default", name), [10, 96, 1, third])
    })
}

fn endpoints(count: u16) -> Vec<[u8; 4]> {
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        [10, 1, high, low]
    };
    (1..=count).map(address).collect()
}

#[test]
fn large_services_are_written_in_parts_beside_other_changes() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    for number in 0..3 {
        node.upsert(large(&format!("large-{number}"), number));
    }
    assert_eq!(
        node.reconciler.large_services(),
        0,
        "their size is not known yet"
    );
    node.pass(Duration::from_millis(10));
    for number in 2..20 {
        node.cluster(slice(&[[10, 1, 0, number]]));
        let began = node.now;
        // A sync may be running when the change is due. The sync of the change follows it.
        while node.now < began + Duration::from_millis(10) {
            node.sync();
        }
        node.sync();
        node.sync();
        assert!(node.serves([10, 1, 0, number]), "endpoint {number}");
    }
    while !(node.reconciler.is_settled() && node.reconciler.drains().is_empty()) {
        node.sync();
    }
    node.assert_large_desired();
    assert!(node.virtual_servers() > 24_000);
    let syncs = node.assert_limited();
    assert!(syncs > 24_000 / OPS, "{syncs}");
}

#[test]
fn continuous_changes_do_not_starve_a_large_service() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(large("large", 1));
    let mut number = 0;
    while node.virtual_servers() < 8_000 {
        // Another Service changes continuously.
        number += 1;
        assert!(number < 200, "the large Service is never compiled");
        node.cluster(slice(&[[10, 1, 0, number]]));
        node.sync();
    }
}

#[test]
fn deleting_a_large_service_leaves_no_unmarked_server() {
    let mut node = Node::new(config());
    node.list([Object::Service(web()), large("large", 1)]);
    node.assert_large_desired();
    node.reports.clear();
    node.delete_service("large");
    node.sync();
    while !node.reconciler.is_settled() {
        let live = node.kernel.snapshot();
        let mut servers = live.tables.virtual_servers.keys();
        let unmarked = servers.find(|key| !planner::is_marked(&live, **key));
        assert_eq!(unmarked, None);
        node.sync();
    }
    node.assert_large_desired();
    assert_eq!(node.virtual_servers(), 1);
    node.assert_limited();
}

#[test]
fn ten_thousand_endpoints_are_added_and_deleted_in_parts() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    for count in [10_000, 1] {
        node.cluster(slice(&endpoints(count)));
        node.sync();
        while !node.reconciler.is_settled() {
            node.sync();
        }
        let real_servers = node.real_servers();
        let serve = real_servers.iter().filter(|line| line.ends_with("-w 1"));
        assert_eq!(serve.count(), usize::from(count));
    }
    node.assert_limited();
}

/// An audit compares everything, including pending entries. Their differences are not drift, and
/// the ops of the audit are limited too.
#[test]
fn pending_entries_are_not_drift() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(large("large", 1));
    node.pass(Duration::from_millis(9));
    node.sync();
    node.sync();
    assert!(node.reconciler.pending_entries() > OPS);
    // A foreign address on the dummy device is a reason to read.
    node.foreign(&Op::AddAddress([192, 0, 2, 1].into()));
    let config = Box::new(config());
    node.handle(Event::Configured(config));
    while !node.reconciler.is_settled() {
        node.sync();
    }
    node.assert_large_desired();
    assert_eq!(node.drifts(), 1);
    node.assert_limited();
}

/// A failed entry is retried by its own task, however much of it is still pending.
#[test]
fn a_failure_within_a_part_waits_for_its_retry() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let rule = FaultRule::refuse(Part::RealServers, OpErrorKind::Invalid);
    let _ = node.kernel.hold(rule);
    node.cluster(slice(&endpoints(10_000)));
    let before = node.kernel.counts().ops;
    let end = node.now + Duration::from_secs(60);
    while node.now < end {
        node.sync();
    }
    let tried = node.kernel.counts().ops - before;
    assert!(tried > 4 * OPS as u64, "{tried} ops");
    assert!(tried < 40 * OPS as u64, "{tried} ops");
    node.kernel.clear_faults();
    while !(node.reconciler.is_settled() && node.reconciler.drains().is_empty()) {
        node.sync();
    }
    node.assert_large_desired();
}
