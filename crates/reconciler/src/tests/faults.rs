//! Lasting faults: no effect is repeated at one instant, and work that does not need the faulty
//! part continues.

mod combined;

use kernel::memory::{FaultRule, Held, Part, TornReading};
use model::OpEffect;

use super::*;
use crate::LostEntries;

/// Maximum number of effects of one event. A sync of these small clusters has a dozen.
const LIMIT: usize = 40;

impl Node {
    /// Handles an event as [`Node::handle`] does. Panics if the event causes too many effects, or
    /// the same reading twice.
    fn handle_bounded(&mut self, event: Event) {
        let mut next = Some(event);
        let mut effects = 0;
        let mut scopes = Vec::new();
        while let Some(event) = next.take() {
            for effect in self.reconciler.handle(event, self.now) {
                match effect {
                    Effect::Observe(scope) => {
                        assert!(!scopes.contains(&scope), "{scope:?} twice at one instant");
                        scopes.push(scope.clone());
                        effects += 1;
                        let answer = self.kernel.observe(&scope);
                        next = Some(Event::Observed(scope, answer));
                    }
                    Effect::Apply(stage) => {
                        effects += 1;
                        let outcomes = self.kernel.apply(&stage);
                        next = Some(Event::Applied(stage, outcomes));
                    }
                    Effect::Report(report) => self.reports.push(report),
                }
                assert!(effects < LIMIT, "{effects} effects at one instant");
            }
        }
    }

    /// Advances the clock and runs each task at its time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.reconciler.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a task is due in the past");
            self.now = at;
            self.handle_bounded(Event::Timeout);
            assert!(self.reconciler.poll_timeout() > Some(at));
        }
        self.now = end;
    }

    /// Runs for `time`, then checks that the node is in the desired state.
    pub(super) fn settles_within(&mut self, time: Duration) {
        self.run(time);
        self.assert_desired();
    }

    /// Runs as [`Self::settles_within`] and checks the number of virtual servers.
    fn serves_within(&mut self, time: Duration, virtual_servers: usize) {
        self.settles_within(time);
        assert_eq!(self.virtual_servers(), virtual_servers);
    }

    /// Lists objects as [`Node::list`] does, with the checks of [`Node::handle_bounded`].
    fn list_bounded(&mut self, objects: impl IntoIterator<Item = Object>) {
        for event in fixtures::lists(objects) {
            self.handle_bounded(Event::Cluster(event));
        }
    }
}

fn short_drains() -> NodeConfig {
    NodeConfig {
        drain_timeout: Duration::from_secs(60),
        ..config()
    }
}

fn none() -> Connections {
    Connections::default()
}

fn refuse(node: &Node, part: Part, effect: OpEffect) -> Held {
    node.kernel.hold(FaultRule::Ops {
        part,
        effect: Some(effect),
        fault: Fault::Refuse(OpErrorKind::Invalid),
    })
}

#[test]
fn a_drain_backs_off_while_the_kernel_cannot_be_read() {
    let mut node = leaving(short_drains(), 3, true);
    assert_eq!(node.reconciler.drains().len(), 1);
    let readings = node.kernel.counts().observations;
    let everything = FaultRule::Unreadable(Part::Everything);
    let held = node.kernel.hold(everything);
    node.run(Duration::from_secs(600));
    let readings = node.kernel.counts().observations - readings;
    assert!(
        readings < 150,
        "{readings} readings in ten minutes: they must back off"
    );
    node.kernel.release(held);
    node.kernel.set_connections(web_key(), LEAVING, none());
    node.settles_within(Duration::from_secs(60));
}

#[test]
fn an_expired_drain_waits_while_deletions_are_refused() {
    let mut node = leaving(short_drains(), 3, true);
    let ops = node.kernel.counts().ops;
    let held = refuse(&node, Part::RealServers, OpEffect::Delete);
    node.run(Duration::from_secs(600));
    let tries = node.kernel.counts().ops - ops;
    assert!(
        (1..100).contains(&tries),
        "{tries} tries in ten minutes: they must back off"
    );
    assert_eq!(deletions(&node), 0);
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
    assert_eq!(deletions(&node), 1);
}

/// keepalived sets weight 0 on a real server that it takes out of service (`inhibit_on_failure`).
#[test]
fn a_foreign_real_server_with_weight_0_does_not_drain() {
    let mut node = Node::new(short_drains());
    let theirs = text::parse(
        "-A -t 10.96.0.1:80 -s wlc\n-a -t 10.96.0.1:80 -r 192.0.2.7:80 -m -w 0\n\
         -a -t 10.96.0.1:80 -r 192.0.2.8:80 -m -w 5\n",
    );
    let mut theirs = theirs.expect("tables").virtual_servers;
    let server = theirs.pop_first().expect("one").1;
    node.foreign(&Op::AddVirtualServer(server.server.clone()));
    for real in server.real_servers.values() {
        node.foreign(&Op::AddRealServer(server.server.key, *real));
    }
    node.start(&[[10, 1, 0, 1]]);
    assert!(node.reconciler.drains().is_empty());
    let ops = node.kernel.counts().ops;
    node.run(Duration::from_secs(600));
    assert_eq!(node.kernel.counts().ops, ops);
    assert_eq!(node.real_servers().len(), 2);
}

#[test]
fn a_refused_addition_beside_an_expired_drain_waits() {
    let mut node = leaving(short_drains(), 3, true);
    let ops = node.kernel.counts().ops;
    let held = refuse(&node, Part::RealServers, OpEffect::Add);
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 9]]));
    node.run(Duration::from_secs(600));
    let tries = node.kernel.counts().ops - ops;
    assert!(
        (1..100).contains(&tries),
        "{tries} tries in ten minutes: they must back off"
    );
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
}

#[test]
fn an_expired_drain_waits_while_lists_are_torn() {
    let mut node = leaving(short_drains(), 3, true);
    let torn = TornReading {
        flagged: true,
        ..TornReading::default()
    };
    let held = node.kernel.hold(FaultRule::Torn(torn));
    node.run(Duration::from_secs(600));
    assert_eq!(deletions(&node), 0, "a torn list causes no deletion");
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
}

#[test]
fn an_interface_change_survives_a_failed_reading() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(node_port());
    node.run(Duration::from_millis(20));
    node.kernel.set_node(with_eth0(&node));
    node.kernel.fail_observations(1);
    node.handle(Event::NodeChanged);
    node.run(Duration::from_secs(1));
    assert_eq!(node.virtual_servers(), 2);
}

/// Handles `first`, whose sync reads the addresses, and adds an address right after the kernel
/// answered.
fn add_an_address_during_the_reading(first: Event) {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(node_port());
    node.run(Duration::from_millis(20));
    node.now += config().sync_period;
    let mut next = first;
    loop {
        let effects = node.reconciler.handle(next, node.now);
        let Some(Effect::Observe(scope)) = effects.into_iter().next_back() else {
            panic!("the addresses are not read");
        };
        let answer = node.kernel.observe(&scope);
        let answered = Event::Observed(scope.clone(), answer);
        if scope.addresses {
            node.kernel.set_node(with_eth0(&node));
            node.handle(Event::NodeChanged);
            node.handle(answered);
            break;
        }
        next = answered;
    }
    node.run(Duration::from_secs(1));
    assert_eq!(node.virtual_servers(), 2);
}

#[test]
fn an_interface_change_during_its_reading_is_not_lost() {
    add_an_address_during_the_reading(Event::NodeChanged);
}

#[test]
fn an_interface_change_during_an_audit_is_not_lost() {
    add_an_address_during_the_reading(Event::Timeout);
}

/// Returns a node with Service `web` whose new configuration needs other rules, which the kernel
/// refuses.
fn with_refused_rules() -> Node {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    for family in AddressFamily::ALL {
        let rule = FaultRule::refuse(Part::Rules(family), OpErrorKind::FilterRefused);
        let _ = node.kernel.hold(rule);
    }
    let mut masquerades = config();
    masquerades.masquerade.all = !masquerades.masquerade.all;
    node.handle(Event::Configured(Box::new(masquerades)));
    node.pass(Duration::from_millis(1));
    node
}

/// Each attempt may wait for the lock of iptables.
#[test]
fn failing_rules_are_not_tried_with_every_change() {
    let mut node = with_refused_rules();
    node.reports.clear();
    for number in 0..100 {
        node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 1, number + 1]]));
        node.run(Duration::from_millis(10));
        // Two families with attempts after 100, 200 and 400 ms.
    }
    let is_rules = |report: &Report| matches!(report, Report::OpFailed(planned, _) if matches!(planned.op, Op::PatchRules(..)));
    let tries = node.count(is_rules);
    assert!(tries <= 10, "{tries} attempts in one second");
    let last = "-a -t 10.96.0.1:80 -r 10.1.1.100:8080 -m -w 1";
    assert!(node.real_servers().iter().any(|line| line == last));
    node.kernel.clear_faults();
    node.settles_within(Duration::from_secs(60));
}

/// New virtual servers would be open to every client.
#[test]
fn no_virtual_server_is_added_while_rules_fail() {
    let mut node = with_refused_rules();
    node.upsert(new_service());
    node.run(Duration::from_secs(120));
    assert_eq!(node.virtual_servers(), 1);
    node.kernel.clear_faults();
    node.serves_within(Duration::from_secs(60), 2);
}

#[test]
fn a_failing_column_delays_no_other() {
    let rules = Part::Rules(AddressFamily::Ipv4);
    for part in [Part::Addresses, Part::Sets, rules, Part::Settings] {
        let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
        let held = node.kernel.hold(FaultRule::Unreadable(part.clone()));
        node.run(Duration::from_secs(120));
        node.foreign(&Op::DelVirtualServer(web_key()));
        node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
        node.run(Duration::from_secs(31));
        assert_eq!(node.real_servers().len(), 2, "{part:?}");
        node.kernel.release(held);
        node.settles_within(Duration::from_secs(60));
    }
}

/// Simulates an iptables-save that hangs from the start. Existing virtual servers are updated, and
/// no new one is opened to every client.
#[test]
fn a_restart_without_rules_updates_endpoints_only() {
    let before = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let mut node = Node::new(config());
    node.kernel = before.kernel.clone();
    let rules = Part::Rules(AddressFamily::Ipv4);
    let held = node.kernel.hold(FaultRule::Unreadable(rules));
    let slice = Object::EndpointSlice(web_slice(&[[10, 1, 0, 7]]));
    node.list_bounded([Object::Service(web()), new_service(), slice]);
    node.run(Duration::from_secs(120));
    assert!(node.reconciler.has_synced());
    assert_eq!(
        node.real_servers(),
        ["-a -t 10.96.0.1:80 -r 10.1.0.7:8080 -m -w 1"]
    );
    assert_eq!(node.virtual_servers(), 1);
    node.kernel.release(held);
    node.serves_within(Duration::from_secs(60), 2);
}

/// An op whose answer was lost may have succeeded. Only a reading shows it.
#[test]
fn a_lost_answer_survives_the_next_change() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.kernel.inject(0, Fault::LoseAnswer);
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
    node.pass(Duration::from_millis(10));
    assert_eq!(node.real_servers().len(), 2, "the op took effect");
    // The endpoint leaves again before the entry is read.
    node.cluster(slice(&[[10, 1, 0, 1]]));
    node.pass(Duration::from_millis(10));
    node.settles_within(Duration::from_secs(5));
}

#[test]
fn a_deleted_device_is_restored_at_once() {
    for event in [
        Event::NodeChanged,
        Event::Lost(LostEntries {
            device: true,
            ..LostEntries::default()
        }),
    ] {
        let mut node = many(2_000);
        node.reading = Duration::from_millis(5);
        node.pass(Duration::from_secs(2));
        node.foreign(&Op::DelDevice);
        node.handle(event);
        node.pass(Duration::from_millis(100));
        assert_eq!(node.kernel.tables().addresses.len(), 2_001);
    }
}

#[test]
fn own_deletions_start_no_audit() {
    let mut node = many(300);
    node.pass(Duration::from_secs(2));
    node.delete_service("s7");
    node.pass(Duration::from_millis(20));
    let readings = node.kernel.counts().observations;
    node.handle(Event::Lost(LostEntries {
        addresses: [[10, 97, 0, 7].into()].into(),
        device: false,
    }));
    assert_eq!(node.kernel.counts().observations, readings);
}

#[test]
fn deleted_entries_of_a_large_table_are_restored_within_a_period() {
    let mut node = many(2_000);
    node.reading = Duration::from_millis(15);
    node.pass(Duration::from_secs(2));
    let tables = node.kernel.tables();
    let set = model::sets::SetKind::ClusterIp.name(AddressFamily::Ipv4);
    let entry = *tables.sets[&set].entries.first().expect("an entry");
    for op in [
        Op::DelAddress([10, 97, 0, 7].into()),
        Op::DelEntry(set, entry),
        Op::DelVirtualServer(web_key()),
    ] {
        node.foreign(&op);
    }
    for _ in 0..31 {
        node.pass(Duration::from_secs(1));
    }
    assert_eq!(node.kernel.tables(), tables);
}

/// Changes keep coming, with a pause between syncs, while the real servers of a large table are
/// read in slices.
#[test]
fn slices_and_changes_do_not_starve_each_other() {
    let config = NodeConfig {
        min_sync_period: Duration::from_secs(1),
        ..config()
    };
    let mut node = many_with(config, 2_000);
    node.reading = Duration::from_millis(4);
    node.pass(Duration::from_secs(30));
    let (mut worst, mut since, mut slices) = (Duration::ZERO, node.now, 0);
    for number in 0..600_u32 {
        let before = node.reports.len();
        let last = u8::try_from(number % 200).expect("small") + 2;
        node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 1, last]]));
        for _ in 0..10 {
            node.pass(Duration::from_millis(10));
        }
        for report in &node.reports[before..] {
            match report {
                Report::Synced {
                    trigger: Trigger::Change,
                    ..
                } => {
                    worst = worst.max(node.now - since);
                    since = node.now;
                }
                Report::Synced {
                    trigger: Trigger::AuditSlice,
                    ..
                } => slices += 1,
                _ => {}
            }
        }
    }
    assert!(worst < Duration::from_secs(2), "no change for {worst:?}");
    assert!(slices > 10, "{slices} slices in a minute");
}

#[test]
fn a_relist_without_changes_is_applied_at_once() {
    let mut node = many(300);
    let applied = node.reconciler.applied();
    node.cluster(ClusterEvent::ListStarted(ObjectKind::Node));
    node.cluster(ClusterEvent::ListDone(ObjectKind::Node));
    assert_eq!(node.reconciler.applied(), applied + 2);
}

#[test]
fn a_failed_change_counts_as_applied_and_is_retried() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let applied = node.reconciler.applied();
    node.kernel.inject(0, Fault::Refuse(OpErrorKind::Invalid));
    node.cluster(slice(&[[10, 1, 0, 1], [10, 1, 0, 2]]));
    assert_eq!(
        node.reconciler.applied(),
        applied,
        "the change is debounced"
    );
    node.pass(Duration::from_millis(10));
    assert_eq!(node.reconciler.applied(), applied + 1);
    assert_eq!(node.reconciler.failing(), 1);
    let [row] = &node.reconciler.unsettled(10)[..] else {
        panic!("expected one failed row");
    };
    assert!(matches!(
        row.state,
        crate::EntryState::Failed { failures: 1, .. }
    ));
    assert_eq!(row.entry, crate::EntryKey::VirtualServer(web_key()));
}

#[test]
fn no_event_counts_as_applied_while_ipvs_cannot_be_read() {
    let mut node = Node::new(config());
    let _held = (node.kernel).hold(FaultRule::Unreadable(Part::VirtualServers));
    node.list_bounded([]);
    node.run(Duration::from_secs(300));
    assert_eq!(node.reconciler.applied(), 0);
    assert!(!node.reconciler.has_synced());
}

/// Without the set type every virtual server is blocked. Each sync makes one attempt per set, not
/// one per virtual server.
#[test]
fn missing_sets_cause_no_retry_storm() {
    let mut node = Node::new(config());
    let held = refuse(&node, Part::Sets, OpEffect::Add);
    node.list_bounded((0..500).map(numbered));
    node.run(Duration::from_secs(300));
    let (sets, tries) = (
        model::sets::SetKind::ALL.len() * 2,
        node.kernel.counts().ops,
    );
    assert!(
        tries < (sets * 40) as u64,
        "{tries} attempts for {sets} sets"
    );
    assert!(node.kernel.tables().virtual_servers.is_empty());
    node.kernel.release(held);
    node.serves_within(Duration::from_secs(90), 500);
}

#[test]
fn swaps_and_reloads_are_applied() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.upsert(named("a", [10, 96, 0, 2], 80, Protocol::Tcp));
    node.upsert(named("b", [10, 96, 0, 3], 80, Protocol::Tcp));
    node.settles_within(Duration::from_millis(20));
    node.upsert(named("a", [10, 96, 0, 3], 80, Protocol::Tcp));
    node.upsert(named("b", [10, 96, 0, 2], 80, Protocol::Tcp));
    node.settles_within(Duration::from_millis(20));
    node.upsert(named("a", [10, 96, 0, 3], 81, Protocol::Udp));
    node.settles_within(Duration::from_millis(20));
    let mut config = config();
    config.masquerade.all = !config.masquerade.all;
    config.scheduler = ipvs::Scheduler("sh".into());
    node.handle(Event::Configured(Box::new(config)));
    node.settles_within(Duration::from_millis(20));
    let clash = |finding: &model::Finding| finding.code == model::Code::ServiceClash;
    assert!(!node.reconciler.findings().iter().any(clash));
}

#[test]
fn a_full_set_is_replaced_by_a_larger_one() {
    let mut node = Node::new(config());
    node.list((0..65_535).map(numbered));
    for number in 65_535..65_540 {
        node.upsert(numbered(number));
    }
    node.pass(Duration::from_millis(100));
    assert!(node.reconciler.is_settled());
    assert_eq!(
        node.kernel.tables().sets,
        node.reconciler.desired().tables.sets
    );
}

fn named(name: &str, at: [u8; 4], port: u16, protocol: Protocol) -> Object {
    let mut service = web();
    service.name = ObjectName::new("default", name);
    service.cluster_ips = vec![Parsed::Valid(at.into())];
    service.ports[0].port = Parsed::Valid(NonZeroU16::new(port).expect("a port"));
    service.ports[0].protocol = Parsed::Valid(protocol);
    Object::Service(service)
}

fn new_service() -> Object {
    named("new", [10, 96, 0, 9], 80, Protocol::Tcp)
}

/// Returns Service `s0`, `s1` … at an address of its own.
fn numbered(number: u32) -> Object {
    let [_, third, high, low] = number.to_be_bytes();
    let at = [10, 97 + third, high, low];
    named(&format!("s{number}"), at, 80, Protocol::Tcp)
}

/// Returns a synced node with `web` and this many Services without endpoints.
fn many(services: u32) -> Node {
    many_with(config(), services)
}

fn many_with(config: NodeConfig, services: u32) -> Node {
    let mut node = Node::new(config);
    let slice = Object::EndpointSlice(web_slice(&[[10, 1, 0, 1]]));
    let beside = (0..services).map(numbered);
    node.list(beside.chain([Object::Service(web()), slice]));
    node.reports.clear();
    node
}
