use super::{Op, OpEffect, Plan, PlannedOp, Reason, Stage};
use crate::snapshot::Snapshot;
use crate::text;

fn tables(lines: &str) -> crate::NodeTables {
    text::parse(lines).expect("it parses")
}

#[test]
fn applied_ops_update_the_snapshot() {
    let wanted = tables(
        "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:80 -m -w 1\n# addresses\n10.96.0.1/32\n",
    );
    let (key, entry) = wanted.virtual_servers.iter().next().expect("one");
    let real = *entry.real_servers.values().next().expect("one");
    let mut snapshot = Snapshot::default();
    for op in [
        Op::EnsureDevice,
        Op::AddAddress([10, 96, 0, 1].into()),
        Op::AddVirtualServer(entry.server.clone()),
        Op::AddRealServer(*key, real),
    ] {
        snapshot.apply(&op);
    }
    assert_eq!(snapshot.tables, wanted);
    for op in [
        Op::DelRealServer(*key, real.key),
        Op::DelVirtualServer(*key),
        Op::DelAddress([10, 96, 0, 1].into()),
        Op::DelDevice,
    ] {
        snapshot.apply(&op);
    }
    assert_eq!(snapshot, Snapshot::default());
}

#[test]
fn summary_counts_ops_by_effect() {
    let planned = |op| PlannedOp {
        op,
        owner: None,
        reason: Reason::Missing,
    };
    let plan = Plan {
        stages: vec![
            Stage {
                ops: vec![planned(Op::EnsureDevice)],
            },
            Stage {
                ops: vec![
                    planned(Op::AddAddress([10, 96, 0, 1].into())),
                    planned(Op::DelAddress([10, 96, 0, 2].into())),
                ],
            },
        ],
        ..Plan::default()
    };
    assert_eq!(
        plan.summary().to_string(),
        "Plan: 2 to add, 0 to change, 1 to delete"
    );
    assert_eq!(OpEffect::Change.mark(), '~');
}
