//! Synchronisation daemons: started, restarted and retried, without delaying anything else.

use ipvs::text::parse_sync_daemon;
use model::config::{SyncMode, SyncSettings};
use model::snapshot::Interface;

use super::*;

fn with_sync(role: SyncMode) -> NodeConfig {
    let mut config = config();
    config.kernel_settings.sync = SyncSettings {
        role,
        interface: "eth1".to_owned(),
        sync_id: 7,
        ..SyncSettings::default()
    };
    config
}

impl Node {
    /// Creates a synced node with these interfaces.
    fn with_daemons(role: SyncMode, interfaces: &[&str]) -> Self {
        let mut node = Self::new(with_sync(role));
        node.set_interfaces(interfaces);
        node.start(&[[10, 1, 0, 1]]);
        node
    }

    fn set_interfaces(&self, names: &[&str]) {
        let interface = |name: &&str| Interface {
            name: (*name).into(),
            addresses: Vec::new(),
        };
        self.kernel.set_node(NodeState {
            interfaces: names.iter().map(interface).collect(),
            ..NodeState::default()
        });
    }

    /// Returns the running daemons, without the settings that are the kernel's defaults.
    fn daemons(&self) -> Vec<String> {
        let lines = text::sync_daemon_lines(&self.kernel.tables()).into_iter();
        let until = |line: String| line.split(" --sync-maxlen").next().unwrap().to_owned();
        lines.map(until).collect()
    }

    /// Returns the number of ops that were requested.
    fn written(&self) -> u64 {
        self.kernel.counts().ops
    }
}

const MASTER: &str = "--start-daemon master --mcast-interface eth1 --syncid 7";
const BACKUP: &str = "--start-daemon backup --mcast-interface eth1 --syncid 7";

fn foreign_daemon(role: &str) -> Op {
    let line = format!("--start-daemon {role} --mcast-interface eth1 --syncid 51");
    Op::StartSyncDaemon(parse_sync_daemon(&line).expect("it parses"))
}

#[test]
fn the_daemons_of_the_configured_roles_run() {
    let node = Node::with_daemons(SyncMode::Both, &["eth1"]);
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
    assert!(node.reconciler.is_settled());
    let node = Node::with_daemons(SyncMode::Backup, &["eth1"]);
    assert_eq!(node.daemons(), [BACKUP]);
}

#[test]
fn daemons_of_other_programs_are_left_alone() {
    let mut node = Node::new(with_sync(SyncMode::Backup));
    node.set_interfaces(&["eth1"]);
    node.foreign(&foreign_daemon("master"));
    node.foreign(&foreign_daemon("backup"));
    node.start(&[[10, 1, 0, 1]]);
    let foreign = "--start-daemon master --mcast-interface eth1 --syncid 51";
    assert_eq!(node.daemons(), [foreign, BACKUP]);
    let written = node.written();
    node.pass(Duration::from_secs(60));
    assert_eq!(node.written(), written, "an audit changes nothing");
    assert_eq!(node.daemons(), [foreign, BACKUP]);
}

#[test]
fn a_stopped_daemon_is_started_by_the_next_audit() {
    let mut node = Node::with_daemons(SyncMode::Both, &["eth1"]);
    node.foreign(&Op::StopSyncDaemon(ipvs::SyncRole::Master));
    assert_eq!(node.daemons(), [BACKUP]);
    node.pass(config().sync_period);
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
}

#[test]
fn a_changed_configuration_restarts_the_daemons() {
    let mut node = Node::with_daemons(SyncMode::Both, &["eth1"]);
    let mut config = with_sync(SyncMode::Both);
    config.kernel_settings.sync.sync_id = 8;
    node.handle(Event::Configured(Box::new(config)));
    node.pass(Duration::from_secs(1));
    let other = |line: &str| line.replace("--syncid 7", "--syncid 8");
    assert_eq!(node.daemons(), [other(MASTER), other(BACKUP)]);
}

#[test]
fn daemons_wait_for_their_interface_and_nothing_else_waits() {
    let mut node = Node::with_daemons(SyncMode::Both, &["eth0"]);
    assert_eq!(node.daemons(), [""; 0]);
    assert_eq!(node.virtual_servers(), 1);
    assert!(node.reconciler.has_synced() && !node.reconciler.is_settled());
    node.set_interfaces(&["eth0", "eth1"]);
    node.handle(Event::NodeChanged);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
    assert!(node.reconciler.is_settled());
}

#[test]
fn daemons_are_restarted_after_their_interface_was_deleted() {
    let mut node = Node::with_daemons(SyncMode::Both, &["eth1"]);
    node.set_interfaces(&["eth0"]);
    node.handle(Event::NodeChanged);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.daemons(), [""; 0], "they would send nothing");
    node.set_interfaces(&["eth0", "eth1"]);
    node.handle(Event::NodeChanged);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
}

#[test]
fn one_role_that_fails_delays_no_other() {
    let mut node = Node::new(with_sync(SyncMode::Both));
    node.set_interfaces(&["eth1"]);
    // The daemon of another program has the role, and cannot be stopped.
    node.foreign(&foreign_daemon("master"));
    let held = node.kernel.hold(FaultRule::Ops {
        part: Part::SyncDaemons,
        effect: Some(model::OpEffect::Delete),
        fault: Fault::Refuse(OpErrorKind::NotPermitted),
    });
    node.start(&[[10, 1, 0, 1]]);
    let foreign = "--start-daemon master --mcast-interface eth1 --syncid 51";
    assert_eq!(node.daemons(), [foreign, BACKUP]);
    assert_eq!(node.failures(), 1, "the start of the master is not tried");
    node.kernel.release(held);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
}

#[test]
fn a_reading_that_fails_stops_no_other_write() {
    let mut node = Node::new(with_sync(SyncMode::Both));
    node.set_interfaces(&["eth1"]);
    let held = node.kernel.hold(FaultRule::Unreadable(Part::SyncDaemons));
    node.start(&[[10, 1, 0, 1]]);
    assert_eq!(node.virtual_servers(), 1);
    assert_eq!(node.daemons(), [""; 0]);
    node.kernel.release(held);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.daemons(), [MASTER, BACKUP]);
}
