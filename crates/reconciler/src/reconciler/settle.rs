//! Plans a sync and handles its end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::names::Name;
use model::plan::{DependencyGate, Op, OpEffect, Plan, Reason};
use model::snapshot::Selection;
use model::tables::TableKeys;
use planner::{Ownership, Retire};

use super::{Reconciler, Source};
use crate::agenda::{self, Failure, Task};
use crate::column::{self, Column};
use crate::drains::View;
use crate::entry::EntryKey;
use crate::messages::{Effect, Report, Trigger};
use crate::slices::{self, is_large};
use crate::sync_run::SyncRun;

/// Pause after an audit, as a multiple of the duration of its readings. It limits the share of time
/// that audits take.
const AUDIT_PAUSE: u32 = 4;

/// Longest pause after an audit, however long the audit took.
const LONGEST_AUDIT_PAUSE: Duration = Duration::from_secs(60);

impl Reconciler {
    /// Compares the entries of the sync and plans the ops.
    pub(super) fn plan(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let has_new_column = run.read.difference(&self.known).next().is_some();
        self.known.extend(&run.read);
        self.cache.torn |= run.torn;
        self.record(&run, has_new_column);
        self.compile(&mut run, now);
        if has_new_column {
            // Entries that depend on this column were skipped so far, and the ownership of some
            // entries was unknown.
            let desired = &self.compiler.desired().tables;
            run.keys = column::keys_of(&self.known, desired, &self.cache.tables);
            run.first = true;
        }
        column::restrict(&mut run.keys, &self.known, &self.cache);
        if self.reads_absent(&mut run) {
            self.run = Some(run);
            return;
        }
        let plan = self.diff(&run, now);
        self.report_drift(&run, &plan, effects);
        if plan.withheld > 0 {
            effects.push(Effect::Report(Report::DeletionsWithheld(plan.withheld)));
        }
        for key in &run.keys.virtual_servers {
            let finding = plan.findings.get(key).cloned();
            let source = Source::Foreign(*key);
            self.findings.set(source, finding.into_iter().collect());
        }
        if !self.failed_entries.is_empty() {
            // The sets are compared completely, so entries that fail again are recorded again.
            (self.failed_entries).retain(|(set, _)| !run.keys.sets.contains(set));
        }
        let mut gate = self.gate(&run.keys);
        let mut plan = self.leave_to_retries(plan, &run.keys, &mut gate);
        run.limit(&mut plan, self.pending.ops_at_once);
        run.plan(plan, gate, now);
        self.run = Some(run);
    }

    /// After a torn list, reads by key the virtual servers that would be added. Returns true if
    /// there are any.
    ///
    /// A foreign virtual server that the list lacks would otherwise get an address and set entries
    /// that make it look like ours.
    fn reads_absent(&self, run: &mut SyncRun) -> bool {
        if !run.torn {
            return false;
        }
        let desired = &self.compiler.desired().tables.virtual_servers;
        let live = &self.cache.tables.virtual_servers;
        let absent: Vec<VirtualServerKey> = (run.keys.virtual_servers.iter().copied())
            .filter(|key| desired.contains_key(key) && !live.contains_key(key))
            .filter(|key| !run.servers.contains(key))
            .collect();
        run.read_servers(&absent);
        !absent.is_empty()
    }

    /// Records the ownership of the virtual servers that were just read, or of all if another
    /// column became known.
    fn record(&mut self, run: &SyncRun, has_new_column: bool) {
        let knows = |column| self.known.contains(&column);
        let marks = knows(Column::Addresses) && knows(Column::Sets);
        if run.is_audit() {
            self.cache.torn = run.torn;
        }
        if run.is_audit() && !run.torn {
            self.unsure.clear();
        }
        self.unsure.retain(|key| !run.servers.contains(key));
        if run.is_audit() || has_new_column {
            (self.owned).record(&self.cache, &Selection::All, self.cache.torn, marks);
        } else if !run.servers.is_empty() {
            let read = Selection::Only(run.servers.clone());
            self.owned.record(&self.cache, &read, false, marks);
        }
    }

    /// Updates the desired tables with the readings and decides which entries are compared.
    fn compile(&mut self, run: &mut SyncRun, now: Instant) {
        let node = &self.cache.node;
        if !self.compiled {
            run.covers = Some(self.absorbed);
            if run.first {
                self.compiler.compile(&self.cluster, node, drop);
            } else {
                let changed = self.compiler.update_all(&self.cluster, node);
                run.expected.merge(changed);
            }
            self.compiled = true;
            self.changed_since = None;
            self.pending.clear_changes();
            self.agenda.remove(&Task::Changes);
        } else if run.read.contains(&Column::Addresses) || run.read.contains(&Column::Settings) {
            run.expected
                .merge(self.compiler.look_at_node(&self.cluster, node));
        }
        run.expected.merge(self.follow_arrivals(now));
        if !run.read.is_empty() {
            // Entries that wait to be written are compared by this sync as well.
            run.expected.merge(self.pending.take_all_entries());
        }
        let desired = &self.compiler.desired().tables;
        let mut compared = run.read.clone();
        if !run.is_audit() && compared.remove(&Column::Addresses) {
            // The other addresses have not changed since the last comparison.
            run.keys.addresses.append(&mut run.moved);
            run.keys.device |= run.device_moved;
        }
        if run.read.contains(&Column::Addresses) {
            // A daemon is restarted after its interface was deleted, and started once it is back.
            (run.keys.sync_daemons).extend(desired.sync_daemons.keys());
        }
        if run.trigger != Trigger::Retry || run.is_of_column() {
            let keys = column::keys_of(&compared, desired, &self.cache.tables);
            run.keys.merge(keys);
        }
        run.keys.merge(run.expected.clone());
    }

    fn diff(&mut self, run: &SyncRun, now: Instant) -> Plan {
        let desired = self.compiler.desired();
        self.owned.adopt(desired);
        let view = View {
            config: &self.config,
            cluster: &self.cluster,
            desired,
            live: &self.cache,
            owned: &self.owned,
        };
        let read = |key| run.has_read(&EntryKey::VirtualServer(key));
        let retire = Retire::Only(self.drains.ended(&view, &run.keys, read, now));
        let own = Ownership {
            // Moved out and back, because the sets may be large.
            recorded: std::mem::take(&mut self.owned.ours),
            foreign: std::mem::take(&mut self.owned.foreign),
            exclude_cidrs: self.config.exclude_cidrs.clone(),
            retire,
            udp_drains: !self.config.udp_drain_timeout.is_zero(),
            deletions: self.cluster.is_complete(),
            node_name: self.config.node_name.clone(),
        };
        let mut plan = planner::diff_keys(desired, &self.cache, &own, &run.keys);
        self.owned.ours = own.recorded;
        self.owned.foreign = own.foreign;
        self.leave_out_parked(&mut plan, run.read.contains(&Column::Settings));
        if !self.known.contains(&Column::Addresses) {
            // Without the node's addresses no node port is desired. Deletions would remove the
            // entries that mark virtual servers as ours.
            retain(&mut plan, |op| {
                op.effect() != OpEffect::Delete || matches!(op, Op::DelRealServer(..))
            });
        }
        plan
    }

    /// Removes settings that cannot be written from `plan`. Parked settings that now have the right
    /// value are forgotten.
    fn leave_out_parked(&mut self, plan: &mut Plan, read: bool) {
        let mut parked: BTreeSet<Name> = (self.agenda.retries())
            .take_while(|(entry, _)| !entry.is_one_of_many())
            .filter(|(_, due)| due.is_parked())
            .filter_map(|(entry, _)| match entry {
                EntryKey::Sysctl(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        if parked.is_empty() {
            return;
        }
        let mut needed = BTreeSet::new();
        for stage in &mut plan.stages {
            stage.ops.retain(|planned| match &planned.op {
                Op::SetSysctl(name, _) if parked.contains(name) => {
                    needed.insert(name.clone());
                    false
                }
                _ => true,
            });
        }
        plan.stages.retain(|stage| !stage.ops.is_empty());
        if read {
            parked.retain(|name| !needed.contains(name));
            for name in parked {
                self.agenda.remove(&Task::Retry(EntryKey::Sysctl(name)));
            }
        }
    }

    fn report_drift(&self, run: &SyncRun, plan: &Plan, effects: &mut Vec<Effect>) {
        let detects_drift = matches!(
            run.trigger,
            Trigger::Audit | Trigger::AuditSlice | Trigger::Node | Trigger::Drain
        );
        if !detects_drift || run.first {
            return;
        }
        let drift = plan.ops().filter(|planned| {
            let keys = planned.op.keys();
            let fails =
                EntryKey::all_of(&keys).any(|entry| self.agenda.get(&Task::Retry(entry)).is_some());
            let drained = matches!(planned.reason, Reason::Drained | Reason::DrainExpired);
            let waits = run.expected.touches(&keys) || self.pending.touches(&keys);
            !fails && !drained && !waits
        });
        effects.extend(drift.cloned().map(|op| Effect::Report(Report::Drift(op))));
    }

    /// Returns a gate with the entries that earlier syncs could not write and that this sync does
    /// not retry. Ops that depend on them are blocked.
    fn gate(&self, keys: &TableKeys) -> DependencyGate {
        let mut rules = Vec::new();
        let mut sets = Vec::new();
        let mut device = false;
        for entry in self.agenda.failing_guards() {
            match entry {
                EntryKey::Rules(family) if !keys.rules.contains(family) => rules.push(*family),
                EntryKey::Set(name) if !keys.sets.contains(name) => {
                    let exists = self.cache.tables.sets.contains_key(name);
                    sets.extend((!exists).then(|| name.clone()));
                }
                EntryKey::Device => device = !keys.device && !self.cache.device,
                _ => {}
            }
        }
        DependencyGate::with_failed(rules, sets, device)
    }

    /// Removes prerequisite ops that failed before and are not due yet from `plan`. Ops that depend
    /// on them are blocked.
    fn leave_to_retries(
        &self,
        mut plan: Plan,
        keys: &TableKeys,
        gate: &mut DependencyGate,
    ) -> Plan {
        if self.agenda.retries().next().is_none() {
            return plan;
        }
        for key in &self.unsure {
            // The marks of this virtual server stay until a reading shows whether it exists.
            gate.not_done(&Op::DelVirtualServer(*key));
        }
        let waits = |op: &Op| match op {
            // The deletion waits together with the entry that marks the virtual server.
            Op::DelVirtualServer(key) => {
                let retry = Task::Retry(EntryKey::VirtualServer(*key));
                !keys.virtual_servers.contains(key) && self.agenda.get(&retry).is_some()
            }
            Op::AddEntry(set, entry) => {
                let place = (set.clone(), *entry);
                let own = keys.sets.contains(set) || keys.entries.contains(&place);
                !own && self.failed_entries.contains(&place)
            }
            Op::AddAddress(address) => {
                let retry = Task::Retry(EntryKey::Address(*address));
                !keys.addresses.contains(address) && self.agenda.get(&retry).is_some()
            }
            _ => false,
        };
        retain(&mut plan, |op| {
            let waits = waits(op);
            if waits {
                gate.not_done(op);
            }
            !waits
        });
        plan
    }

    /// Ends the sync: its tasks are done or scheduled again.
    pub(super) fn finish(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let took = now.saturating_duration_since(run.began);
        self.agenda.close(now);
        self.settle_entries(&run, now);
        for task in &run.tasks {
            self.settle_task(task, &run, now, effects);
        }
        self.refresh_cache(&run, now);
        self.settle_left(&mut run, now);
        if run.read.contains(&Column::Settings) || run.keys.timeouts {
            let findings = planner::idle_timeouts(&self.cache, &self.config.node_name);
            self.findings.set(Source::IdleTimeouts, findings);
        }
        if run.read.contains(&Column::Rules) {
            let findings = planner::harmful_rules(&self.cache, &self.config);
            self.findings.set(Source::HarmfulRules, findings);
        }
        if run.covers.is_some() {
            self.changes_synced = Some(now);
        }
        self.applied = run.covers.unwrap_or(self.applied);
        self.synced |= run.is_audit();
        self.count_applied();
        effects.push(Effect::Report(Report::Synced {
            trigger: run.trigger,
            first: run.first,
            summary: run.summary,
            done: run.done,
            failed: run.failed_ops,
            took,
        }));
    }

    /// Schedules retries of failed and blocked entries, and removes the retries of entries that
    /// were read and need no change.
    ///
    /// A sync that did not read an entry does not postpone its scheduled retry. Otherwise each
    /// change of the cluster at a failing set would postpone the set's next attempt.
    fn settle_entries(&mut self, run: &SyncRun, now: Instant) {
        for (entry, error) in &run.failures {
            let task = Task::Retry(entry.clone());
            if agenda::is_permanent(error) {
                self.agenda.park(task, error.clone(), now);
            } else if run.has_read(entry) || !self.agenda.waits(&task) {
                let failure = Failure::Refused(error.clone());
                self.agenda.failed(task, failure, now);
            }
        }
        let left: BTreeSet<EntryKey> = EntryKey::all_of(&run.left).collect();
        let is_open = |entry: &EntryKey| {
            run.failures.contains_key(entry) || run.blocked.contains(entry) || left.contains(entry)
        };
        for entry in &run.blocked {
            let task = Task::Retry(entry.clone());
            if !self.agenda.waits(&task) && !run.failures.contains_key(entry) {
                self.agenda.failed(task, Failure::Blocked, now);
            }
        }
        let mut solved: Vec<EntryKey> = (run.tasks.iter())
            .filter_map(|task| match task {
                Task::Retry(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        if run.is_audit() {
            let read = self.agenda.retries().map(|(entry, _)| entry);
            solved.extend(read.filter(|entry| run.has_read(entry)).cloned());
        } else {
            let read = run.servers.iter().copied();
            solved.extend(read.map(EntryKey::VirtualServer));
        }
        let mut solves_server = false;
        let mut solves_other = false;
        for entry in solved.into_iter().filter(|entry| !is_open(entry)) {
            let task = Task::Retry(entry.clone());
            let parked = self.agenda.get(&task).is_some_and(agenda::Due::is_parked);
            if !parked && self.agenda.remove(&task) {
                let is_server = matches!(entry, EntryKey::VirtualServer(_));
                solves_server |= is_server;
                solves_other |= !is_server;
            }
        }
        if solves_server || solves_other {
            // Addresses and sets wait for the deletion of virtual servers. No virtual server waits
            // for another virtual server.
            let waits = |entry: &EntryKey| !matches!(entry, EntryKey::VirtualServer(_));
            let may_go = |entry: &EntryKey| solves_other || waits(entry);
            self.agenda.release_blocked(now, may_go);
        }
    }

    /// Leaves the entries beyond the limit of this sync to later syncs. An entry that failed in
    /// this sync keeps its task. An entry that this sync should have retried is due at once.
    fn settle_left(&mut self, run: &mut SyncRun, now: Instant) {
        let mut left = std::mem::take(&mut run.left);
        let entries: Vec<EntryKey> = EntryKey::all_of(&left).collect();
        for entry in entries {
            let is_open = run.failures.contains_key(&entry) || run.blocked.contains(&entry);
            let task = Task::Retry(entry.clone());
            let due = self.agenda.get(&task);
            let is_of_this_sync = due.is_some_and(|due| due.at.is_none() && !due.is_parked());
            if is_of_this_sync {
                self.agenda.schedule(task, now);
            }
            if is_open || is_of_this_sync {
                entry.remove_from(&mut left);
            }
        }
        for server in std::mem::take(&mut run.left_drains) {
            self.count_drains(server, now);
        }
        self.pending.add_left(left);
        if self.pending.has_large() {
            self.agenda.advance(Task::Large, now);
        }
    }

    fn settle_task(&mut self, task: &Task, run: &SyncRun, now: Instant, effects: &mut Vec<Effect>) {
        let period = self.config.sync_period;
        match task {
            Task::Audit if run.torn => {
                self.agenda.failed(Task::Audit, Failure::Unread, now);
            }
            Task::Audit => {
                let took = run.time_of_reading(now);
                let pause = took.saturating_mul(AUDIT_PAUSE).min(LONGEST_AUDIT_PAUSE);
                let next = (run.began + period).max(now + pause);
                self.agenda.done(task);
                self.agenda.advance(Task::Audit, next);
                if !is_large(&self.cache) {
                    self.agenda.remove(&Task::Slice);
                } else if self.agenda.get(&Task::Slice).is_none() {
                    let wait = match run.all_servers {
                        true => period,
                        false => slices::pause(took),
                    };
                    self.agenda.schedule(Task::Slice, now + wait);
                }
                if run.all_servers {
                    effects.push(Effect::Report(Report::Audited));
                }
            }
            Task::Slice => {
                let took = run.time_of_reading(now);
                let last = run.servers.last().copied();
                let (next, ends) = self.slices.done(&self.cache, last, took, period, now);
                self.agenda.done(task);
                self.agenda.schedule(Task::Slice, next);
                if ends {
                    effects.push(Effect::Report(Report::Audited));
                }
            }
            Task::Changes => {
                self.agenda.done(task);
                if self.pending.has_changes() {
                    self.agenda.advance(Task::Changes, now);
                }
            }
            Task::Large => self.agenda.done(task),
            Task::Read(_) if run.torn => {
                (self.agenda).failed(task.clone(), Failure::Unread, now);
            }
            Task::Read(_) | Task::Ramps | Task::Drain(_) => self.agenda.done(task),
            Task::Retry(_) => {}
        }
    }

    /// Shares memory between the cache and the desired tables, and updates the drains.
    fn refresh_cache(&mut self, run: &SyncRun, now: Instant) {
        let desired = self.compiler.desired();
        (self.cache.tables).share(&desired.tables, Some(&run.keys));
        if run.first {
            self.cache.tables.pack();
            self.owned.pack();
        }
        let view = View {
            config: &self.config,
            cluster: &self.cluster,
            desired,
            live: &self.cache,
            owned: &self.owned,
        };
        for (server, at) in self.drains.refresh(&view, &run.keys, now) {
            self.count_drains(server, at);
        }
    }

    /// Schedules a count of the connections of draining real servers at `at`. A failing virtual
    /// server is not read before its retry.
    fn count_drains(&mut self, server: VirtualServerKey, at: Instant) {
        let retry = Task::Retry(EntryKey::VirtualServer(server));
        let retry = self.agenda.get(&retry).and_then(|due| due.at);
        let at = retry.map_or(at, |retry| at.max(retry));
        self.agenda.advance(Task::Drain(server), at);
    }
}

/// Keeps the ops of `plan` for which `keeps` returns true.
fn retain(plan: &mut Plan, mut keeps: impl FnMut(&Op) -> bool) {
    for stage in &mut plan.stages {
        stage.ops.retain(|planned| keeps(&planned.op));
    }
    plan.stages.retain(|stage| !stage.ops.is_empty());
}
