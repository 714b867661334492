use std::net::IpAddr;

use model::names::ServicePortName;
use model::plan::{Op, Reason, Summary};
use reconciler::Trigger;

use super::*;

fn address(last: u8) -> IpAddr {
    [10, 96, 0, last].into()
}

/// Returns the addition of an address, for Service `shop/web` or for no Service.
fn planned(last: u8, owned: bool) -> PlannedOp {
    let owner = ServicePortName {
        service: ObjectName::new("shop", "web"),
        port: "http".into(),
        protocol: ipvs::Protocol::Tcp,
    };
    PlannedOp {
        op: Op::AddAddress(address(last)),
        owner: owned.then(|| Arc::new(owner)),
        reason: Reason::Missing,
    }
}

fn apply(recorder: &mut ChangeRecorder, ops: Vec<PlannedOp>) {
    let outcomes = ops.iter().map(|_| Ok(())).collect::<Vec<_>>();
    recorder.applied(&Stage { ops }, &outcomes);
}

fn synced(recorder: &mut ChangeRecorder, trigger: Trigger, first: bool) {
    let report = Report::Synced {
        trigger,
        first,
        summary: Summary::default(),
        done: Summary::default(),
        failed: 0,
        took: Duration::ZERO,
    };
    recorder.reported(&report, Moment::now());
}

fn numbers(selected: &Selected) -> Vec<u64> {
    selected
        .changes
        .iter()
        .map(|change| change.number)
        .collect()
}

#[test]
fn changes_have_a_number_a_line_a_reason_and_a_cause() {
    let log = ChangeLog::default();
    let mut recorder = ChangeRecorder::new(log.clone());
    apply(&mut recorder, vec![planned(1, false)]);
    synced(&mut recorder, Trigger::Audit, true);
    apply(&mut recorder, vec![planned(2, true)]);
    let selected = log.select(None, 10, |_| true);
    let shown: Vec<_> = (selected.changes.iter())
        .map(|change| (change.number, change.line.as_str(), change.cause))
        .collect();
    assert_eq!(
        shown,
        [
            (1, "10.96.0.1/32", Some("first sync")),
            (2, "10.96.0.2/32", None)
        ]
    );
    assert_eq!(selected.changes[0].reason, "missing in the kernel");
    assert_eq!(selected.changes[0].effect, OpEffect::Add);
    synced(&mut recorder, Trigger::Change, false);
    let last = log.select(None, 1, |_| true).changes.remove(0);
    assert_eq!((last.number, last.cause), (2, Some("change")));
}

#[test]
fn a_failed_op_is_no_change() {
    let log = ChangeLog::default();
    let mut recorder = ChangeRecorder::new(log.clone());
    let stage = Stage {
        ops: vec![planned(1, true), planned(2, true)],
    };
    let kind = model::kernel::OpErrorKind::Invalid;
    let error = model::kernel::OpError::new(planned(1, true).op, kind, None);
    recorder.applied(&stage, &[Err(error), Ok(())]);
    let selected = log.select(None, 10, |_| true);
    assert_eq!(numbers(&selected), [1]);
    assert_eq!(selected.changes[0].line, "10.96.0.2/32");
}

#[test]
fn a_change_counts_from_the_oldest_unapplied_event_of_its_service() {
    let log = ChangeLog::default();
    let mut recorder = ChangeRecorder::new(log.clone());
    let web = BTreeSet::from([ObjectName::new("shop", "web")]);
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds));
    for seconds in [20, 10] {
        recorder.arrivals.count();
        recorder.changed(&web, ago(seconds).expect("a time"));
    }
    apply(&mut recorder, vec![planned(1, true), planned(2, false)]);
    recorder.arrivals.applied(1);
    apply(&mut recorder, vec![planned(3, true)]);
    recorder.arrivals.applied(2);
    apply(&mut recorder, vec![planned(4, true)]);
    let seconds: Vec<_> = (log.select(None, 10, |_| true).changes.iter())
        .map(|change| change.latency.map(|latency| latency.as_secs()))
        .collect();
    assert_eq!(seconds, [Some(20), None, Some(10), None]);
}

#[test]
fn a_selection_continues_after_the_last_one() {
    let log = ChangeLog::default();
    let mut recorder = ChangeRecorder::new(log.clone());
    let ops = (1..=5).map(|last| planned(last, last % 2 == 1)).collect();
    apply(&mut recorder, ops);
    let owned = |change: &Change| change.service.is_some();
    for (since, limit, expected, next) in [
        (None, 2, &[4, 5][..], 5),
        (None, 0, &[], 5),
        (Some(0), 2, &[1, 2], 2),
        (Some(2), 2, &[3, 4], 4),
        (Some(4), 2, &[5], 5),
        (Some(5), 2, &[], 5),
        // The number is from an earlier process.
        (Some(99), 9, &[1, 2, 3, 4, 5], 5),
    ] {
        let selected = log.select(since, limit, |_| true);
        assert_eq!(numbers(&selected), expected, "since {since:?}");
        assert_eq!(
            (selected.next, selected.missed),
            (next, 0),
            "since {since:?}"
        );
    }
    let selected = log.select(Some(1), 1, owned);
    assert_eq!((numbers(&selected), selected.next), (vec![3], 3));
    let selected = log.select(Some(3), 1, owned);
    assert_eq!((numbers(&selected), selected.next), (vec![5], 5));
}

#[test]
fn old_changes_are_dropped_and_counted() {
    let log = ChangeLog::default();
    let mut recorder = ChangeRecorder::new(log.clone());
    let kept = u64::try_from(KEPT).expect("small");
    apply(&mut recorder, vec![planned(1, true); KEPT + 3]);
    let selected = log.select(Some(1), 1, |_| true);
    assert_eq!(numbers(&selected), [4]);
    assert_eq!((selected.next, selected.missed), (4, 2));
    apply(&mut recorder, vec![planned(1, true); 2]);
    let selected = log.select(Some(0), KEPT, |_| true);
    assert_eq!(selected.changes.len(), KEPT);
    assert_eq!((selected.next, selected.missed), (kept + 5, 5));
}
