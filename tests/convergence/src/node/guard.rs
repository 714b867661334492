//! Laws about single effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use ipset::Entry;
use ipvs::{AddressFamily, RealServerKey, VirtualServerKey};
use kernel::{MemoryKernel, OpErrorKind, OpOutcome};
use model::plan::{Op, OpEffect, PlannedOp, Reason, Stage};
use model::sets::{SetKind, served_by};
use model::{NodeTables, Scope, Selection, Snapshot};
use reconciler::{EntryKey, Event, Reconciler};

use crate::subject::{Subject, address_of, drain_timeout, drains};

/// Equal effects of one wake-up within this time count as simultaneous. The shortest back-off is 75
/// ms.
const INSTANT: Duration = Duration::from_millis(50);

/// Maximum number of effects between two waits.
const MAX_EFFECTS: u32 = 200;

/// Maximum number of consecutive readings without a reason.
const READINGS: f64 = 120.0;

/// Minimum time from weight 0 to a deletion.
const AT_REST: Duration = Duration::from_secs(1);

/// Laws that a loop is checked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// All laws.
    #[default]
    All,
    /// Rules of a loop that reads a virtual server before a real server leaves it, may delete that
    /// real server at once, and serves a node port at one address even if another program has it at
    /// another.
    ReadBeforeDrain,
}

/// A law of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// An `Observe` or `Apply` is the last effect of its batch, so that control returns after each.
    OneEffect,
    /// No effect twice at one instant, and few effects at one instant.
    AtOneInstant,
    /// `poll_timeout` is never in the past, and never `None` while there is work.
    Poll,
    /// Entries of other programs stay.
    Foreign,
    /// Deletions need all first lists and an untorn reading, and never remove a desired entry.
    Deletion,
    /// A virtual server is added after its address, its set entries, and the rules.
    FilterState,
    /// A real server with connections stays until its drain ends.
    Connections,
    /// A real server has had weight 0 for a second before it is deleted.
    AtRest,
    /// A failing entry is retried at growing intervals.
    BackOff,
    /// Readings follow from changes, failures and time.
    Readings,
    /// Writes follow from changes.
    Writes,
    /// A wrong entry is corrected within its deadline.
    InTime,
}

/// A broken law.
#[derive(Debug)]
pub struct Violation {
    /// The law.
    pub law: Law,
    /// Effect or entry that breaks the law.
    pub what: String,
}

impl Violation {
    /// Returns a violation of `law` by `what`.
    #[must_use]
    pub fn new(law: Law, what: String) -> Self {
        Self { law, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.law, self.what)
    }
}

impl std::error::Error for Violation {}

/// Attempts at an entry since its first failure.
#[derive(Debug)]
struct Failing {
    since: Instant,
    count: u32,
}

/// Checks effects.
#[derive(Debug)]
pub struct Guard {
    rules: Rules,
    /// Virtual servers of other programs.
    pub foreign: BTreeSet<VirtualServerKey>,
    /// Readings miss entries without a sign, so the loop adds them again.
    pub blind: bool,
    scopes: Vec<(Instant, Scope)>,
    ops: BTreeMap<Subject, (Instant, Op)>,
    effects: u32,
    /// Virtual servers that this process wrote, or saw in an untorn reading.
    known: BTreeSet<VirtualServerKey>,
    addresses_known: bool,
    /// Real servers of weight 0, and the time of the change.
    resting: BTreeMap<(VirtualServerKey, RealServerKey), Instant>,
    failing: BTreeMap<Subject, Failing>,
    readings: f64,
    refilled: Instant,
    /// True if rules were written since this was set to false.
    pub rules_written: bool,
    /// Ops that did not repeat a failed one.
    pub writes: u64,
}

impl Guard {
    /// Returns a guard for a node whose kernel has `tables`.
    #[must_use]
    pub fn new(rules: Rules, tables: &NodeTables, now: Instant) -> Self {
        let long_ago = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
        let resting = tables.virtual_servers.iter().flat_map(|(key, entry)| {
            let reals = entry.real_servers.values();
            reals
                .filter(|real| real.weight == 0)
                .map(|real| ((*key, real.key), long_ago))
        });
        Self {
            rules,
            foreign: BTreeSet::new(),
            blind: false,
            scopes: Vec::new(),
            ops: BTreeMap::new(),
            effects: 0,
            known: BTreeSet::new(),
            addresses_known: false,
            resting: resting.collect(),
            failing: BTreeMap::new(),
            readings: READINGS,
            refilled: now,
            rules_written: true,
            writes: 0,
        }
    }

    /// Returns the laws that are checked.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Returns the time at which the weight of a real server became 0.
    #[must_use]
    pub fn resting_since(&self, key: VirtualServerKey, real: RealServerKey) -> Option<Instant> {
        self.resting.get(&(key, real)).copied()
    }

    /// Returns the number of failing entries.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.failing.len()
    }

    /// Forgets the attempts at these entries, because there is a new reason for the next one.
    pub fn excuse(&mut self, of: impl Fn(&Subject) -> bool) {
        self.failing.retain(|subject, _| !of(subject));
    }

    pub(super) fn restarted(&mut self, now: Instant) {
        self.known.clear();
        self.addresses_known = false;
        self.failing.clear();
        self.forget(now);
    }

    /// Records that another program changed an entry, so the loop may write it again.
    pub(super) fn disturbed(&mut self, op: &Op) {
        self.rules_written |= matches!(op, Op::PatchRules(..));
        self.failing.remove(&Subject::of(op));
        if let Op::DelDevice = op {
            self.failing.clear();
        }
    }

    fn forget(&mut self, now: Instant) {
        self.refill(now);
        self.readings += 4.0;
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.readings = (self.readings + 2.0 * seconds).min(self.readings.max(READINGS));
        self.refilled = now;
    }

    pub(super) fn wakes(&mut self, event: &Event, now: Instant) {
        self.effects = 0;
        self.scopes.clear();
        self.ops.clear();
        if !matches!(event, Event::Timeout) {
            self.forget(now);
        }
    }

    pub(super) fn sleeps(&self, reconciler: &Reconciler, now: Instant) -> Result<(), Violation> {
        let what = match reconciler.poll_timeout() {
            Some(at) if at <= now => format!("poll_timeout is {:?} in the past", now - at),
            None if reconciler.cluster().is_complete() => {
                "poll_timeout is none while audits wait".to_owned()
            }
            Some(_) | None => return Ok(()),
        };
        Err(Violation::new(Law::Poll, what))
    }

    fn count(&mut self) -> Result<(), Violation> {
        self.effects += 1;
        if self.effects > MAX_EFFECTS {
            let what = format!("one event leads to {} effects", self.effects);
            return Err(Violation::new(Law::AtOneInstant, what));
        }
        Ok(())
    }

    pub(super) fn observes(&mut self, scope: &Scope, now: Instant) -> Result<(), Violation> {
        self.count()?;
        self.refill(now);
        (self.scopes).retain(|(at, _)| now.saturating_duration_since(*at) < INSTANT);
        if self.scopes.iter().any(|(_, earlier)| earlier == scope) {
            let what = format!("read twice: {scope:?}");
            return Err(Violation::new(Law::AtOneInstant, what));
        }
        self.scopes.push((now, scope.clone()));
        self.readings -= 1.0;
        if self.readings < 0.0 {
            let what = format!("too many readings, {} entries failing", self.failing.len());
            return Err(Violation::new(Law::Readings, what));
        }
        Ok(())
    }

    pub(super) fn observed(&mut self, scope: &Scope, snapshot: &Snapshot) {
        if snapshot.torn {
            return;
        }
        self.addresses_known |= scope.addresses;
        if !matches!(&scope.virtual_servers, Selection::Only(keys) if keys.is_empty()) {
            (self.known).extend(snapshot.tables.virtual_servers.keys());
        }
    }

    pub(super) fn applies(
        &mut self,
        stage: &Stage,
        (reconciler, kernel): (&Reconciler, &MemoryKernel),
        now: Instant,
    ) -> Result<(), Violation> {
        self.count()?;
        for planned in &stage.ops {
            let subject = Subject::of(&planned.op);
            let is_server = subject.virtual_server().is_some();
            if let Some((at, earlier)) = self.ops.get(&subject)
                && now.saturating_duration_since(*at) < INSTANT
                && *earlier == planned.op
                && !(self.blind && is_server)
            {
                let what = format!("done twice: {}", planned.op);
                return Err(Violation::new(Law::AtOneInstant, what));
            }
            if let Some(key) = subject.virtual_server()
                && self.foreign.contains(&key)
            {
                let what = format!("{}, which is foreign", planned.op);
                return Err(Violation::new(Law::Foreign, what));
            }
            if planned.op.effect() == OpEffect::Delete {
                self.deletes(planned, reconciler)?;
            }
            match &planned.op {
                Op::DelRealServer(key, real) if may_drain(reconciler, *key, *real) => {
                    self.ends(planned, (*key, *real), (reconciler, kernel), now)?;
                }
                Op::AddVirtualServer(server) => self.serves(server.key, reconciler)?,
                _ => {}
            }
            self.ops.insert(subject, (now, planned.op.clone()));
        }
        Ok(())
    }

    fn deletes(&self, planned: &PlannedOp, reconciler: &Reconciler) -> Result<(), Violation> {
        let desired = &reconciler.desired().tables;
        let wanted = match &planned.op {
            Op::DelVirtualServer(key) => desired.virtual_servers.contains_key(key),
            Op::DelRealServer(key, real) => (desired.virtual_servers.get(key))
                .is_some_and(|entry| entry.real_servers.contains_key(real)),
            Op::DelAddress(address) => desired.addresses.contains(address),
            Op::DelEntry(name, entry) => {
                (desired.sets.get(name)).is_some_and(|set| set.entries.contains(entry))
                    && !has_other_marks(*entry, &planned.op, reconciler)
            }
            Op::DestroySet(name) => desired.sets.contains_key(name),
            _ => false,
        };
        let known = match &planned.op {
            Op::DelVirtualServer(key) | Op::DelRealServer(key, _) => self.known.contains(key),
            Op::DelAddress(_) => self.addresses_known,
            _ => true,
        };
        let why = if !reconciler.cluster().is_complete() {
            "before every list is complete"
        } else if wanted {
            "although the cluster needs it"
        } else if !known {
            "known only from torn readings"
        } else {
            return Ok(());
        };
        let what = format!("{} {why}", planned.op);
        Err(Violation::new(Law::Deletion, what))
    }

    /// Checks the deletion of a real server that may drain from a virtual server that stays.
    fn ends(
        &self,
        planned: &PlannedOp,
        key: (VirtualServerKey, RealServerKey),
        (reconciler, kernel): (&Reconciler, &MemoryKernel),
        now: Instant,
    ) -> Result<(), Violation> {
        let config = reconciler.config();
        let Some((_, connections)) = kernel.real_server(key.0, key.1) else {
            return Ok(());
        };
        if planned.reason == Reason::Lost && config.cut_lost_endpoints {
            return Ok(());
        }
        let rested = (self.resting.get(&key)).map(|since| now.saturating_duration_since(*since));
        let busy = connections.active > 0 || connections.inactive > 0;
        let timeout = drain_timeout(reconciler.desired(), config, key.0);
        let expired = timeout.is_some_and(|timeout| rested >= Some(timeout));
        if busy && !expired {
            let what = format!("{} ({}), {connections:?}", planned.op, planned.reason);
            return Err(Violation::new(Law::Connections, what));
        }
        if self.rules == Rules::All && rested < Some(AT_REST) {
            let what = format!(
                "{} ({}), at rest for {rested:?}",
                planned.op, planned.reason
            );
            return Err(Violation::new(Law::AtRest, what));
        }
        Ok(())
    }

    /// Checks the addition of a virtual server. The loop's own knowledge counts: it cannot know the
    /// latest changes of other programs.
    fn serves(&self, key: VirtualServerKey, reconciler: &Reconciler) -> Result<(), Violation> {
        let (Some(address), Some(live)) = (address_of(key), reconciler.live()) else {
            return Ok(());
        };
        let desired = &reconciler.desired().tables;
        let is_marked = planner::is_marked(live, key);
        let live = &live.tables;
        let family = AddressFamily::of(address);
        let foreign = |entry| self.foreign.iter().any(|key| served_by(entry, *key));
        // If a foreign virtual server has the node port too, the address marks ours, in another
        // set.
        let marks = [SetKind::NodePortTcp, SetKind::NodePortUdp].map(|kind| kind.name(family));
        let mut others = (desired.sets.iter()).filter(|(name, _)| !marks.contains(name));
        let lacking = others.find_map(|(name, set)| {
            let mut entries = (set.entries.iter()).filter(|entry| served_by(entry, key));
            let found =
                |entry| (live.sets.get(name)).is_some_and(|set| set.entries.contains(entry));
            entries.find(|entry| !found(*entry) && !foreign(*entry))
        });
        let lacks = if desired.addresses.contains(&address) && !live.addresses.contains(&address) {
            "its address".to_owned()
        } else if desired.rules.get(&family) != live.rules.get(&family) {
            "rules".to_owned()
        } else if let Some(entry) = lacking {
            format!("entry {entry}")
        } else if !is_marked {
            "the entry that marks it as ours".to_owned()
        } else {
            return Ok(());
        };
        let what = format!("add virtual server {key} before {lacks}");
        Err(Violation::new(Law::FilterState, what))
    }

    pub(super) fn applied(
        &mut self,
        stage: &Stage,
        outcomes: &[OpOutcome],
        kernel: &MemoryKernel,
        now: Instant,
    ) -> Result<(), Violation> {
        for (planned, outcome) in stage.ops.iter().zip(outcomes) {
            self.weighed(&planned.op, kernel, now);
            let there = match outcome {
                Ok(()) => true,
                Err(error) => matches!(
                    error.kind(),
                    OpErrorKind::Unknown | OpErrorKind::AlreadyExists
                ),
            };
            if let Op::AddVirtualServer(server) = &planned.op
                && there
            {
                self.known.insert(server.key);
            }
            let subject = Subject::of(&planned.op);
            self.rules_written |= matches!(subject, Subject::Rules(_));
            if outcome.is_ok() {
                self.writes += 1;
                self.failing.remove(&subject);
            } else {
                self.readings += 4.0;
                self.fails(&subject, now)?;
            }
        }
        Ok(())
    }

    fn fails(&mut self, subject: &Subject, now: Instant) -> Result<(), Violation> {
        let failing = self.failing.entry(subject.clone()).or_insert_with(|| {
            self.writes += 1;
            Failing {
                since: now,
                count: 0,
            }
        });
        failing.count += 1;
        // A device is tried with each of its addresses.
        if *subject == Subject::Device {
            return Ok(());
        }
        let seconds = now.saturating_duration_since(failing.since).as_secs_f64();
        // Waits of at least 75 ms, doubling up to the sync period; audits, slices and polls of
        // drains in between. With the shortest sync period, 10 s, a real server is tried at least
        // every 7.5 s itself and every 10 s by an audit, and every 5 s by a poll of its drain: 0.43
        // times a second.
        let allowed = 5.0 + 1.5 * (1.0 + seconds / 0.075).log2() + seconds / 2.0;
        if f64::from(failing.count) > allowed {
            let what = format!(
                "{subject:?} was tried {} times in {seconds:.1} s",
                failing.count
            );
            return Err(Violation::new(Law::BackOff, what));
        }
        Ok(())
    }

    /// Records the weight of a real server after `op`, for any outcome.
    pub(super) fn weighed(&mut self, op: &Op, kernel: &MemoryKernel, now: Instant) {
        let key = match op {
            Op::AddRealServer(key, real) | Op::SetRealServer(key, real) => (*key, real.key),
            Op::DelRealServer(key, real) => (*key, *real),
            Op::DelVirtualServer(key) => {
                let stays = |real| kernel.real_server(*key, real).is_some();
                (self.resting).retain(|(of, real), _| of != key || stays(*real));
                return;
            }
            _ => return,
        };
        match kernel.real_server(key.0, key.1) {
            Some((real, _)) if real.weight == 0 => {
                self.resting.entry(key).or_insert(now);
            }
            Some(_) | None => {
                self.resting.remove(&key);
            }
        }
    }
}

fn may_drain(reconciler: &Reconciler, key: VirtualServerKey, real: RealServerKey) -> bool {
    drains(reconciler.desired(), reconciler.config(), key, real)
}

/// Returns true if `entry`, which `op` deletes, is the entry of a node port, and each of our
/// virtual servers at it has another mark.
fn has_other_marks(entry: Entry, op: &Op, reconciler: &Reconciler) -> bool {
    let (Entry::Port(_), Some(live)) = (entry, reconciler.live()) else {
        return false;
    };
    let mut after = live.clone();
    after.apply(op);
    let at_port = (live.tables.virtual_servers.keys()).filter(|key| served_by(&entry, **key));
    let mut ours = at_port.filter(|key| !reconciler.row(EntryKey::VirtualServer(**key)).foreign);
    ours.all(|key| planner::is_marked(&after, *key))
}
