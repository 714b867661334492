//! Another program that continuously writes the node's tables.

use super::*;
use crate::LostEntries;

/// Undoes `ops` as another program would, every 100 ms for `time`. The kernel reports each loss if
/// `notices` is true.
fn undo_continuously(node: &mut Node, time: Duration, ops: &[Op], notices: bool) {
    let end = node.now + time;
    while node.now < end {
        for op in ops {
            if node.kernel.foreign(op).is_ok()
                && let (Op::DelAddress(address), true) = (op, notices)
            {
                node.handle(Event::Lost(LostEntries {
                    addresses: [*address].into(),
                    device: false,
                }));
            }
        }
        node.pass(Duration::from_millis(100));
    }
}

fn addresses(node: &Node) -> Vec<Op> {
    let tables = node.kernel.tables();
    let addresses = tables.addresses.iter();
    addresses.map(|address| Op::DelAddress(*address)).collect()
}

#[test]
fn continuous_deletions_are_repaired_at_the_rate_of_audits() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.pass(Duration::from_secs(2));
    let mut ops = addresses(&node);
    ops.extend([Op::DelVirtualServer(web_key())]);
    let period = config().sync_period;
    node.reports.clear();
    undo_continuously(&mut node, 20 * period, &ops, true);
    // Audits after 1, 2, 4, 8 and 16 s, and then once per period.
    let syncs = node.count(|report| matches!(report, Report::Synced { .. }));
    assert!((20..=26).contains(&syncs), "{syncs} syncs in 20 periods");
    assert_eq!(node.failures(), 0, "{:?}", node.reports);
}

#[test]
fn a_loss_after_a_quiet_time_is_repaired_at_once() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.pass(Duration::from_secs(2));
    let ops = addresses(&node);
    let tables = node.kernel.tables();
    undo_continuously(&mut node, Duration::from_secs(120), &ops, true);
    for _ in 0..3 {
        node.pass(config().sync_period);
    }
    assert_eq!(node.kernel.tables().addresses, tables.addresses);
    node.pass(Duration::from_secs(2));
    undo_continuously(&mut node, Duration::from_millis(100), &ops, true);
    node.pass(Duration::from_secs(1));
    assert_eq!(node.kernel.tables().addresses, tables.addresses);
}

#[test]
fn changes_are_written_beside_another_program() {
    let mut node = Node::with_web(config(), &[[10, 1, 0, 1]]);
    node.pass(Duration::from_secs(2));
    let ops = addresses(&node);
    undo_continuously(&mut node, Duration::from_secs(30), &ops, true);
    node.cluster(slice(&[[10, 1, 0, 2]]));
    node.pass(Duration::from_millis(20));
    assert!((node.real_servers().iter()).any(|line| line.contains("10.1.0.2:8080")));
}
