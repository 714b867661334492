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

#[test]
fn a_divided_plan_has_the_same_ops_in_the_same_stages() {
    let address = |last| PlannedOp {
        op: Op::AddAddress([10, 96, 0, last].into()),
        owner: None,
        reason: Reason::Missing,
    };
    let ops = |stage: &Stage| stage.ops.clone();
    let stage = |range: std::ops::RangeInclusive<u8>| Stage {
        ops: range.map(address).collect(),
    };
    let whole = Plan {
        stages: vec![stage(1..=2), stage(3..=3), stage(4..=6)],
        ..Plan::default()
    };
    let boundaries = [2, 3];
    for at in 0..=7 {
        let mut first = whole.clone();
        let rest = first.split_off(at);
        assert_eq!(first.ops().count(), at.min(6), "{at}");
        let joined: Vec<_> = first.ops().chain(rest.ops()).cloned().collect();
        assert!(joined.iter().eq(whole.ops()), "{at}");
        // A stage is divided only if the cut is inside it.
        let divided = usize::from(at > 0 && at < 6 && !boundaries.contains(&at));
        let stages = first.stages.iter().chain(&rest.stages);
        assert_eq!(
            stages.map(ops).filter(|ops| !ops.is_empty()).count(),
            3 + divided,
            "{at}"
        );
    }
}
