//! The only place that knows when something is done next.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::kernel::OpErrorKind;

use crate::backoff::Backoff;
use crate::column::Column;
use crate::entry::EntryKey;

/// Time between the starts of two syncs at least. So no effect is repeated at one instant, whatever is due.
const GAP: Duration = Duration::from_millis(1);

/// Waits of this length and more end on a common beat, so that entries that keep failing are tried together: one
/// reading a second at most, however many they are.
const BEAT: Duration = Duration::from_secs(1);

/// Tasks that are due within this time are done together: they need the same reading.
const SOON: Duration = Duration::from_millis(50);

/// Longest wait after a reading that failed, however long it took.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Compile the Services that changed and apply the difference.
    Changes,
    /// Compile and apply the next part of what is too much for one sync.
    Large,
    /// Read and compare everything but the real servers of a large table.
    Audit,
    /// Read and compare one column: its reading failed, or the kernel reported a change.
    Read(Column),
    /// Read and compare the next slice of real servers of a large table.
    Slice,
    /// Count connections of the real servers that drain from this virtual server.
    Drain(VirtualServerKey),
    /// Read, compare and write an entry of which a change failed.
    Retry(EntryKey),
}

/// When a task is due, and how it went before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// When it is due; `None` while it runs, or if only another configuration can help it.
    pub at: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// When the first of these failures happened.
    pub failing_since: Option<Instant>,
    /// Why the last attempt failed.
    pub failure: Option<Failure>,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel could not be read, or the reading was torn.
    Unread,
    /// The kernel refused a change.
    Refused(OpErrorKind),
    /// It was not tried, because a change failed that it depends on.
    Blocked,
}

impl Task {
    /// The column that it reads first. A failure of the task that is no entry's is a failure to read this column.
    #[must_use]
    pub fn column(&self) -> Column {
        match self {
            Self::Read(column) => *column,
            Self::Retry(entry) => entry.column(),
            Self::Changes | Self::Large | Self::Audit | Self::Slice | Self::Drain(_) => {
                Column::VirtualServers
            }
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes => f.write_str("sync of changes"),
            Self::Large => f.write_str("sync of large changes"),
            Self::Audit => f.write_str("audit"),
            Self::Read(column) => write!(f, "reading of {column}"),
            Self::Slice => f.write_str("audit of real servers"),
            Self::Drain(server) => write!(f, "count of connections of {server}"),
            Self::Retry(entry) => write!(f, "retry of {entry}"),
        }
    }
}

impl Failure {
    /// The operator's next step if the failure persists.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unread => "see the log of kube-ipvsd for what cannot be read",
            Self::Refused(error) => error.advice(),
            Self::Blocked => "solve the failing device, set or rules first",
        }
    }

    /// Returns true if retries cannot succeed before the node is set up in another way.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused(error) if is_permanent(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread => f.write_str("the kernel could not be read"),
            Self::Refused(error) => error.fmt(f),
            Self::Blocked => f.write_str("it waits for an entry that it depends on"),
        }
    }
}

/// Every task, with the time at which it is due.
///
/// A task is [taken](Self::take) to be run. While it runs it keeps its history here; [`Self::done`] forgets it,
/// [`Self::failed`] puts it back with a longer wait.
#[derive(Debug)]
pub(crate) struct Agenda {
    due: BTreeMap<Task, Due>,
    order: BTreeSet<(Instant, Task)>,
    /// When each task that is scheduled by events ran last.
    ran: BTreeMap<Task, Instant>,
    /// When a task may be taken next.
    open_at: Instant,
    /// True if the last task taken was [`Task::Changes`].
    took_changes: bool,
    backoff: Backoff,
    epoch: Instant,
}

impl Agenda {
    /// An empty agenda. Waits after failures double up to `limit`; `seed` spreads them.
    pub(crate) fn new(limit: Duration, seed: u64, now: Instant) -> Self {
        Self {
            due: BTreeMap::new(),
            order: BTreeSet::new(),
            ran: BTreeMap::new(),
            open_at: now,
            took_changes: false,
            backoff: Backoff::new(limit, seed),
            epoch: now,
        }
    }

    /// Limits waits after failures from now on.
    pub(crate) fn limit(&mut self, limit: Duration) {
        self.backoff.limit(limit);
    }

    /// The state of `task`; `None` if it is not on the agenda.
    pub(crate) fn get(&self, task: &Task) -> Option<&Due> {
        self.due.get(task)
    }

    /// When the next task can be taken.
    pub(crate) fn next(&self) -> Option<Instant> {
        (self.order.first()).map(|(at, _)| (*at).max(self.open_at))
    }

    /// When `task` ran last.
    pub(crate) fn last_run(&self, task: &Task) -> Option<Instant> {
        self.ran.get(task).copied()
    }

    /// Takes the first task that is due, one for each instant. Changes of the cluster go first, but not twice in a row while
    /// something else is due.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Task> {
        if now < self.open_at {
            return None;
        }
        let changes = self.is_due(&Task::Changes, now);
        let other = (self.order.iter())
            .take_while(|(at, _)| *at <= now)
            .map(|(_, task)| task)
            .find(|task| **task != Task::Changes);
        let task = match other {
            Some(other) if !changes || self.took_changes => other.clone(),
            _ if changes => Task::Changes,
            _ => return None,
        };
        self.took_changes = task == Task::Changes;
        self.open_at = now + GAP;
        self.start(&task, now);
        Some(task)
    }

    /// A sync ended at `now`. The next one begins after the gap, so that the loop gets control however long each of them takes.
    pub(crate) fn close(&mut self, now: Instant) {
        self.open_at = now + GAP;
    }

    /// Takes further tasks for which `like` holds, `limit` at most: those that are due, and those that would be due while
    /// the sync of the first one has barely ended.
    pub(crate) fn take_like(
        &mut self,
        now: Instant,
        limit: usize,
        like: impl Fn(&Task, Option<&Failure>) -> bool,
    ) -> Vec<Task> {
        let soon = now + SOON;
        let tasks: Vec<Task> = (self.order.iter())
            .take_while(|(at, _)| *at <= soon)
            .map(|(_, task)| task)
            .filter(|task| {
                let due = self.due.get(*task);
                like(task, due.and_then(|due| due.failure.as_ref()))
            })
            .take(limit)
            .cloned()
            .collect();
        for task in &tasks {
            self.start(task, now);
        }
        tasks
    }

    fn is_due(&self, task: &Task, now: Instant) -> bool {
        let due = self.due.get(task).and_then(|due| due.at);
        due.is_some_and(|at| at <= now)
    }

    fn start(&mut self, task: &Task, now: Instant) {
        if let Some(due) = self.due.get_mut(task)
            && let Some(at) = due.at.take()
        {
            self.order.remove(&(at, task.clone()));
        }
        if is_scheduled_by_events(task) {
            self.ran.insert(task.clone(), now);
        }
    }

    /// Puts `task` at `at`, wherever it was. That is no failure: its history stays.
    pub(crate) fn schedule(&mut self, task: Task, at: Instant) {
        let due = self.due.entry(task.clone()).or_default();
        let before = due.at.replace(at);
        self.place(task, before, at);
    }

    /// Brings `task` forward to `at` if it is later or not on the agenda. A task that fails keeps its wait; one that runs
    /// will run again.
    pub(crate) fn advance(&mut self, task: Task, at: Instant) {
        match self.due.get(&task).map(|due| (due.at, due.failures)) {
            Some((Some(_), 1..)) => {}
            Some((Some(before), 0)) if before <= at => {}
            _ => self.schedule(task, at),
        }
    }

    /// `task` ended well. If it was scheduled again while it ran, that stays.
    pub(crate) fn done(&mut self, task: &Task) {
        match self.due.get_mut(task) {
            Some(due) if due.at.is_some() => {
                *due = Due {
                    at: due.at,
                    ..Due::default()
                };
            }
            _ => {
                self.due.remove(task);
            }
        }
    }

    /// Takes `task` off the agenda; whether it was on it.
    pub(crate) fn remove(&mut self, task: &Task) -> bool {
        let removed = self.due.remove(task);
        if let Some(Due { at: Some(at), .. }) = removed {
            self.order.remove(&(at, task.clone()));
        }
        removed.is_some()
    }

    /// A reading for `task` failed at `now` after `took`: it is due again after its wait, which is at least as long as the reading
    /// took, so that a slow kernel is not read all the time. Returns when.
    pub(crate) fn unread(&mut self, task: Task, took: Duration, now: Instant) -> Instant {
        self.failed(task.clone(), Failure::Unread, now);
        let wait = now + took.min(LONGEST_WAIT);
        let at = self.due.get(&task).and_then(|due| due.at).unwrap_or(wait);
        if at < wait {
            self.schedule(task, wait);
        }
        at.max(wait)
    }

    /// `task` failed at `now`: it is due again after its wait.
    pub(crate) fn failed(&mut self, task: Task, failure: Failure, now: Instant) {
        let due = self.due.entry(task.clone()).or_default();
        due.failures = due.failures.saturating_add(1);
        due.failing_since.get_or_insert(now);
        due.failure = Some(failure);
        let wait = self.backoff.wait(due.failures);
        let at = on_the_beat(self.epoch, now, wait);
        let before = due.at.replace(at);
        self.place(task, before, at);
    }

    /// `task` failed, and only another configuration can help: see [`Self::unpark`].
    pub(crate) fn park(&mut self, task: Task, error: OpErrorKind, now: Instant) {
        let due = self.due.entry(task.clone()).or_default();
        due.failures = due.failures.saturating_add(1);
        due.failing_since.get_or_insert(now);
        due.failure = Some(Failure::Refused(error));
        if let Some(at) = due.at.take() {
            self.order.remove(&(at, task));
        }
    }

    /// Forgets the tasks that were parked.
    pub(crate) fn unpark(&mut self) {
        self.due.retain(|_, due| !due.is_parked());
    }

    /// Entries that were blocked are due now, if `may_go` holds for them: what blocked them may be there. Their waits begin anew:
    /// they were not tried themselves.
    pub(crate) fn release_blocked(&mut self, now: Instant, may_go: impl Fn(&EntryKey) -> bool) {
        let waits = |due: &Due| due.at.is_some_and(|at| at > now);
        let blocked: Vec<Task> = (self.retries())
            .filter(|(entry, due)| due.is_blocked() && waits(due) && may_go(entry))
            .map(|(entry, _)| Task::Retry(entry.clone()))
            .collect();
        for task in blocked {
            if let Some(due) = self.due.get_mut(&task) {
                due.failures = 1;
            }
            self.schedule(task, now);
        }
    }

    /// Returns true if `task` waits for another entry and was not tried itself: the kernel still holds of it what is known.
    pub(crate) fn is_blocked(&self, task: &Task) -> bool {
        self.due.get(task).is_some_and(Due::is_blocked)
    }

    /// Returns true if `task` is put to some time.
    pub(crate) fn waits(&self, task: &Task) -> bool {
        self.due.get(task).is_some_and(|due| due.at.is_some())
    }

    /// Entries of which a change failed.
    pub(crate) fn retries(&self) -> impl Iterator<Item = (&EntryKey, &Due)> {
        let first = Task::Retry(EntryKey::FIRST);
        self.due
            .range(first..)
            .filter_map(|(task, due)| match task {
                Task::Retry(entry) => Some((entry, due)),
                _ => None,
            })
    }

    /// Failing entries that others depend on: sets, rules, the device. Few, however many entries fail.
    pub(crate) fn failing_guards(&self) -> impl Iterator<Item = &EntryKey> {
        let entries = self.retries().map(|(entry, _)| entry);
        (entries.take_while(|entry| !entry.is_one_of_many())).filter(|entry| entry.blocks_others())
    }

    /// Tasks that fail and are not retries of an entry.
    pub(crate) fn failing_readings(&self) -> impl Iterator<Item = (&Task, &Due)> {
        let first = Task::Retry(EntryKey::FIRST);
        (self.due.range(..first)).filter(|(_, due)| due.failures > 0)
    }

    fn place(&mut self, task: Task, before: Option<Instant>, at: Instant) {
        if let Some(before) = before {
            self.order.remove(&(before, task.clone()));
        }
        self.order.insert((at, task));
    }
}

impl Due {
    fn is_blocked(&self) -> bool {
        self.failure == Some(Failure::Blocked)
    }

    /// Returns true if the task waits for another configuration.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.at.is_none() && self.failure.as_ref().is_some_and(Failure::is_permanent)
    }
}

/// Returns true if trying again is of no use before the node is set up in another way.
pub(crate) fn is_permanent(error: &OpErrorKind) -> bool {
    matches!(
        error,
        OpErrorKind::ReadOnlySetting | OpErrorKind::NoSuchSetting
    )
}

/// The end of a wait that begins at `now`. Long waits end on the next beat.
fn on_the_beat(epoch: Instant, now: Instant, wait: Duration) -> Instant {
    let at = now + wait;
    if wait < BEAT {
        return at;
    }
    let since = at.saturating_duration_since(epoch);
    let beats = u32::try_from(since.as_nanos().div_ceil(BEAT.as_nanos())).unwrap_or(u32::MAX);
    epoch + BEAT.saturating_mul(beats)
}

fn is_scheduled_by_events(task: &Task) -> bool {
    !matches!(task, Task::Drain(_) | Task::Retry(_))
}
