mod audit;
mod beside_faults;
mod checks;
mod drains;
mod faults;
mod large;
mod slow_start;
mod sync_daemons;
mod udp_drains;
mod writers;

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use ipvs::{AddressFamily, Connections, Protocol, RealServerKey, VirtualServerKey};
use kernel::memory::{Fault, FaultRule, Part};
use kernel::{Kernel as _, MemoryKernel, OpErrorKind};
use model::cluster::{EndpointSlice, Parsed, Service};
use model::{ClusterEvent, NodeConfig, NodeState, Object, ObjectKind, ObjectName, Op, text};

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

    fn cluster(&mut self, event: ClusterEvent) {
        self.handle(Event::Cluster(event));
    }

    fn upsert(&mut self, object: Object) {
        self.cluster(ClusterEvent::Upsert(object));
    }

    fn delete_service(&mut self, name: &str) {
        let name = ObjectName::new("default", name);
        self.cluster(ClusterEvent::Delete(ObjectKind::Service, name));
    }

    /// Changes the kernel as another program does.
    fn foreign(&self, op: &Op) {
        self.kernel.foreign(op).expect("it is done");
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

    fn virtual_servers(&self) -> usize {
        self.kernel.tables().virtual_servers.len()
    }

    /// Returns the number of reports that `like` selects.
    fn count(&self, like: impl Fn(&Report) -> bool) -> usize {
        self.reports.iter().filter(|report| like(report)).count()
    }

    /// Returns the number of failed ops.
    fn failures(&self) -> usize {
        self.count(|report| matches!(report, Report::OpFailed(..)))
    }

    /// Returns the number of differences that another program caused.
    fn drifts(&self) -> usize {
        self.count(|report| matches!(report, Report::Drift(_)))
    }

    /// Panics if a task is left, or if the kernel differs from the desired tables.
    fn assert_desired(&self) {
        assert!(self.reconciler.is_settled());
        let (live, desired) = (self.kernel.tables(), &self.reconciler.desired().tables);
        assert_eq!(live.virtual_servers, desired.virtual_servers);
        assert_eq!(live.addresses, desired.addresses);
        assert_eq!(live.sets, desired.sets);
        assert_eq!(live.rules, desired.rules);
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

/// Returns Service `web` with the node port 30080.
fn node_port() -> Object {
    let mut service = web();
    service.kind = model::cluster::ServiceKind::NodePort;
    service.ports[0].node_port = NonZeroU16::new(30080).map(Parsed::Valid);
    Object::Service(service)
}

/// Returns the state of `node` with the address 192.0.2.1 on an interface.
fn with_eth0(node: &Node) -> NodeState {
    let mut state = node.kernel.snapshot().node;
    state.interfaces.push(model::snapshot::Interface {
        name: "eth0".into(),
        addresses: vec!["192.0.2.1/24".parse().expect("a network")],
    });
    state
}

fn config() -> NodeConfig {
    NodeConfig::new("node1")
}

#[test]
fn complete_lists_lead_to_one_sync() {
    let node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.assert_desired();
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
fn a_failed_entry_delays_no_other_and_is_retried() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2], [10, 1, 0, 3]]));
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
    assert_eq!(node.real_servers().len(), 2);
    node.pass(Duration::from_millis(100));
    assert_eq!(node.real_servers().len(), 3);
    assert!(node.reconciler.is_settled());
}

/// Deleting the old endpoint would leave the Service without endpoints.
#[test]
fn an_old_real_server_stays_while_the_new_one_cannot_be_added() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 2]]));
    node.pass(Duration::from_millis(10));
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
    fixtures::server_key([10, 96, 0, 1], 80, Protocol::Tcp)
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
        node.upsert(Object::EndpointSlice(slice));
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
    assert_eq!(node.drifts(), 0);
}

/// Checks the TCP timeouts of IPVS and of the connection tracker in the kernel, in seconds.
#[track_caller]
fn assert_tcp_timeouts(node: &Node, ipvs: u64, tracked: &str) {
    let tables = node.kernel.tables();
    assert_eq!(tables.timeouts.tcp.as_secs(), ipvs);
    let name = "net.netfilter.nf_conntrack_tcp_timeout_established";
    assert_eq!(&*tables.sysctls[name], tracked);
}

#[test]
fn the_tcp_timeout_follows_the_keepalive_at_the_next_audit() {
    let mut matching = config();
    let settings = &mut matching.kernel_settings;
    settings.timeouts.tcp = model::config::TcpTimeout::MatchKeepalive;
    let mut node = Node::with_web(matching, &[[10, 1, 0, 1]]);
    assert_tcp_timeouts(&node, 8_920, "86400");
    for (time, ipvs, tracked) in [
        (14_400, 17_020, "86400"),
        (100_000, 113_320, "113320"),
        (0, 8_920, "86400"),
        (u32::MAX, 2_147_483, "2147483"),
    ] {
        let mut state = node.kernel.snapshot().node;
        state.machine.keepalive = Some(model::Keepalive {
            time,
            ..model::Keepalive::LINUX
        });
        node.kernel.set_node(state);
        node.pass(config().sync_period);
        assert_tcp_timeouts(&node, ipvs, tracked);
    }
    assert_eq!((node.drifts(), node.failures()), (0, 0));
    // The finding remains where no timeout of the kernel is long enough.
    let raised = |report: &Report| matches!(report, Report::FindingRaised(finding) if finding.code == model::Code::IdleTcpForgotten);
    assert_eq!(node.count(raised), 1);
}

#[test]
fn a_configured_keepalive_acts_at_once() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    assert_tcp_timeouts(&node, 900, "86400");
    let mut matching = config();
    let settings = &mut matching.kernel_settings;
    settings.timeouts.tcp = model::config::TcpTimeout::MatchKeepalive;
    node.handle(Event::Configured(Box::new(matching)));
    node.pass(Duration::from_millis(1));
    assert_tcp_timeouts(&node, 8_920, "86400");
    // Zero leaves the kernel's value, which is then the one that was set before.
    node.handle(Event::Configured(Box::new(config())));
    node.pass(Duration::from_millis(1));
    assert_tcp_timeouts(&node, 8_920, "86400");
    assert_eq!(node.drifts(), 0);
}

#[test]
fn a_new_node_address_is_served_at_once() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(node_port());
    node.pass(Duration::from_millis(10));
    assert_eq!(node.virtual_servers(), 1);
    node.kernel.set_node(with_eth0(&node));
    node.handle(Event::NodeChanged);
    node.pass(Duration::from_millis(1));
    assert_eq!(node.virtual_servers(), 2);
    assert_eq!(node.drifts(), 0);
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
    let raised =
        |report: &Report| matches!(report, Report::FindingRaised(raised) if *raised == finding);
    assert_eq!(node.count(raised), 1);
    assert!(node.reconciler.findings().contains(&finding));
    node.handle(Event::Gone(finding.clone()));
    let cleared =
        |report: &Report| matches!(report, Report::FindingCleared(cleared) if *cleared == finding);
    assert_eq!(node.count(cleared), 1);
    assert!(!node.reconciler.findings().contains(&finding));
}

#[test]
fn deleted_set_entries_and_rules_are_restored() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let tables = node.kernel.tables();
    let set = model::sets::SetKind::ClusterIp.name(AddressFamily::Ipv4);
    let entry = *tables.sets[&set].entries.first().expect("an entry");
    node.foreign(&Op::DelEntry(set, entry));
    node.pass(Duration::from_secs(30));
    assert_eq!(node.kernel.tables(), tables);
    assert_eq!(node.drifts(), 1);
}

/// Without rules a virtual server would be open to every client. The retries of the virtual server
/// and of the rules run at different times.
#[test]
fn no_new_virtual_server_while_rules_cannot_be_written() {
    for (failing, recovery) in [
        (Duration::ZERO, Duration::from_millis(200)),
        (Duration::from_secs(10), Duration::from_secs(30)),
    ] {
        let mut node = Node::new(config());
        let rules = Part::Rules(AddressFamily::Ipv4);
        let held = (node.kernel).hold(FaultRule::refuse(rules, OpErrorKind::FilterRefused));
        node.start(&[[10, 1, 0, 1]]);
        assert_eq!(node.virtual_servers(), 0);
        let end = node.now + failing;
        while node.now < end {
            node.pass(Duration::from_millis(50));
            assert_eq!(node.virtual_servers(), 0);
        }
        node.kernel.release(held);
        node.pass(recovery);
        node.pass(Duration::from_millis(1));
        assert_eq!(node.virtual_servers(), 1, "{failing:?}");
    }
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
    assert_eq!(node.failures(), 1);
    node.pass(Duration::from_secs(90));
    assert_eq!(node.failures(), 1);
}

/// The name of a scheduler in a Service must not load a kernel module. Each Service gets the
/// configured scheduler.
#[test]
fn services_with_unknown_schedulers_are_served_with_the_configured_one() {
    let mut node = Node::new(config());
    let services = (0..200).map(|number: u8| {
        let name = ObjectName::new("default", format!("x{number}"));
        Object::Service(Service {
            annotations: [model::policy::Annotation::new(
                "scheduler",
                &format!("x{number}"),
            )]
            .into(),
            ..fixtures::service(name, [10, 96, 1, number])
        })
    });
    node.list(services);
    node.pass(Duration::from_millis(1));
    let tables = node.kernel.tables();
    assert_eq!(tables.virtual_servers.len(), 200);
    assert!((tables.virtual_servers.values()).all(|entry| &*entry.server.scheduler.0 == "rr"));
    assert_eq!(node.failures(), 0);
    let found = |report: &Report| matches!(report, Report::FindingRaised(finding) if finding.code == model::Code::InvalidScheduler);
    assert_eq!(node.count(found), 200);
}
