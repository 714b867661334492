//! Turns a task into a sync with the readings that it needs.

use std::collections::BTreeSet;
use std::time::Instant;

use ipvs::{AddressFamily, VirtualServerKey};
use model::cluster::Changed;
use model::snapshot::{Scope, Selection};
use model::tables::TableKeys;

use super::Reconciler;
use crate::agenda::{Failure, Task};
use crate::column::Column;
use crate::entry::EntryKey;
use crate::messages::Trigger;
use crate::slices::{SLICE, is_large};
use crate::sync_run::SyncRun;

/// Maximum number of entries retried in one sync.
const RETRIES_AT_ONCE: usize = 1024;

impl Reconciler {
    pub(super) fn begin(&mut self, task: Task, now: Instant) {
        // The first audit reads and compiles everything, so all other tasks are dropped before it.
        if !self.synced && task != Task::Audit {
            self.agenda.remove(&task);
            return;
        }
        if let Task::Retry(entry) = &task
            && !self.agenda.is_blocked(&task)
            && let Some(at) = self.waits_for_column(entry.column())
        {
            self.agenda.schedule(task, at);
            return;
        }
        self.run = Some(match task {
            Task::Changes => self.begin_changes(now),
            Task::Large => self.begin_large(now),
            Task::Audit => self.begin_audit(now),
            Task::Read(column) => {
                let trigger = match column {
                    Column::Addresses => Trigger::Node,
                    _ => Trigger::Retry,
                };
                let scope = column.scope(self.selection());
                SyncRun::new(trigger, vec![task], now).reading(column, scope)
            }
            Task::Slice => {
                let keys = self.slices.next(&self.cache, now);
                servers_run(Trigger::AuditSlice, vec![task], keys, now)
            }
            Task::Ramps => self.begin_ramps(now),
            Task::Drain(_) => self.begin_drains(task, now),
            Task::Retry(ref entry) => {
                let column = entry.column();
                self.begin_retries(task, column, now)
            }
        });
    }

    /// Returns the next reading of a column that cannot be read, or `None` if it can be read. Until
    /// then its entries are not read one by one.
    fn waits_for_column(&self, column: Column) -> Option<Instant> {
        let due = self.agenda.get(&Task::Read(column))?;
        due.at.filter(|_| due.failures > 0)
    }

    /// Starts an audit, which reads everything but the real servers of a large table. Columns that
    /// could not be read wait for their own retry.
    fn begin_audit(&mut self, now: Instant) -> SyncRun {
        let mut run = SyncRun::new(Trigger::Audit, vec![Task::Audit], now);
        run.first = !self.synced;
        for column in Column::ALL {
            let waits = self.waits_for_column(column).is_some();
            if !waits || column == Column::VirtualServers {
                run.read_later(column, column.scope(self.selection()));
            }
        }
        run
    }

    /// Compiles the Services that changed, or all Services after a change of the configuration.
    /// Reads nothing, since the cache holds the kernel's tables.
    fn begin_changes(&mut self, now: Instant) -> SyncRun {
        let mut run = SyncRun::new(Trigger::Change, vec![Task::Changes], now);
        if !self.compiled {
            // Everything is compiled when the sync is planned.
            return run;
        }
        self.changed_since = None;
        let (compiler, cluster) = (&self.compiler, &self.cluster);
        let changed = (self.pending).take_changed(|name| compiler.cost(cluster, name));
        if !self.pending.has_changes() {
            run.covers = Some(self.absorbed);
        }
        run.keys = self.compiler.update(&self.cluster, &changed);
        run.keys.merge(self.follow_arrivals(now));
        run
    }

    /// Writes compiled entries that wait. If none waits, it first compiles a Service that is too
    /// large for one sync.
    fn begin_large(&mut self, now: Instant) -> SyncRun {
        let mut run = SyncRun::new(Trigger::Change, vec![Task::Large], now);
        if let Some(service) = self.pending.take_large() {
            let changed = Changed {
                services: [service].into(),
                ..Changed::default()
            };
            let mut keys = self.compiler.update(&self.cluster, &changed);
            keys.merge(self.follow_arrivals(now));
            self.pending.add_compiled(keys);
        }
        let desired = &self.compiler.desired().tables.virtual_servers;
        let live = &self.cache.tables.virtual_servers;
        run.keys = self.pending.take_entries(|key| {
            let real_servers = [desired, live].map(|servers| servers.get(key));
            let real_servers = real_servers.into_iter().flatten();
            1 + real_servers
                .map(|entry| entry.real_servers.len())
                .sum::<usize>()
        });
        // Several parts may contain the same address. A failed address is retried by its own task.
        let agenda = &self.agenda;
        (run.keys.addresses)
            .retain(|at| agenda.get(&Task::Retry(EntryKey::Address(*at))).is_none());
        run
    }

    fn begin_drains(&mut self, first: Task, now: Instant) -> SyncRun {
        let is_drain = |task: &Task, _: Option<&Failure>| matches!(task, Task::Drain(_));
        let mut tasks = vec![first];
        tasks.extend(self.agenda.take_like(now, SLICE - 1, is_drain));
        let keys = (tasks.iter())
            .filter_map(|task| match task {
                Task::Drain(key) => Some(*key),
                _ => None,
            })
            .collect();
        servers_run(Trigger::Drain, tasks, keys, now)
    }

    /// Retries entries of one column. Retries of other columns run separately, so that a column
    /// that cannot be read does not delay them. Blocked entries need no reading, since the cache
    /// still shows them.
    fn begin_retries(&mut self, first: Task, column: Column, now: Instant) -> SyncRun {
        let blocked = self.agenda.is_blocked(&first);
        let is_like = |task: &Task, failure: Option<&Failure>| {
            matches!(task, Task::Retry(entry) if entry.column() == column)
                && (failure == Some(&Failure::Blocked)) == blocked
        };
        let mut tasks = vec![first];
        let limit = match column {
            Column::VirtualServers => SLICE - 1,
            _ => RETRIES_AT_ONCE,
        };
        tasks.extend(self.agenda.take_like(now, limit, is_like));
        let mut keys = TableKeys::default();
        for task in &tasks {
            if let Task::Retry(entry) = task {
                entry.add_to(&mut keys);
            }
        }
        let mut run = SyncRun::new(Trigger::Retry, tasks, now);
        if !blocked {
            if column == Column::Rules {
                // The reading returns the rules of both families. A difference in the other family
                // is repaired too, so that the cache has no difference that other entries could
                // build on.
                let families = AddressFamily::ALL;
                keys.rules.extend(families.iter().filter(|family| {
                    let retry = Task::Retry(EntryKey::Rules(**family));
                    self.agenda.get(&retry).is_none()
                }));
            }
            run = run.reading(column, Scope::of(&keys));
            run.servers.clone_from(&keys.virtual_servers);
        }
        run.keys = keys;
        run
    }

    /// Returns the selection of virtual servers that an audit reads. Once a large table is known,
    /// the audit omits real servers.
    fn selection(&self) -> Selection {
        match self.known.contains(&Column::VirtualServers) && is_large(&self.cache) {
            true => Selection::WithoutRealServers,
            false => Selection::All,
        }
    }
}

/// Creates a sync that reads and compares these virtual servers with their real servers.
fn servers_run(
    trigger: Trigger,
    tasks: Vec<Task>,
    keys: BTreeSet<VirtualServerKey>,
    now: Instant,
) -> SyncRun {
    let selection = Selection::Only(keys.clone());
    let scope = Column::VirtualServers.scope(selection);
    let mut run = SyncRun::new(trigger, tasks, now).reading(Column::VirtualServers, scope);
    run.servers.clone_from(&keys);
    run.keys.virtual_servers = keys;
    run
}
