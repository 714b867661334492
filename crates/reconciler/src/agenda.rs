//! Decides when each task runs.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::kernel::OpErrorKind;
use model::{Backoff, BackoffSettings};

use crate::column::Column;
use crate::entry::EntryKey;

/// Minimum time between the starts of two syncs. It guarantees that no effect is repeated at one
/// instant.
const GAP: Duration = Duration::from_millis(1);

/// Waits of at least this length end on a common beat. Entries that keep failing are then retried
/// together, with at most one reading per second for any number of entries.
const BEAT: Duration = Duration::from_secs(1);

/// Tasks that are due within this time run together, because they need the same reading.
const SOON: Duration = Duration::from_millis(50);

/// The wait before the first retry, before jitter (deviation D2).
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Longest wait after a failed reading, however long the reading took.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A task of the loop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Compile the Services that changed and apply the difference.
    Changes,
    /// Compile and apply the next part of a change that is too large for one sync.
    Large,
    /// Read and compare everything but the real servers of a large table.
    Audit,
    /// Read and compare one column, after its reading failed or after the kernel reported a change.
    Read(Column),
    /// Read and compare the next slice of real servers of a large table.
    Slice,
    /// Make the steps of slow starts that are due.
    Ramps,
    /// Count the connections of the real servers that drain from this virtual server.
    Drain(VirtualServerKey),
    /// Read, compare and write an entry whose last change failed.
    Retry(EntryKey),
}

/// Schedule and failure history of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Time when the task is due. `None` while the task runs, or if it is parked until the
    /// configuration changes.
    pub at: Option<Instant>,
    /// Number of consecutive failures.
    pub failures: u32,
    /// Time of the first of these failures.
    pub failing_since: Option<Instant>,
    /// Reason of the last failure.
    pub failure: Option<Failure>,
}

/// Reason why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel could not be read, or the reading was torn.
    Unread,
    /// The kernel refused a change.
    Refused(OpErrorKind),
    /// The change was skipped because a change that it depends on failed.
    Blocked,
}

impl Task {
    /// Returns the column that the task reads first. If the task is not a retry of an entry, its
    /// failure is a failure to read this column.
    #[must_use]
    pub fn column(&self) -> Column {
        match self {
            Self::Read(column) => *column,
            Self::Retry(entry) => entry.column(),
            Self::Changes
            | Self::Large
            | Self::Audit
            | Self::Slice
            | Self::Ramps
            | Self::Drain(_) => Column::VirtualServers,
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
            Self::Ramps => f.write_str("steps of slow starts"),
            Self::Drain(server) => write!(f, "count of connections of {server}"),
            Self::Retry(entry) => write!(f, "retry of {entry}"),
        }
    }
}

impl Failure {
    /// Returns the operator's next step if the failure persists.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unread => "the log of kube-ipvsd names the table that cannot be read",
            Self::Refused(error) => error.advice(),
            Self::Blocked => "fix the failing device, set or rules first",
        }
    }

    /// Returns true if no retry can succeed until the node is set up differently.
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
            Self::Blocked => f.write_str("waits for an entry that it depends on"),
        }
    }
}

/// All tasks with the time when each is due.
///
/// A task that was [taken](Self::take) keeps its history while it runs. [`Self::done`] clears the
/// history, [`Self::failed`] schedules the task again with a longer wait.
#[derive(Debug)]
pub(crate) struct Agenda {
    due: BTreeMap<Task, Due>,
    order: BTreeSet<(Instant, Task)>,
    /// Last start of each task that events schedule.
    ran: BTreeMap<Task, Instant>,
    /// Earliest time for the next task.
    open_at: Instant,
    /// True if the last task taken was [`Task::Changes`].
    took_changes: bool,
    backoff: Backoff,
    epoch: Instant,
}

impl Agenda {
    /// Creates an empty agenda. Waits after failures double up to `limit`. `seed` randomizes them.
    pub(crate) fn new(limit: Duration, seed: u64, now: Instant) -> Self {
        Self {
            due: BTreeMap::new(),
            order: BTreeSet::new(),
            ran: BTreeMap::new(),
            open_at: now,
            took_changes: false,
            backoff: Backoff::new(
                BackoffSettings {
                    base: FIRST_RETRY,
                    max: limit,
                },
                seed,
            ),
            epoch: now,
        }
    }

    /// Sets the limit of waits after failures. Longer waits that have begun are shortened to it.
    pub(crate) fn limit(&mut self, limit: Duration, now: Instant) {
        self.backoff.set_max(limit);
        let latest = on_the_beat(self.epoch, now, limit);
        let waits: Vec<Task> = (self.order.iter().rev())
            .take_while(|(at, _)| *at > latest)
            .map(|(_, task)| task)
            .filter(|task| self.due.get(task).is_some_and(|due| due.failures > 0))
            .cloned()
            .collect();
        for task in waits {
            self.schedule(task, latest);
        }
    }

    /// Returns the state of `task`, or `None` if it is not on the agenda.
    pub(crate) fn get(&self, task: &Task) -> Option<&Due> {
        self.due.get(task)
    }

    /// Returns the time when the next task can be taken.
    pub(crate) fn next(&self) -> Option<Instant> {
        (self.order.first()).map(|(at, _)| (*at).max(self.open_at))
    }

    /// Returns the last start of `task`.
    pub(crate) fn last_run(&self, task: &Task) -> Option<Instant> {
        self.ran.get(task).copied()
    }

    /// Takes the first task that is due. At most one task is taken at one instant.
    ///
    /// Changes of the cluster go first, but not twice in a row while another task is due.
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

    /// Records that a sync ended at `now`. The next sync starts after the gap, so that the loop
    /// regains control however long a sync takes.
    pub(crate) fn close(&mut self, now: Instant) {
        self.open_at = now + GAP;
    }

    /// Takes up to `limit` further tasks that `like` selects and that are due now or within
    /// [`SOON`].
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

    /// Schedules `task` at `at`, whether or not it was scheduled before. The failure history is
    /// kept.
    pub(crate) fn schedule(&mut self, task: Task, at: Instant) {
        let due = self.due.entry(task.clone()).or_default();
        let before = due.at.replace(at);
        self.place(task, before, at);
    }

    /// Moves `task` forward to `at` if it is due later or not on the agenda.
    ///
    /// A task that failed keeps its wait. A running task will run again.
    pub(crate) fn advance(&mut self, task: Task, at: Instant) {
        match self.due.get(&task).map(|due| (due.at, due.failures)) {
            Some((Some(_), 1..)) => {}
            Some((Some(before), 0)) if before <= at => {}
            _ => self.schedule(task, at),
        }
    }

    /// Records a success of `task`. A schedule that was set while the task ran is kept.
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

    /// Removes `task` from the agenda and returns true if it was there.
    pub(crate) fn remove(&mut self, task: &Task) -> bool {
        let removed = self.due.remove(task);
        if let Some(Due { at: Some(at), .. }) = removed {
            self.order.remove(&(at, task.clone()));
        }
        removed.is_some()
    }

    /// Records a failed reading for `task` that ended at `now` after `took`, and returns when the
    /// task is due again.
    ///
    /// The wait is at least as long as the reading took, so that a slow kernel is not read all the
    /// time.
    pub(crate) fn unread(&mut self, task: Task, took: Duration, now: Instant) -> Instant {
        self.failed(task.clone(), Failure::Unread, now);
        let wait = now + took.min(LONGEST_WAIT);
        let at = self.due.get(&task).and_then(|due| due.at).unwrap_or(wait);
        if at < wait {
            self.schedule(task, wait);
        }
        at.max(wait)
    }

    /// Records a failure of `task` at `now` and schedules the task after its back-off.
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

    /// Records a failure of `task` that only another configuration can fix. [`Self::unpark`] ends
    /// the wait.
    pub(crate) fn park(&mut self, task: Task, error: OpErrorKind, now: Instant) {
        let due = self.due.entry(task.clone()).or_default();
        due.failures = due.failures.saturating_add(1);
        due.failing_since.get_or_insert(now);
        due.failure = Some(Failure::Refused(error));
        if let Some(at) = due.at.take() {
            self.order.remove(&(at, task));
        }
    }

    /// Removes all parked tasks.
    pub(crate) fn unpark(&mut self) {
        self.due.retain(|_, due| !due.is_parked());
    }

    /// Schedules blocked entries at `now` if `may_go` holds for them, because their prerequisite
    /// may exist now. Their back-off restarts, since they were never tried.
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

    /// Returns true if `task` was skipped because of another entry. The cache still shows the
    /// kernel's state of its entry.
    pub(crate) fn is_blocked(&self, task: &Task) -> bool {
        self.due.get(task).is_some_and(Due::is_blocked)
    }

    /// Returns true if `task` is scheduled.
    pub(crate) fn waits(&self, task: &Task) -> bool {
        self.due.get(task).is_some_and(|due| due.at.is_some())
    }

    /// Returns the entries whose last change failed.
    pub(crate) fn retries(&self) -> impl Iterator<Item = (&EntryKey, &Due)> {
        let first = Task::Retry(EntryKey::FIRST);
        self.due
            .range(first..)
            .filter_map(|(task, due)| match task {
                Task::Retry(entry) => Some((entry, due)),
                _ => None,
            })
    }

    /// Returns the failing entries that others depend on: sets, rules and the device. Their number
    /// is small, however many entries fail.
    pub(crate) fn failing_guards(&self) -> impl Iterator<Item = &EntryKey> {
        let entries = self.retries().map(|(entry, _)| entry);
        (entries.take_while(|entry| !entry.is_one_of_many())).filter(|entry| entry.blocks_others())
    }

    /// Returns the failing tasks that are not retries of an entry.
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

/// Returns true if no retry can succeed until the node is set up differently.
pub(crate) fn is_permanent(error: &OpErrorKind) -> bool {
    matches!(
        error,
        OpErrorKind::ReadOnlySetting | OpErrorKind::NoSuchSetting
    )
}

/// Returns the end of a wait that starts at `now`. A long wait ends on the next beat.
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
