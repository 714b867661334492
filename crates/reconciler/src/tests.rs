mod audit;
mod beside_faults;
mod drains;
mod faults;
mod large;
mod udp_drains;
mod writers;

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use ipvs::{AddressFamily, Connections, Protocol, RealServerKey, VirtualServerKey};
use kernel::memory::{Fault, FaultRule, Part};
use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::cluster::{EndpointSlice, Parsed, Service};
use model::{ClusterEvent, NodeConfig, Object, ObjectKind, ObjectName, text};

use crate::{Column, Effect, Event, Reconciler, Report, Trigger};

/// A node with a simulated clock.
struct Node {
    kernel: MemoryKernel,
    reconciler: Reconciler,
    now: Instant,
    /// The duration of a reading.
    reading: Duration,
    /// Duration of the next reading, if it differs.
    next_reading: Option<Duration>,
    /// The duration of a stage of changes.
    writing: Duration,
    reports: Vec<Report>,
}

impl Node {
    fn new(config: NodeConfig) -> Self {
        let now = Instant::now();
        Self {
            kernel: MemoryKernel::new(),
            reconciler: Reconciler::new(config, 1, now),
            now,
            reading: Duration::ZERO,
            next_reading: None,
            writing: Duration::ZERO,
            reports: Vec::new(),
        }
    }

    /// Creates a synced node with Service `web` and these endpoints.
    fn with_web(config: NodeConfig, endpoints: &[[u8; 4]]) -> Self {
        let mut node = Self::new(config);
        node.start(endpoints);
        node.reports.clear();
        node
    }

    /// Completes the first lists with Service `web` and these endpoints.
    fn start(&mut self, endpoints: &[[u8; 4]]) {
        self.list([
            Object::Service(web()),
            Object::EndpointSlice(web_slice(endpoints)),
        ]);
    }

    /// Completes the first lists with these objects.
    fn list(&mut self, objects: impl IntoIterator<Item = Object>) {
        for event in fixtures::lists(objects) {
            self.cluster(event);
        }
    }

    /// Returns the number of the op that first writes IPv4 rules on an empty node.
    fn rules_op() -> u64 {
        let node = Self::with_web(config(), &[[10, 1, 0, 1]]);
        let desired = node.reconciler.desired();
        let own = planner::Ownership::new(&config());
        let plan = planner::diff(desired, &MemoryKernel::new().snapshot(), &own);
        let place = plan
            .ops()
            .position(|planned| matches!(planned.op, model::Op::PatchRules(..)));
        place.expect("the plan writes IPv4 rules") as u64
    }

    fn cluster(&mut self, event: ClusterEvent) {
        self.handle(Event::Cluster(event));
    }

    /// Advances the clock, then runs all tasks that are due, one after the other.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Timeout);
        let soon = self.now + Duration::from_millis(3);
        while let Some(at) = self.reconciler.poll_timeout().filter(|at| *at <= soon) {
            self.now = self.now.max(at);
            self.handle(Event::Timeout);
        }
    }

    fn handle(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.reconciler.handle(event, self.now) {
                match effect {
                    Effect::Observe(scope) => {
                        let answer = self.kernel.observe(&scope);
                        self.now += self.next_reading.take().unwrap_or(self.reading);
                        next = Some(Event::Observed(scope, answer));
                    }
                    Effect::Apply(stage) => {
                        let outcomes = self.kernel.apply(&stage);
                        self.now += self.writing;
                        next = Some(Event::Applied(stage, outcomes));
                    }
                    Effect::Report(report) => self.reports.push(report),
                }
            }
        }
    }

    fn real_servers(&self) -> Vec<String> {
        text::virtual_server_lines(&self.kernel.tables())
            .into_iter()
            .filter(|line| line.starts_with("-a"))
            .collect()
    }
}

fn web() -> Service {
    fixtures::service(ObjectName::new("default", "web"), [10, 96, 0, 1])
}

fn slice(endpoints: &[[u8; 4]]) -> ClusterEvent {
    ClusterEvent::Upsert(Object::EndpointSlice(web_slice(endpoints)))
}

fn web_slice(endpoints: &[[u8; 4]]) -> EndpointSlice {
    let name = ObjectName::new("default", "web-1");
    let endpoints = fixtures::endpoints(endpoints.iter().copied());
    fixtures::slice(name, "web", endpoints)
}

fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

#[test]
fn complete_lists_lead_to_one_sync() {
    let node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    assert!(node.reconciler.is_settled());
    let live = node.kernel.tables();
    let desired = &node.reconciler.desired().tables;
    assert_eq!(live.virtual_servers, desired.virtual_servers);
    assert_eq!(live.addresses, desired.addresses);
    assert_eq!(live.sets, desired.sets);
    assert_eq!(live.rules, desired.rules);
    assert_eq!(node.real_servers().len(), 1);
}

#[test]
fn changes_are_debounced() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let writes = node.kernel.counts().ops;
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 3]]));
    assert_eq!(node.kernel.counts().ops, writes, "too early");
    node.pass(Duration::from_millis(10));
    assert_eq!(node.kernel.counts().ops, writes + 1);
    assert_eq!(node.real_servers().len(), 2);
}

#[test]
fn continuous_changes_are_applied_within_the_debounce_limit() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let writes = node.kernel.counts().ops;
    for number in 2..=30 {
        node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, number]]));
        node.pass(Duration::from_millis(6));
        let applied = node.kernel.counts().ops > writes;
        let since_first = (u32::from(number) - 1) * 6;
        assert_eq!(applied, since_first >= 100, "endpoint {number}");
        if applied {
            return;
        }
    }
    panic!("nothing was applied");
}

#[test]
fn min_sync_period_spaces_syncs() {
    let config = NodeConfig {
        min_sync_period: Duration::from_secs(1),
        ..config()
    };
    let mut node = Node::with_web(config, &[[10, 1, 0, 1]]);
    node.cluster(slice(&[[10, 1, 0, 2]]));
    node.pass(Duration::from_millis(900));
    assert!(!node.reconciler.is_settled());
    node.pass(Duration::from_millis(100));
    assert!(node.reconciler.is_settled());
}

#[test]
fn an_unchanged_object_causes_no_sync() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.cluster(slice(&[[10, 1, 0, 1]]));
    assert!(node.reconciler.is_settled());
    assert!(node.reports.is_empty());
}

#[test]
fn a_failed_entry_is_read_and_retried() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
    node.pass(Duration::from_millis(10));
    assert!(matches!(
        node.reports[..],
        [
            Report::OpFailed(..),
            Report::Synced {
                trigger: Trigger::Change,
                failed: 1,
                ..
            }
        ]
    ));
    assert_eq!(node.real_servers().len(), 1);
    node.pass(Duration::from_millis(100));
    assert_eq!(node.real_servers().len(), 2);
    assert!(node.reconciler.is_settled());
}

#[test]
fn a_failure_delays_no_other_entry() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2], [10, 1, 0, 3]]));
    node.pass(Duration::from_millis(10));
    assert_eq!(node.real_servers().len(), 2);
}

/// Deleting the old endpoint would leave the Service without endpoints.
#[test]
fn an_old_real_server_stays_while_the_new_one_cannot_be_added() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 2]]));
    node.pass(Duration::from_millis(10));
    assert_eq!(node.real_servers().len(), 1);
    assert_eq!(
        node.real_servers(),
        ["-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1"],
        "the old endpoint still gets connections"
    );
    node.pass(Duration::from_millis(100));
    assert_eq!(
        node.real_servers(),
        [
            "-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 0",
            "-a -t 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 1"
        ]
    );
    node.pass(Duration::from_secs(1));
    assert_eq!(
        node.real_servers(),
        ["-a -t 10.96.0.1:80 -r 10.1.0.2:8080 -m -w 1"]
    );
}

/// The pause after a slow audit keeps readings rare. Slow writes of the first sync must not extend
/// it.
#[test]
fn slow_writes_do_not_delay_the_next_audit() {
    let mut node = Node::new(config());
    node.writing = Duration::from_secs(20);
    node.start(&[[10, 1, 0, 1]]);
    assert!(node.reconciler.has_synced());
    let due = node.reconciler.poll_timeout().unwrap();
    assert!(due <= node.now + config().sync_period);
}

#[test]
fn an_audit_runs_each_sync_period() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let readings = node.kernel.counts().observations;
    node.pass(Duration::from_secs(29));
    assert_eq!(node.kernel.counts().observations, readings);
    node.pass(Duration::from_secs(1));
    let columns = Column::ALL.len() as u64;
    assert_eq!(node.kernel.counts().observations, readings + columns);
}

#[test]
fn a_failed_reading_is_retried() {
    let mut node = Node::new(config());
    node.kernel.fail_observations(2);
    for kind in ObjectKind::ALL {
        node.cluster(ClusterEvent::ListDone(kind));
    }
    assert!(!node.reconciler.has_synced());
    node.pass(Duration::from_millis(100));
    node.pass(Duration::from_millis(200));
    assert!(node.reconciler.has_synced());
}

const LEAVING: RealServerKey = RealServerKey {
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 2)),
    port: 8080,
};

fn web_key() -> VirtualServerKey {
    VirtualServerKey::Address {
        address: [10, 96, 0, 1].into(),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

/// Returns a node whose endpoint 10.1.0.2 has `connections` and leaves. If `terminates` is true,
/// the endpoint terminates before it is removed.
fn leaving(config: NodeConfig, connections: u32, terminates: bool) -> Node {
    let mut node = Node::with_web(config, &[[10, 1, 0, 1], [10, 1, 0, 2]]);
    let count = Connections {
        active: connections,
        ..Connections::default()
    };
    node.kernel.set_connections(web_key(), LEAVING, count);
    if terminates {
        let mut slice = web_slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]);
        slice.endpoints[1].ready = false;
        slice.endpoints[1].terminating = true;
        node.cluster(ClusterEvent::Upsert(Object::EndpointSlice(slice)));
        node.pass(Duration::from_millis(10));
    }
    node.cluster(slice(&[[10, 1, 0, 1]]));
    node.pass(Duration::from_millis(10));
    node
}

/// Returns the number of real servers deleted so far.
fn deletions(node: &Node) -> usize {
    2 - node.real_servers().len()
}

#[test]
fn a_new_configuration_is_applied_at_once_and_is_not_drift() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let mut config = config();
    config.scheduler = ipvs::Scheduler("wrr".into());
    config.strict_arp = true;
    node.handle(Event::Configured(Box::new(config)));
    node.pass(Duration::from_millis(1));
    let tables = node.kernel.tables();
    assert!(
        tables
            .virtual_servers
            .values()
            .all(|entry| &*entry.server.scheduler.0 == "wrr")
    );
    assert_eq!(&*tables.sysctls["net.ipv4.conf.all.arp_ignore"], "1");
    assert!(!(node.reports.iter()).any(|report| matches!(report, Report::Drift(_))));
}

#[test]
fn a_new_node_address_is_served_at_once() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let mut service = web();
    service.kind = model::cluster::ServiceKind::NodePort;
    service.ports[0].node_port = NonZeroU16::new(30080).map(Parsed::Valid);
    node.cluster(ClusterEvent::Upsert(Object::Service(service)));
    node.pass(Duration::from_millis(10));
    let servers = |node: &Node| node.kernel.tables().virtual_servers.len();
    assert_eq!(servers(&node), 1);
    let mut state = node.kernel.snapshot().node;
    state.interfaces.push(model::snapshot::Interface {
        name: "eth0".into(),
        addresses: vec!["192.0.2.1/24".parse().expect("a network")],
    });
    node.kernel.set_node(state);
    node.handle(Event::NodeChanged);
    node.pass(Duration::from_millis(1));
    assert_eq!(servers(&node), 2);
    assert!(!(node.reports.iter()).any(|report| matches!(report, Report::Drift(_))));
}

#[test]
fn an_external_finding_is_reported_once_and_stays() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let finding = model::Finding {
        code: model::Code::OtherModesLeftovers,
        kind: "Node",
        object: ObjectName::new("", "node1"),
        field: String::new(),
        problem: "3 chains".to_owned(),
        consequence: "they act".to_owned(),
    };
    node.handle(Event::Found(finding.clone()));
    node.handle(Event::Found(finding.clone()));
    node.pass(Duration::from_secs(60));
    let told = (node.reports.iter())
        .filter(|report| matches!(report, Report::FindingRaised(told) if *told == finding))
        .count();
    assert_eq!(told, 1);
    assert!(node.reconciler.findings().contains(&finding));
    node.handle(Event::Gone(finding.clone()));
    let cleared =
        |report: &Report| matches!(report, Report::FindingCleared(cleared) if *cleared == finding);
    assert!(node.reports.iter().any(cleared));
    assert!(!node.reconciler.findings().contains(&finding));
}

#[test]
fn deleted_set_entries_and_rules_are_restored() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let tables = node.kernel.tables();
    let set = model::sets::SetKind::ClusterIp.name(AddressFamily::Ipv4);
    let entry = *tables.sets[&set].entries.first().expect("an entry");
    let op = model::Op::DelEntry(set, entry);
    node.kernel.foreign(&op).expect("it is there");
    node.pass(Duration::from_secs(30));
    assert_eq!(node.kernel.tables(), tables);
    assert!((node.reports.iter()).any(|report| matches!(report, Report::Drift(_))));
}

/// Without rules a virtual server would be open to every client.
#[test]
fn no_new_virtual_server_while_rules_cannot_be_written() {
    let mut node = Node::new(config());
    let rules = Node::rules_op();
    node.kernel
        .inject(rules, Fault::Refuse(OpErrorKind::FilterRefused));
    node.start(&[[10, 1, 0, 1]]);
    assert!(node.kernel.tables().virtual_servers.is_empty());
    node.pass(Duration::from_millis(200));
    node.pass(Duration::from_millis(1));
    assert_eq!(node.kernel.tables().virtual_servers.len(), 1);
}

/// The retries of the virtual server and of the rules run at different times.
#[test]
fn no_new_virtual_server_during_repeated_rule_failures() {
    let mut node = Node::new(config());
    let rules = Part::Rules(AddressFamily::Ipv4);
    let held = (node.kernel).hold(FaultRule::refuse(rules, OpErrorKind::FilterRefused));
    node.start(&[[10, 1, 0, 1]]);
    for _ in 0..200 {
        node.pass(Duration::from_millis(50));
        assert!(node.kernel.tables().virtual_servers.is_empty());
    }
    node.kernel.release(held);
    node.pass(Duration::from_secs(30));
    node.pass(Duration::from_millis(1));
    assert_eq!(node.kernel.tables().virtual_servers.len(), 1);
}

/// A container without privileges, or another network namespace, refuses writes of settings.
#[test]
fn a_setting_that_cannot_be_written_is_reported_once() {
    let mut node = Node::new(config());
    node.kernel
        .inject(0, Fault::Refuse(OpErrorKind::ReadOnlySetting));
    node.start(&[[10, 1, 0, 1]]);
    assert!(node.reconciler.is_settled());
    assert_eq!(node.real_servers().len(), 1);
    let failures = |node: &Node| {
        let failed = |report: &&Report| matches!(report, Report::OpFailed(..));
        node.reports.iter().filter(failed).count()
    };
    assert_eq!(failures(&node), 1);
    node.pass(Duration::from_secs(90));
    assert_eq!(failures(&node), 1);
}

/// The name of a scheduler in a Service must not load a kernel module. Each Service gets the
/// configured scheduler.
#[test]
fn services_with_unknown_schedulers_are_served_with_the_configured_one() {
    let mut node = Node::new(config());
    let services = (0..200).map(|number: u8| {
        let name = ObjectName::new("default", format!("x{number}"));
        Object::Service(Service {
            scheduler: Some(format!("x{number}").into()),
            ..fixtures::service(name, [10, 96, 1, number])
        })
    });
    node.list(services);
    node.pass(Duration::from_millis(1));
    let tables = node.kernel.tables();
    assert_eq!(tables.virtual_servers.len(), 200);
    assert!((tables.virtual_servers.values()).all(|entry| &*entry.server.scheduler.0 == "rr"));
    let count =
        |like: fn(&Report) -> bool| node.reports.iter().filter(|report| like(report)).count();
    assert_eq!(count(|report| matches!(report, Report::OpFailed(..))), 0);
    let found = count(
        |report| matches!(report, Report::FindingRaised(finding) if finding.code == model::Code::InvalidScheduler),
    );
    assert_eq!(found, 200);
}
