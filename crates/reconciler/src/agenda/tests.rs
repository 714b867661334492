use std::time::{Duration, Instant};

use ipvs::Protocol;
use model::kernel::OpErrorKind;

use super::{Agenda, Failure, GAP, Task};
use crate::entry::EntryKey;

const SECOND: Duration = Duration::from_secs(1);

fn agenda() -> (Agenda, Instant) {
    let now = Instant::now();
    (Agenda::new(30 * SECOND, 1, now), now)
}

fn retry(number: u16) -> Task {
    let key = fixtures::server_key([10, 96, 0, 1], number, Protocol::Tcp);
    Task::Retry(EntryKey::VirtualServer(key))
}

fn refused() -> Failure {
    Failure::Refused(OpErrorKind::Invalid)
}

#[test]
fn tasks_are_taken_in_the_order_of_their_times() {
    let (mut agenda, now) = agenda();
    agenda.schedule(Task::Slice, now + 2 * SECOND);
    agenda.schedule(Task::Audit, now + SECOND);
    assert_eq!(agenda.take(now), None);
    assert_eq!(agenda.next(), Some(now + SECOND));
    let later = now + 3 * SECOND;
    assert_eq!(agenda.take(later), Some(Task::Audit));
    assert_eq!(agenda.take(later), None, "at most one task at one instant");
    assert_eq!(agenda.next(), Some(later + GAP));
    assert_eq!(agenda.take(later + GAP), Some(Task::Slice));
    assert_eq!(agenda.next(), None);
}

#[test]
fn changes_and_other_tasks_take_turns() {
    let (mut agenda, now) = agenda();
    for number in 0..4 {
        agenda.failed(retry(number), refused(), now);
    }
    let mut later = now + SECOND;
    let mut taken = Vec::new();
    for _ in 0..6 {
        later += SECOND;
        agenda.schedule(Task::Changes, later);
        taken.extend(agenda.take(later));
        agenda.done(&Task::Changes);
    }
    let changes: Vec<bool> = taken.iter().map(|task| *task == Task::Changes).collect();
    assert_eq!(changes, [true, false, true, false, true, false]);
}

#[test]
fn a_task_scheduled_while_it_runs_stays_scheduled() {
    let (mut agenda, mut now) = agenda();
    for task in [Task::Audit, Task::Changes, Task::Slice] {
        agenda.schedule(task.clone(), now);
        assert_eq!(agenda.take(now), Some(task.clone()));
        agenda.advance(task.clone(), now);
        assert_eq!(agenda.take(now), None, "{task:?}");
        agenda.done(&task);
        assert_eq!(agenda.next(), Some(now + GAP));
        now += GAP;
        assert_eq!(agenda.take(now), Some(task.clone()));
        agenda.done(&task);
        now += GAP;
    }
}

#[test]
fn failures_double_the_wait_and_success_resets_it() {
    let (mut agenda, mut now) = agenda();
    let task = retry(1);
    let mut waits = Vec::new();
    for _ in 0..12 {
        agenda.failed(task.clone(), refused(), now);
        let at = agenda.next().expect("the task is on the agenda");
        waits.push(at - now);
        now = at;
        assert_eq!(agenda.take(now), Some(task.clone()));
    }
    for (failure, wait) in waits.iter().enumerate() {
        let whole = (Duration::from_millis(100) * (1 << failure)).min(30 * SECOND);
        // Long waits end on a beat.
        assert!(
            *wait >= whole / 2 && *wait <= whole + SECOND,
            "{failure}: {waits:?}"
        );
    }
    let due = agenda.get(&task).expect("it runs");
    assert_eq!((due.failures, due.at), (12, None));
    agenda.done(&task);
    assert_eq!(agenda.get(&task), None);
}

#[test]
fn events_do_not_shorten_the_wait_of_a_failing_task() {
    let (mut agenda, now) = agenda();
    agenda.schedule(Task::Audit, now);
    agenda.take(now);
    agenda.failed(Task::Audit, Failure::Unread, now);
    let at = agenda.next();
    agenda.advance(Task::Audit, now);
    assert_eq!(agenda.next(), at);
}

/// Any number of permanently failing entries costs at most one sync per second.
#[test]
fn long_waits_end_together() {
    let (mut agenda, mut now) = agenda();
    for number in 0..1_000 {
        agenda.failed(retry(number), refused(), now);
        now += Duration::from_millis(7);
    }
    let end = now + 600 * SECOND;
    let mut syncs = 0;
    while let Some(at) = agenda.next().filter(|at| *at <= end) {
        now = at;
        let first = agenda.take(now).expect("it is due");
        let mut tasks = vec![first];
        tasks.extend(agenda.take_like(now, 2_000, |task, _| matches!(task, Task::Retry(_))));
        tasks
            .into_iter()
            .for_each(|task| agenda.failed(task, refused(), now));
        syncs += u32::from(now > end - 400 * SECOND);
    }
    assert!(syncs <= 401, "{syncs} syncs in 400 s");
}

#[test]
fn only_blocked_entries_are_released() {
    let (mut agenda, now) = agenda();
    for _ in 0..8 {
        agenda.failed(retry(1), Failure::Blocked, now);
        agenda.failed(retry(2), refused(), now);
    }
    agenda.release_blocked(now, |_| true);
    assert_eq!(agenda.take(now + GAP), Some(retry(1)));
    assert_eq!(agenda.take(now + GAP), None);
}

#[test]
fn a_parked_setting_waits_for_another_configuration() {
    let (mut agenda, now) = agenda();
    let task = Task::Retry(EntryKey::Sysctl("net.ipv4.ip_forward".into()));
    agenda.park(task.clone(), OpErrorKind::ReadOnlySetting, now);
    assert_eq!(agenda.next(), None);
    assert!(agenda.get(&task).is_some_and(super::Due::is_parked));
    agenda.unpark();
    assert_eq!(agenda.get(&task), None);
}

#[test]
fn failing_guards_are_found_among_many_failing_entries() {
    let (mut agenda, now) = agenda();
    agenda.failed(retry(1), refused(), now);
    let rules = EntryKey::Rules(ipvs::AddressFamily::Ipv4);
    for entry in [&rules, &EntryKey::Device, &EntryKey::Timeouts] {
        agenda.failed(Task::Retry(entry.clone()), refused(), now);
    }
    let guards: Vec<_> = agenda.failing_guards().cloned().collect();
    assert_eq!(guards, [EntryKey::Device, rules]);
}

#[test]
fn a_lower_limit_shortens_waits_that_have_begun() {
    let (mut agenda, now) = agenda();
    for _ in 0..10 {
        agenda.failed(retry(1), refused(), now);
    }
    agenda.schedule(Task::Audit, now + Duration::from_secs(29));
    assert!(agenda.get(&retry(1)).and_then(|due| due.at) > Some(now + Duration::from_secs(10)));
    agenda.limit(Duration::from_secs(2), now);
    let at = |task| agenda.get(&task).and_then(|due| due.at);
    assert!(at(retry(1)) <= Some(now + Duration::from_secs(3)));
    // It did not fail: its time is no wait.
    assert_eq!(at(Task::Audit), Some(now + Duration::from_secs(29)));
}
