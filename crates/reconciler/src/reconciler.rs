//! Keeps a node's kernel as the cluster asks. A state machine without IO: events and the time go in,
//! effects come out, and equal inputs give equal outputs.
//!
//! One synchronisation is: the Services that changed are compiled again, the entries they touch are
//! compared with the mirror, and the difference is applied stage by stage. Three things lead to one:
//! a change of the cluster, a failed entry whose time has come, and the periodic audit, which reads
//! the kernel again and so repairs what others did to it.

mod audit;
mod drains;
mod messages;
mod queries;
mod retries;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::cluster::{Changed, ClusterEvent, ClusterState};
use model::config::NodeConfig;
use model::finding::Finding;
use model::kernel::{ObserveError, OpErrorKind, OpOutcome};
use model::names::Name;
use model::pack::pack_set;
use model::plan::{Op, Plan, Reason, Stage};
use model::snapshot::{Scope, Selection, Snapshot};
use model::tables::TableKeys;
use planner::{Compiler, Ownership};

use self::audit::Audit;
pub use self::drains::{Drain, DrainKey};
use self::drains::{Drains, View};
pub use self::messages::{Cause, Effect, Event, Report};
use self::retries::Retries;
use self::sync::Sync;

/// How long a change waits for others: one roll-out step changes several objects at once.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// How long a first change waits at most while others keep coming.
const DEBOUNCE_LIMIT: Duration = Duration::from_millis(100);

/// How many audits in a row are given up because somebody else wrote while the table was read. After
/// that the reading is taken as it is, for additions.
const TORN_AUDITS: u32 = 5;

/// The state machine.
#[derive(Debug)]
pub struct Reconciler {
    config: NodeConfig,
    cluster: ClusterState,
    compiler: Compiler,
    /// Changes that are not compiled yet.
    changed: Changed,
    /// The kernel as far as it is known; none before the first reading.
    mirror: Option<Snapshot>,
    /// Virtual servers that are ours wherever their address is.
    recorded: BTreeSet<VirtualServerKey>,
    findings: BTreeSet<Finding>,
    /// Those of them that others found: no synchronisation solves them.
    found: BTreeSet<Finding>,
    retries: Retries,
    drains: Drains,
    /// Settings that the kernel does not let us write: told once, and left.
    unwritable: BTreeSet<Name>,
    /// An interface changed, and was not read since.
    node_changed: bool,
    /// The configuration changed, and nothing was compiled since.
    reconfigured: bool,
    sync: Option<Sync>,
    /// When the first of these changes came.
    changed_since: Option<Instant>,
    /// When the changes gathered so far are applied.
    sync_at: Option<Instant>,
    last_sync: Option<Instant>,
    audit: Audit,
    /// Cluster events: received, compiled by the last sync that began, and applied.
    received: u64,
    compiled: u64,
    applied: u64,
}

impl Reconciler {
    /// A reconciler that has seen nothing. `seed` spreads its attempts; `now` is when it begins.
    #[must_use]
    pub fn new(config: NodeConfig, seed: u64, now: Instant) -> Self {
        Self {
            compiler: Compiler::new(config.clone()),
            retries: Retries::new(config.sync_period, seed),
            config,
            cluster: ClusterState::default(),
            changed: Changed::default(),
            mirror: None,
            recorded: BTreeSet::new(),
            findings: BTreeSet::new(),
            found: BTreeSet::new(),
            drains: Drains::default(),
            unwritable: BTreeSet::new(),
            node_changed: false,
            reconfigured: false,
            sync: None,
            changed_since: None,
            sync_at: None,
            last_sync: None,
            audit: Audit::new(now),
            received: 0,
            compiled: 0,
            applied: 0,
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Cluster(event) => self.absorb(event, now),
            Event::Observed(scope, Ok(snapshot)) => {
                self.observed(&scope, snapshot, now, &mut effects);
            }
            Event::Observed(_, Err(error)) => {
                self.observe_failed(error, now, &mut effects);
            }
            Event::Applied(stage, outcomes) => {
                self.stage_applied(&stage, outcomes, now, &mut effects);
            }
            Event::NodeChanged => self.node_changed = self.mirror.is_some(),
            Event::Found(finding) => self.found(finding, &mut effects),
            Event::Configured(config) => self.configure(*config, now),
            Event::Timeout => {}
        }
        self.proceed(now, &mut effects);
        let settled = self.has_synced() && self.sync.is_none() && self.sync_at.is_none();
        if settled && self.applied == self.compiled {
            (self.compiled, self.applied) = (self.received, self.received);
        }
        effects
    }

    fn found(&mut self, finding: Finding, effects: &mut Vec<Effect>) {
        if self.findings.insert(finding.clone()) {
            effects.push(Effect::Report(Report::FindingRaised(finding.clone())));
        }
        self.found.insert(finding);
    }

    /// When to come back at the latest; none while an effect is being carried out, or while the first
    /// lists are not in.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.sync.is_some() || !self.cluster.is_complete() {
            return None;
        }
        if self.mirror.is_none() {
            return Some(self.audit.at());
        }
        [
            self.sync_at,
            self.retries.next(),
            self.drains.next(),
            Some(self.audit.at()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn configure(&mut self, config: NodeConfig, now: Instant) {
        self.compiler.configure(config.clone());
        self.drains.follow(&config);
        self.retries.limit(config.sync_period);
        self.config = config;
        self.reconfigured = true;
        self.unwritable.clear();
        self.audit.begin_anew(now);
    }

    fn absorb(&mut self, event: ClusterEvent, now: Instant) {
        self.received += 1;
        let was_complete = self.cluster.is_complete();
        let changed = self.cluster.absorb(event);
        if !self.cluster.is_complete() {
            // Compiled as a whole once the lists are in.
            return;
        }
        if !was_complete {
            self.audit.begin_anew(now);
        } else if !changed.is_empty() {
            self.changed.merge(changed);
            let first = *self.changed_since.get_or_insert(now);
            let gathered = (now + DEBOUNCE).min(first + DEBOUNCE_LIMIT);
            let allowed = self
                .last_sync
                .map(|last| last + self.config.min_sync_period);
            self.sync_at = Some(allowed.map_or(gathered, |allowed| gathered.max(allowed)));
        }
    }

    /// Begins or continues a synchronisation where its time has come.
    fn proceed(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(sync) = &mut self.sync {
            if sync.is_waiting() {
                return;
            }
            match sync.next_stage() {
                Some(stage) => effects.push(Effect::Apply(stage)),
                None => self.finish(now, effects),
            }
        }
        if self.sync.is_none() && self.cluster.is_complete() {
            self.begin(now, effects);
        }
    }

    fn begin(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.audit.at() <= now {
            let (sync, scope) = self.audit.next(self.mirror.as_ref(), now);
            self.sync = Some(sync);
            effects.push(Effect::Observe(scope));
        } else if self.mirror.is_none() {
            // Nothing can be compared before the first reading.
        } else if let Some(keys) = self.retries.due(now) {
            let scope = Scope::of(&keys);
            self.sync = Some(Sync::waiting(Cause::Retry, keys, now));
            effects.push(Effect::Observe(scope));
        } else if std::mem::take(&mut self.node_changed) {
            self.sync = Some(Sync::waiting(Cause::Node, TableKeys::default(), now));
            effects.push(Effect::Observe(Scope {
                addresses: true,
                ..Scope::NOTHING
            }));
        } else if let Some(keys) = self.drains.due(now) {
            let scope = audit::servers(keys.virtual_servers.clone());
            self.sync = Some(Sync::waiting(Cause::Drain, keys, now));
            effects.push(Effect::Observe(scope));
        } else if self.sync_at.is_some_and(|at| at <= now) {
            let keys = self.compile();
            let leaving = self.leaving(&keys);
            let sync = Sync::waiting(Cause::Change, keys, now);
            if leaving.is_empty() {
                self.start(sync, now, effects);
                self.proceed(now, effects);
            } else {
                self.sync = Some(sync);
                effects.push(Effect::Observe(audit::servers(leaving)));
            }
        }
    }

    /// The virtual servers of which a reading is needed, since connections decide what becomes of
    /// real servers that leave them.
    fn leaving(&self, keys: &TableKeys) -> BTreeSet<VirtualServerKey> {
        let mirror = self.mirror.as_ref();
        let leaving = mirror.map(|mirror| planner::leaving(self.compiler.desired(), mirror, keys));
        leaving.unwrap_or_default()
    }

    /// Compiles what has changed since the last time.
    fn compile(&mut self) -> TableKeys {
        let changed = self.take_changed();
        self.compiler.update(&self.cluster, &changed)
    }

    fn take_changed(&mut self) -> Changed {
        self.sync_at = None;
        self.changed_since = None;
        self.compiled = self.received;
        std::mem::take(&mut self.changed)
    }

    fn observed(
        &mut self,
        scope: &Scope,
        snapshot: Snapshot,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut sync) = self.sync.take() else {
            return;
        };
        let first = self.mirror.is_none();
        if sync.cause.is_audit() {
            self.audit.took(now.saturating_duration_since(sync.began));
        }
        // What a torn reading misses is in the mirror: better to read again than to write what exists,
        // or to forget whose it is.
        if snapshot.torn && !sync.is_whole() {
            self.retries.failed(&sync.keys, now);
            self.go_on_auditing(&sync, now, effects);
            return;
        }
        if snapshot.torn && !first && self.audit.failures() < TORN_AUDITS {
            self.postpone_audit(now);
            return;
        }
        sync.torn |= snapshot.torn;
        let mirror = self.mirror.get_or_insert_default();
        let unknown = match scope.virtual_servers {
            Selection::WithoutRealServers => mirror.unlike(&snapshot),
            Selection::All | Selection::Only(_) => BTreeSet::new(),
        };
        mirror.update(scope, snapshot);
        record(&mut self.recorded, mirror, scope);
        if !unknown.is_empty() {
            self.sync = Some(sync);
            effects.push(Effect::Observe(audit::servers(unknown)));
            return;
        }
        let anew = first || (sync.is_whole() && std::mem::take(&mut self.reconfigured));
        if anew {
            self.take_changed();
        }
        if !sync.torn && sync.is_whole() {
            self.audit.succeeded();
        }
        let Some(mirror) = &self.mirror else {
            return;
        };
        if first {
            // Nothing is drift.
            self.compiler.compile(&self.cluster, &mirror.node, drop);
        } else if anew {
            sync.expected = self.compiler.update_all(&self.cluster, &mirror.node);
        } else {
            let moved = self.compiler.look_at_node(&self.cluster, &mirror.node);
            if sync.is_whole() {
                // What changed meanwhile is no drift: it is compiled now and told apart.
                sync.expected = self.compile();
            }
            sync.expected.merge(moved);
        }
        if !sync.is_whole() {
            sync.keys.merge(sync.expected.clone());
        }
        sync.first = first;
        self.start(sync, now, effects);
    }

    /// Plans what the synchronisation is about.
    fn start(&mut self, mut sync: Sync, now: Instant, effects: &mut Vec<Effect>) {
        let Some(mirror) = &self.mirror else {
            return;
        };
        if !sync.is_whole() {
            sync.keys.merge(self.retries.companions());
        }
        let view = View {
            config: &self.config,
            cluster: &self.cluster,
            desired: self.compiler.desired(),
            live: mirror,
        };
        let own = Ownership {
            // Lent for the time of the comparison: it may be large.
            recorded: std::mem::take(&mut self.recorded),
            exclude_cidrs: self.config.exclude_cidrs.clone(),
            cut: self.drains.cut(&view, sync.about(), now),
            deletions: self.cluster.is_complete() && !sync.torn,
            node_name: self.config.node_name.clone(),
        };
        let desired = self.compiler.desired();
        let mut plan = match sync.about() {
            None => planner::diff(desired, mirror, &own),
            Some(keys) => planner::diff_keys(desired, mirror, &own, keys),
        };
        self.recorded = own.recorded;
        leave_out(&mut plan, &self.unwritable);
        if sync.cause.is_audit() && !sync.first {
            let drift = plan.ops().filter(|planned| {
                let keys = planned.op.keys();
                let known = sync.expected.touches(&keys) || self.retries.touches(&keys);
                !known && !matches!(planned.reason, Reason::Drained | Reason::DrainExpired)
            });
            effects.extend(drift.cloned().map(|op| Effect::Report(Report::Drift(op))));
        }
        if plan.withheld > 0 {
            effects.push(Effect::Report(Report::DeletionsWithheld(plan.withheld)));
        }
        self.compare_findings(&plan, &sync, effects);
        sync.plan(plan);
        self.sync = Some(sync);
    }

    /// Reports findings that are new or gone. Those about foreign entries come from the plan, and a plan
    /// about some keys says nothing about the others.
    fn compare_findings(&mut self, plan: &Plan, sync: &Sync, effects: &mut Vec<Effect>) {
        let mut now: BTreeSet<Finding> = self.compiler.findings().cloned().collect();
        now.extend(plan.findings.iter().cloned());
        now.extend(self.found.iter().cloned());
        if let Some(live) = &self.mirror {
            now.extend(planner::idle_timeouts(live, &self.config.node_name));
        }
        if !sync.is_whole() {
            let foreign = model::Code::ForeignVirtualServer;
            now.extend(
                self.findings
                    .iter()
                    .filter(|known| known.code == foreign)
                    .cloned(),
            );
        }
        for finding in now.difference(&self.findings) {
            effects.push(Effect::Report(Report::FindingRaised(finding.clone())));
        }
        for finding in self.findings.difference(&now) {
            effects.push(Effect::Report(Report::FindingCleared(finding.clone())));
        }
        self.findings = now;
    }

    fn observe_failed(&mut self, error: ObserveError, now: Instant, effects: &mut Vec<Effect>) {
        effects.push(Effect::Report(Report::ObserveFailed(error)));
        let Some(sync) = self.sync.take() else {
            return;
        };
        if sync.is_whole() {
            self.postpone_audit(now);
        } else {
            self.retries.failed(&sync.keys, now);
            self.go_on_auditing(&sync, now, effects);
        }
    }

    fn postpone_audit(&mut self, now: Instant) {
        self.audit
            .failed(now, |failures| self.retries.wait(failures));
    }

    /// `sync` is over: where it was a reading of an audit, the next one follows in its time.
    fn go_on_auditing(&mut self, sync: &Sync, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(mirror) = self.mirror.as_ref().filter(|_| sync.cause.is_audit())
            && self.audit.done(mirror, self.config.sync_period, now)
        {
            effects.push(Effect::Report(Report::Audited));
        }
    }

    fn stage_applied(
        &mut self,
        stage: &Stage,
        outcomes: Vec<OpOutcome>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(sync), Some(mirror)) = (&mut self.sync, &mut self.mirror) else {
            return;
        };
        let desired = &self.compiler.desired().tables;
        let mut ops = stage.ops.iter().zip(outcomes).peekable();
        while let Some((planned, outcome)) = ops.next() {
            match outcome {
                Ok(()) => {
                    mirror.note(&planned.op);
                    // One that is complete takes no room of its own from now on.
                    if let Some(key) = planned.op.real_server_of()
                        && (ops.peek())
                            .is_none_or(|(next, _)| next.op.real_server_of() != Some(key))
                    {
                        mirror.tables.share_virtual_server(desired, &key);
                    }
                    match &planned.op {
                        Op::AddVirtualServer(server) => {
                            self.recorded.insert(server.key);
                        }
                        Op::DelVirtualServer(key) => {
                            self.recorded.remove(key);
                        }
                        _ => {}
                    }
                }
                Err(error) => {
                    match &planned.op {
                        Op::SetSysctl(name, _) if never_writable(error.kind()) => {
                            self.unwritable.insert(name.clone());
                        }
                        _ => self.retries.failed(&planned.op.keys(), now),
                    }
                    sync.failed(&planned.op);
                    effects.push(Effect::Report(Report::OpFailed(planned.clone(), error)));
                }
            }
        }
        sync.stage_done();
    }

    fn finish(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(sync) = self.sync.take() else {
            return;
        };
        let mut open = sync.failures.clone();
        self.retries.skipped(&sync.skipped, now);
        open.merge(sync.skipped.clone());
        self.retries.succeeded(&sync.keys, &open);
        if sync.is_whole() {
            self.retries.keep_only(&open);
        }
        // Nothing is deleted on the strength of a torn reading, but soon it is read again.
        if sync.torn {
            self.postpone_audit(now);
        } else {
            self.go_on_auditing(&sync, now, effects);
        }
        if let Some(live) = &mut self.mirror {
            let desired = self.compiler.desired();
            live.tables.share(&desired.tables, sync.about());
            if sync.first {
                live.tables.pack();
                pack_set(&mut self.recorded);
            }
            let view = View {
                config: &self.config,
                cluster: &self.cluster,
                desired,
                live,
            };
            self.drains.refresh(&view, sync.about(), now);
        }
        self.last_sync = Some(now);
        self.applied = self.compiled;
        effects.push(Effect::Report(Report::Synced {
            cause: sync.cause,
            summary: sync.summary,
            failed: sync.failed_ops,
            took: now.saturating_duration_since(sync.began),
        }));
    }
}

/// Whether trying again is of no use: not before the node is set up in another way.
fn never_writable(error: &OpErrorKind) -> bool {
    matches!(
        error,
        OpErrorKind::ReadOnlySetting | OpErrorKind::NoSuchSetting
    )
}

/// Takes changes of these settings out of `plan`.
fn leave_out(plan: &mut Plan, settings: &BTreeSet<Name>) {
    if settings.is_empty() {
        return;
    }
    for stage in &mut plan.stages {
        let left = |op: &Op| matches!(op, Op::SetSysctl(name, _) if settings.contains(name));
        stage.ops.retain(|planned| !left(&planned.op));
    }
    plan.stages.retain(|stage| !stage.ops.is_empty());
}

/// Remembers which of the virtual servers just read are ours: their address is on the device, or our
/// sets hold it. Should somebody take the address away, they still are. One that is gone may come back as somebody else's.
fn record(recorded: &mut BTreeSet<VirtualServerKey>, mirror: &Snapshot, scope: &Scope) {
    let live = &mirror.tables.virtual_servers;
    let ours = |key: &VirtualServerKey| planner::is_marked(mirror, *key);
    match &scope.virtual_servers {
        Selection::All | Selection::WithoutRealServers => {
            if !mirror.torn {
                recorded.retain(|key| live.contains_key(key));
            }
            recorded.extend(live.keys().filter(|key| ours(key)));
        }
        Selection::Only(keys) => {
            for key in keys {
                if !live.contains_key(key) {
                    recorded.remove(key);
                } else if ours(key) {
                    recorded.insert(*key);
                }
            }
        }
    }
}
