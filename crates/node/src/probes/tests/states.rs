//! The states of targets and the times of probes, without sockets and clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::names::{Name, ObjectName};
use model::policy::{CheckTarget, Probe};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::schedule::{TargetState, detection_time};
use super::super::{Outcome, Schedule, Started};
use crate::health::Moment;

fn target(last: u8, check: &str) -> CheckTarget {
    CheckTarget {
        address: [10, 1, 0, last].into(),
        port: 80.try_into().expect("a port"),
        probe: Probe::parse(check).expect("a check"),
    }
}

fn services(names: &[&str]) -> BTreeSet<ObjectName> {
    let names = names.iter();
    names.map(|name| ObjectName::new("shop", *name)).collect()
}

fn refused() -> Outcome {
    Outcome::Failure("refused".into())
}

fn local() -> Outcome {
    Outcome::Local("no sockets".into())
}

#[test]
fn a_state_changes_after_enough_results_in_a_row() {
    let probe = Probe::parse("type=tcp, rise=2, fall=3").expect("a check");
    let mut state = TargetState::default();
    let mut add = |outcome| {
        state.add(outcome, &probe);
        state.failed().map(ToString::to_string)
    };
    let failed = Some("refused".to_owned());
    assert_eq!(add(refused()), None);
    assert_eq!(add(refused()), None);
    assert_eq!(add(Outcome::Success), None, "the failures are forgotten");
    assert_eq!(add(refused()), None);
    assert_eq!(add(local()), None, "an error of this node does not count");
    assert_eq!(add(refused()), None);
    assert_eq!(add(refused()), failed);
    assert_eq!(add(Outcome::Success), failed);
    assert_eq!(add(refused()), failed);
    assert_eq!(add(Outcome::Success), failed);
    assert_eq!(add(local()), failed);
    assert_eq!(add(Outcome::Success), None);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        3 => Just(refused()),
        1 => Just(local()),
    ]
}

proptest! {
    /// The state changes exactly if the last results that count, as many as the check asks for,
    /// contradict it.
    #[test]
    fn the_state_follows_from_the_last_results(
        outcomes in vec(outcome(), 0..40), rise in 1_u8..5, fall in 1_u8..5,
    ) {
        let check = format!("type=tcp, rise={rise}, fall={fall}");
        let probe = Probe::parse(&check).expect("a check");
        let mut state = TargetState::default();
        let mut counting: Vec<bool> = Vec::new();
        let mut failed = false;
        for outcome in outcomes {
            if !matches!(outcome, Outcome::Local(_)) {
                counting.push(outcome == Outcome::Success);
            }
            let needed = usize::from(if failed { rise } else { fall });
            let last = counting.iter().rev().take(needed);
            let turns = matches!(outcome, Outcome::Success | Outcome::Failure(_))
                && counting.len() >= needed
                && last.clone().all(|success| *success == failed);
            prop_assert_eq!(state.add(outcome, &probe), turns);
            failed ^= turns;
            prop_assert_eq!(state.failed().is_some(), failed);
        }
    }

    /// Whatever happens to the targets, the loop learns the true state of each.
    #[test]
    fn the_reported_changes_add_up_to_the_states(
        steps in vec((0_u8..4, 0_u8..4, outcome()), 0..80),
    ) {
        let start = Instant::now();
        let mut schedule = Schedule::new(7);
        let mut told: BTreeMap<CheckTarget, Name> = BTreeMap::new();
        let mut running: Vec<Started> = Vec::new();
        for (step, (kind, last, outcome)) in steps.into_iter().enumerate() {
            let instant = start + Duration::from_secs(10) * u32::try_from(step).expect("few");
            let now = Moment { instant, time: Timestamp::UNIX_EPOCH };
            let target = target(last, "type=tcp, rise=1, fall=1");
            match kind {
                0 => schedule.want([(target, services(&["web"]))].into(), now),
                1 => schedule.want([(target, BTreeSet::new())].into(), now),
                2 => running.extend(schedule.start(instant)),
                _ => if let Some(started) = running.pop() {
                    schedule.finish(&started, outcome, now);
                },
            }
            for (target, error) in schedule.take_changes() {
                match error {
                    Some(error) => drop(told.insert(target, error)),
                    None => drop(told.remove(&target)),
                }
            }
            let failed: BTreeMap<CheckTarget, Name> = (schedule.targets())
                .filter_map(|(target, entry)| {
                    Some((target.clone(), entry.state.failed()?.clone()))
                })
                .collect();
            prop_assert_eq!(&told, &failed);
            prop_assert_eq!(schedule.counts().1, failed.len());
        }
    }
}

fn moment(start: Instant, after: Duration) -> Moment {
    Moment {
        instant: start + after,
        time: Timestamp::UNIX_EPOCH,
    }
}

/// Probes are spread over the first interval, then come once in about each interval, and a failure
/// is known within the time that the documentation names.
#[test]
fn probes_are_spread_and_regular() {
    let start = Instant::now();
    let mut schedule = Schedule::new(1);
    let check = "type=tcp, interval=10s, timeout=1s";
    let targets = (0..100).map(|last| (target(last, check), services(&["web"])));
    schedule.want(targets.collect(), moment(start, Duration::ZERO));
    let mut halves = [0, 0];
    let mut probes: BTreeMap<CheckTarget, Vec<Instant>> = BTreeMap::new();
    while let Some(due) = schedule
        .next_due()
        .filter(|due| *due < start + Duration::from_secs(100))
    {
        let started = schedule.start(due).expect("it is due");
        assert!(!started.is_late);
        if due < start + Duration::from_secs(10) {
            halves[usize::from(due >= start + Duration::from_secs(5))] += 1;
        }
        probes.entry(started.target.clone()).or_default().push(due);
        let now = moment(due, Duration::from_millis(500));
        schedule.finish(&started, refused(), now);
    }
    assert!(halves[0] > 25 && halves[1] > 25, "{halves:?}");
    assert_eq!(probes.len(), 100);
    for (target, times) in &probes {
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((9_499..10_501).contains(&gap.as_millis()), "{gap:?}");
        }
        assert!(times[2] - start <= detection_time(&target.probe));
    }
    assert_eq!(schedule.counts(), (0, 100));
}

#[test]
fn a_probe_of_an_earlier_entry_does_not_count() {
    let start = Instant::now();
    let mut schedule = Schedule::new(1);
    let target = target(1, "type=tcp, fall=1");
    let wanted = |names: &[&str]| [(target.clone(), services(names))].into();
    let now = moment(start, Duration::ZERO);
    schedule.want(wanted(&["web"]), now);
    let later = start + Duration::from_secs(10);
    let first = schedule.start(later).expect("a probe");
    assert_eq!(
        schedule.start(later),
        None,
        "one probe of a target at a time"
    );
    schedule.want(wanted(&[]), now);
    schedule.want(wanted(&["web", "api"]), now);
    schedule.finish(&first, refused(), now);
    assert_eq!(schedule.counts(), (1, 0));
    assert!(!schedule.has_changes());
    // Another Service is no new target.
    let second = schedule.start(later).expect("a probe");
    schedule.want(wanted(&["web"]), now);
    schedule.finish(&second, refused(), now);
    assert_eq!(schedule.counts(), (0, 1));
    let entry = schedule.targets().next().expect("the target").1;
    assert_eq!(entry.services, services(&["web"]));
}
