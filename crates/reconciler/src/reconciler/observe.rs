//! Handles the results of kernel readings.

use std::time::Instant;

use model::kernel::ObserveError;
use model::snapshot::{Scope, Selection, SetSelection, Snapshot};

use super::Reconciler;
use crate::agenda::Task;
use crate::column::Column;
use crate::messages::{Effect, Report};
use crate::sync_run::SyncRun;

/// Number of consecutive torn lists that are read again. A further torn list is accepted, for
/// additions only.
const TORN_LISTS: u32 = 5;

impl Reconciler {
    pub(super) fn observed(
        &mut self,
        scope: &Scope,
        answer: Result<Snapshot, ObserveError>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let Some((column, began)) = run.take_reading() else {
            self.run = Some(run);
            return;
        };
        let accepted = match answer {
            Ok(snapshot) => self.accept(&mut run, column, scope, snapshot, began),
            Err(error) => {
                effects.push(Effect::Report(Report::ObserveFailed(error)));
                false
            }
        };
        if accepted {
            self.run = Some(run);
            return;
        }
        let took = now.saturating_duration_since(began);
        if run.is_audit() && column != Column::VirtualServers {
            // The audit continues without this column.
            self.agenda.unread(Task::Read(column), took, now);
            self.run = Some(run);
            return;
        }
        // Without the reading nothing can be compared, so the tasks wait for their retry.
        self.agenda.close(now);
        if column == Column::VirtualServers {
            for task in run.tasks {
                self.agenda.unread(task, took, now);
            }
            return;
        }
        // All entries of the column wait for one reading of it.
        let at = self.agenda.unread(Task::Read(column), took, now);
        for task in run.tasks {
            if task != Task::Read(column) {
                self.agenda.schedule(task, at);
            }
        }
    }

    /// Merges a reading into the cache. Returns false if the reading cannot be used.
    fn accept(
        &mut self,
        run: &mut SyncRun,
        column: Column,
        scope: &Scope,
        mut snapshot: Snapshot,
        began: Instant,
    ) -> bool {
        let torn = std::mem::take(&mut snapshot.torn);
        if torn && !self.accepts_torn(run, column) {
            return false;
        }
        run.torn |= torn;
        match (column, &scope.virtual_servers) {
            (Column::VirtualServers, Selection::Only(keys)) => {
                self.cache.update(scope, snapshot);
                self.drains.counted(Some(keys), &self.cache, began);
            }
            (Column::VirtualServers, selection) => {
                if *selection == Selection::WithoutRealServers {
                    let changed: Vec<_> = self.cache.unlike(&snapshot).into_iter().collect();
                    run.read_servers(&changed);
                } else {
                    run.all_servers = true;
                }
                if torn {
                    // An entry that the torn list lacks may exist.
                    self.cache.add_listed(scope, snapshot);
                } else {
                    self.cache.update(scope, snapshot);
                }
                if run.all_servers {
                    self.drains.counted(None, &self.cache, began);
                }
                run.read.insert(column);
            }
            (Column::Addresses, _) => {
                let moved = &self.cache.tables.addresses ^ &snapshot.tables.addresses;
                run.moved = moved;
                run.device_moved = self.cache.device != snapshot.device;
                self.cache.update(scope, snapshot);
                run.read.insert(column);
            }
            _ => {
                self.cache.update(scope, snapshot);
                if column != Column::Sets || scope.sets == SetSelection::All {
                    run.read.insert(column);
                }
            }
        }
        true
    }

    /// Returns true if a torn list is accepted, because no better list is known or because it was
    /// read again often enough. Virtual servers that are read by key are always read again.
    fn accepts_torn(&self, run: &SyncRun, column: Column) -> bool {
        let task = match column {
            Column::VirtualServers if run.is_audit() => Task::Audit,
            Column::Addresses => Task::Read(column),
            _ => return false,
        };
        let failures = self.agenda.get(&task).map_or(0, |due| due.failures);
        !self.known.contains(&column) || failures >= TORN_LISTS
    }
}
