//! Work that continues beside a fault, and changes of another program before the fault.

use ipset::Entry;
use model::missing_family::{FamilyGap, MissingFamily};
use model::sets::SetKind;

use super::*;

fn lists(node: &mut Node) {
    let slice = Object::EndpointSlice(web_slice(&[[10, 1, 0, 1]]));
    node.list([node_port(), slice]);
}

#[test]
fn node_ports_keep_their_marks_while_addresses_cannot_be_read_after_a_restart() {
    let mut node = Node::new(config());
    node.kernel.set_node(with_eth0(&node));
    lists(&mut node);
    node.settles_within(Duration::from_secs(1));
    let before = node.kernel.tables();
    let set = SetKind::NodePortTcp.name(AddressFamily::Ipv4);
    assert!(before.sets[&set].entries.contains(&Entry::Port(30_080)));

    node.reconciler = Reconciler::new(config(), 2, node.now);
    let held = (node.kernel).hold(FaultRule::Unreadable(Part::Addresses));
    lists(&mut node);
    node.run(Duration::from_secs(20));
    assert_eq!(node.kernel.tables(), before);
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
    node.delete_service("web");
    node.settles_within(Duration::from_secs(1));
    assert!(node.kernel.tables().virtual_servers.is_empty());
}

#[test]
fn blocked_entries_are_written_without_a_reading() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.delete_service("web");
    node.settles_within(Duration::from_secs(1));
    let refused = node
        .kernel
        .hold(FaultRule::refuse(Part::Sets, OpErrorKind::NotPermitted));
    let servers = FaultRule::Unreadable(Part::VirtualServers);
    let unread = node.kernel.hold(servers);
    node.upsert(Object::Service(web()));
    node.run(Duration::from_secs(1));
    assert!(node.kernel.tables().virtual_servers.is_empty());
    node.kernel.release(refused);
    node.run(Duration::from_secs(5));
    let desired = node.reconciler.desired().tables.virtual_servers.clone();
    assert_eq!(desired.len(), 1);
    assert_eq!(node.kernel.tables().virtual_servers, desired);
    node.kernel.release(unread);
    node.settles_within(Duration::from_secs(60));
}

#[test]
fn deleting_a_missing_entry_is_not_a_failure() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.foreign(&Op::DelVirtualServer(web_key()));
    node.foreign(&Op::DelAddress([10, 96, 0, 1].into()));
    node.delete_service("web");
    node.settles_within(Duration::from_millis(50));
    assert_eq!(node.failures(), 0, "{:?}", node.reports);
}

#[test]
fn rules_of_the_other_family_are_repaired_when_a_retry_sees_them() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let before = node.kernel.tables();
    let empty = |family: AddressFamily| {
        let rules = &before.rules[&family];
        let chain = (rules.chains.iter()).find(|(_, rules)| !rules.is_empty());
        let patch = model::rules::RulesPatch {
            chains: [(chain.expect("a chain with rules").0.clone(), Vec::new())].into(),
            ..model::rules::RulesPatch::default()
        };
        Op::PatchRules(family, std::sync::Arc::new(patch))
    };
    node.foreign(&empty(AddressFamily::Ipv6));
    let refused = FaultRule::refuse(Part::Rules(AddressFamily::Ipv6), OpErrorKind::FilterRefused);
    let held = node.kernel.hold(refused);
    // The next audit finds the first difference, but its repair fails.
    node.run(Duration::from_secs(31));
    node.foreign(&empty(AddressFamily::Ipv4));
    node.run(Duration::from_secs(5));
    assert_eq!(
        node.kernel.tables().rules[&AddressFamily::Ipv4],
        before.rules[&AddressFamily::Ipv4]
    );
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
}

/// A family that the node lacks is not tried. The next audit serves it once the node has it.
#[test]
fn a_missing_family_is_skipped_until_an_audit_finds_it() {
    let lacking = |missing: Option<AddressFamily>| {
        let gap = FamilyGap::Disabled("net.ipv6.conf.all.disable_ipv6".into());
        let missing = missing.map(|family| MissingFamily { family, gap });
        NodeState {
            missing,
            ..NodeState::default()
        }
    };
    let mut service = web();
    service
        .cluster_ips
        .push(Parsed::Valid("fd00:96::1".parse().expect("an address")));
    let mut node = Node::new(config());
    node.kernel.set_node(lacking(Some(AddressFamily::Ipv6)));
    node.list([
        Object::Service(service),
        Object::EndpointSlice(web_slice(&[[10, 1, 0, 1]])),
    ]);
    node.run(Duration::from_secs(1));
    let of_ipv6 = |node: &Node| {
        let addresses = node.kernel.tables().addresses;
        addresses.iter().filter(|address| address.is_ipv6()).count()
    };
    let has_rules = |node: &Node| {
        let rules = node.kernel.tables().rules.remove(&AddressFamily::Ipv6);
        rules.is_some_and(|rules| !rules.chains.is_empty())
    };
    assert_eq!(of_ipv6(&node), 0);
    assert!(!has_rules(&node));
    let missing = |node: &Node| {
        node.reconciler
            .missing_family()
            .map(|missing| missing.family)
    };
    assert_eq!(missing(&node), Some(AddressFamily::Ipv6));
    let raised = |report: &Report| matches!(report, Report::FindingRaised(finding) if finding.code == model::Code::MissingFamily);
    assert_eq!(node.count(raised), 1);
    node.reports.clear();
    node.run(Duration::from_secs(300));
    let failed =
        |report: &Report| matches!(report, Report::OpFailed(..) | Report::FindingRaised(_));
    assert_eq!(node.count(failed), 0, "{:?}", node.reports);

    node.kernel.set_node(lacking(None));
    node.run(config().sync_period + Duration::from_secs(2));
    assert_eq!(of_ipv6(&node), 1);
    assert!(has_rules(&node));
    assert_eq!(missing(&node), None);

    node.kernel.set_node(lacking(Some(AddressFamily::Ipv6)));
    node.run(config().sync_period + Duration::from_secs(20));
    assert_eq!(of_ipv6(&node), 0);
}
