//! Audits of tables that are read in slices.

use ipvs::{RealServer, Scheduler, VirtualServer};

use super::*;
use crate::slices::SLICE;

/// A number of Services that needs three slices.
const SERVICES: u16 = 600;

const READING: Duration = Duration::from_millis(100);

/// Returns a synced node with [`SERVICES`] Services of one endpoint each. Readings take [`READING`]
/// from now on.
fn large_node() -> Node {
    let mut node = Node::new(config());
    node.list((0..SERVICES).flat_map(|number| {
        let [high, low] = number.to_be_bytes();
        let name = format!("web-{number}");
        let of = |name: &str| ObjectName::new("default", name);
        let service = fixtures::service(of(&name), [10, 96, high, low]);
        let endpoints = fixtures::endpoints([[10, 1, high, low]]);
        let slice = fixtures::slice(of(&format!("{name}-1")), &name, endpoints);
        [Object::Service(service), Object::EndpointSlice(slice)]
    }));
    assert!(node.reconciler.is_settled());
    node.reports.clear();
    node.reading = READING;
    node
}

fn key(number: u16) -> VirtualServerKey {
    let [high, low] = number.to_be_bytes();
    fixtures::server_key([10, 96, high, low], 80, Protocol::Tcp)
}

fn real(node: &Node, key: VirtualServerKey) -> RealServer {
    let tables = node.kernel.tables();
    *tables.virtual_servers[&key]
        .real_servers
        .values()
        .next()
        .expect("one real server")
}

impl Node {
    /// Advances the clock to the next task and runs it. Returns the length of the wait.
    fn rest(&mut self) -> Duration {
        let next = self.reconciler.poll_timeout().expect("a task is scheduled");
        let rested = next.saturating_duration_since(self.now);
        self.pass(rested);
        rested
    }

    /// Runs tasks until a sync of this trigger ends. Returns the time until then.
    fn until(&mut self, trigger: Trigger) -> Duration {
        let began = self.now;
        for _ in 0..20 {
            self.reports
                .retain(|report| !matches!(report, Report::Synced { .. }));
            self.rest();
            let ended = |report: &Report| matches!(report, Report::Synced { trigger: ended, .. } if *ended == trigger);
            if self.reports.iter().any(ended) {
                return self.now - began;
            }
        }
        panic!("no sync of trigger {trigger:?}");
    }

    fn take_audited(&mut self) -> bool {
        let before = self.reports.len();
        self.reports
            .retain(|report| !matches!(report, Report::Audited));
        self.reports.len() < before
    }

    fn repairs(&self) -> Vec<String> {
        let drift = |report: &Report| match report {
            Report::Drift(planned) => Some(planned.op.to_string()),
            _ => None,
        };
        self.reports.iter().filter_map(drift).collect()
    }

    fn check_is_repaired(&self, drifts: &[&str]) {
        assert_eq!(self.repairs(), drifts);
        assert_eq!(self.failures(), 0, "{:?}", self.reports);
        let desired = &self.reconciler.desired().tables;
        assert_eq!(
            self.kernel.tables().virtual_servers,
            desired.virtual_servers
        );
    }
}

#[test]
fn slices_use_less_than_a_hundredth_of_the_time() {
    let mut node = large_node();
    let ops = node.kernel.counts().ops;
    node.until(Trigger::AuditSlice);
    for slice in 2..=3 {
        assert!(!node.take_audited());
        let rested = node.until(Trigger::AuditSlice);
        // Lists run in between. Their time does not count for the slices.
        assert!(
            rested >= READING * 124 && rested <= READING * 140,
            "{slice}: {rested:?}"
        );
    }
    assert!(node.take_audited(), "600 are three slices of {SLICE}");
    assert_eq!(node.kernel.counts().ops, ops);
}

#[test]
fn a_round_of_slices_takes_at_least_a_period() {
    let mut node = large_node();
    node.reading = Duration::from_millis(1);
    node.until(Trigger::AuditSlice);
    let began = node.now - node.reading;
    node.until(Trigger::AuditSlice);
    node.until(Trigger::AuditSlice);
    assert!(node.take_audited());
    node.until(Trigger::AuditSlice);
    assert!(node.now - node.reading >= began + config().sync_period);
}

#[test]
fn lists_run_each_period_beside_slices() {
    let mut node = large_node();
    node.reading = Duration::from_millis(5);
    for _ in 0..20 {
        let waited = node.until(Trigger::Audit);
        assert!(
            waited <= config().sync_period + Duration::from_secs(1),
            "{waited:?}"
        );
    }
}

/// Simulates a process or a machine that was stopped during a reading.
#[test]
fn a_slow_reading_delays_the_next_by_at_most_a_minute() {
    for trigger in [Trigger::Audit, Trigger::AuditSlice] {
        let mut node = large_node();
        node.reading = Duration::from_millis(3);
        node.next_reading = Some(Duration::from_secs(600));
        node.until(trigger);
        assert!(node.until(Trigger::AuditSlice) <= Duration::from_secs(61));
        let waited = node.until(Trigger::Audit);
        assert!(waited <= Duration::from_secs(61), "{waited:?}");
    }
}

#[test]
fn a_small_table_is_read_completely() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.reading = Duration::from_millis(10);
    for _ in 0..3 {
        node.until(Trigger::Audit);
        assert!(node.take_audited());
    }
}

#[test]
fn a_slice_finds_foreign_changes_of_real_servers() {
    let mut node = large_node();
    node.until(Trigger::AuditSlice);
    let last = key(SERVICES - 1);
    let changed = RealServer {
        weight: 7,
        ..real(&node, last)
    };
    node.foreign(&Op::SetRealServer(last, changed));
    node.until(Trigger::AuditSlice);
    assert_eq!(node.drifts(), 0, "the third slice has not run yet");
    node.until(Trigger::AuditSlice);
    let address = changed.key.address;
    node.check_is_repaired(&[&format!("change real server {address}:8080 of {last}")]);
}

#[test]
fn the_list_finds_foreign_changes_of_virtual_servers() {
    let mut node = large_node();
    let tables = node.kernel.tables();
    let changed = VirtualServer {
        scheduler: Scheduler("wrr".into()),
        ..tables.virtual_servers[&key(3)].server.clone()
    };
    node.foreign(&Op::SetVirtualServer(changed));
    node.foreign(&Op::DelVirtualServer(key(500)));
    // An undesired virtual server at an address that is ours.
    let strange = fixtures::server_key([10, 96, 0, 9], 81, Protocol::Tcp);
    let server = VirtualServer {
        key: strange,
        ..tables.virtual_servers[&key(9)].server.clone()
    };
    node.foreign(&Op::AddVirtualServer(server));
    node.foreign(&Op::AddRealServer(strange, real(&node, key(9))));
    node.until(Trigger::Audit);
    node.check_is_repaired(&[
        &format!("change virtual server {}", key(3)),
        &format!("add virtual server {}", key(500)),
        &format!("add real server 10.1.1.244:8080 to {}", key(500)),
        &format!("delete virtual server {strange}"),
    ]);
}

#[test]
fn cluster_changes_are_applied_between_slices() {
    let mut node = large_node();
    node.until(Trigger::AuditSlice);
    node.delete_service("web-599");
    assert!(node.rest() < Duration::from_millis(20));
    assert!(!node.kernel.tables().virtual_servers.contains_key(&key(599)));
    node.until(Trigger::AuditSlice);
    node.until(Trigger::AuditSlice);
    assert!(node.take_audited());
    node.check_is_repaired(&[]);
}

#[test]
fn a_failed_list_is_retried_soon() {
    let mut node = large_node();
    node.until(Trigger::Audit);
    node.reading = Duration::ZERO;
    node.pass(Duration::from_secs(27));
    node.kernel.fail_observations(1);
    let waited = node.until(Trigger::Audit);
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}
