//! Faults during a change of the configuration, of a Service, or of a set.

use super::*;

#[test]
fn a_new_configuration_is_written_while_ipvs_cannot_be_read() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let unread = FaultRule::Unreadable(Part::VirtualServers);
    let held = node.kernel.hold(unread);
    let mut other = config();
    other.masquerade.all = !other.masquerade.all;
    other.scheduler = ipvs::Scheduler("sh".into());
    node.handle(Event::Configured(Box::new(other)));
    node.run(Duration::from_millis(20));
    let (live, desired) = (node.kernel.tables(), &node.reconciler.desired().tables);
    assert_eq!(live.rules, desired.rules);
    assert_eq!(live.virtual_servers, desired.virtual_servers);
    let web = &live.virtual_servers[&web_key()].server;
    assert_eq!(&*web.scheduler.0, "sh");
    node.kernel.release(held);
    node.settles_within(Duration::from_secs(60));
}

/// An address and set entries would make the foreign server look like ours after the next restart.
#[test]
fn a_foreign_server_missing_from_a_torn_list_gets_no_marks() {
    let mut node = Node::new(config());
    let theirs = text::parse("-A -t 10.96.0.1:80 -s wlc\n").expect("tables");
    let server = theirs.virtual_servers[&web_key()].server.clone();
    node.foreign(&Op::AddVirtualServer(server));
    let held = node.kernel.hold(FaultRule::Torn(TornReading {
        virtual_servers: [web_key()].into(),
        flagged: true,
        ..TornReading::default()
    }));
    node.start(&[[10, 1, 0, 1]]);
    let check = |node: &Node| {
        let live = node.kernel.tables();
        assert_eq!(live.virtual_servers, theirs.virtual_servers);
        assert!(!live.addresses.contains(&[10, 96, 0, 1].into()));
        let set = model::sets::SetKind::ClusterIp.name(AddressFamily::Ipv4);
        assert!(live.sets[&set].entries.is_empty());
        let foreign = |finding: &model::Finding| finding.code == model::Code::ForeignVirtualServer;
        assert!(node.reconciler.findings().iter().any(foreign));
    };
    node.run(Duration::from_secs(600));
    check(&node);
    node.kernel.release(held);
    node.run(Duration::from_secs(60));
    check(&node);
}

#[test]
fn an_unconfirmed_virtual_server_is_deleted_with_its_service() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let unread = FaultRule::Unreadable(Part::VirtualServers);
    let unread = node.kernel.hold(unread);
    let lost = node.kernel.hold(FaultRule::Ops {
        part: Part::VirtualServers,
        effect: Some(OpEffect::Add),
        fault: Fault::LoseAnswer,
    });
    node.upsert(new_service());
    node.run(Duration::from_millis(20));
    assert_eq!(node.virtual_servers(), 2, "the op took effect");
    node.kernel.release(lost);
    node.delete_service("new");
    node.run(Duration::from_secs(120));
    let marks = node.kernel.tables().addresses;
    assert!(marks.contains(&[10, 96, 0, 9].into()), "{marks:?}");
    node.kernel.release(unread);
    node.serves_within(Duration::from_secs(60), 1);
}

#[test]
fn changes_at_a_failing_set_do_not_delay_its_retry() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    let set = model::sets::SetKind::ClusterIp.name(AddressFamily::Ipv4);
    let held = refuse(&node, Part::Set(set), OpEffect::Add);
    for number in 0..200 {
        node.upsert(numbered(number));
        node.run(Duration::from_millis(50));
    }
    let entries = node.reports.iter().filter_map(|report| match report {
        Report::OpFailed(planned, _) => match &planned.op {
            Op::AddEntry(_, entry) => Some(*entry),
            _ => None,
        },
        _ => None,
    });
    let first = entries.clone().next().expect("an entry failed");
    let tries = entries.filter(|entry| *entry == first).count();
    assert!((4..=20).contains(&tries), "{tries} attempts in ten seconds");
    node.kernel.release(held);
    node.serves_within(Duration::from_secs(60), 201);
}
