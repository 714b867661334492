//! Fault injection.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipset::SetName;
use ipvs::{AddressFamily, RealServerKey, Scheduler, VirtualServerKey};
use model::kernel::{ObserveError, OpErrorKind};
use model::plan::{Op, OpEffect};
use model::{Scope, Selection, SetSelection, Snapshot};

use super::{MemoryKernel, State};

/// A fault of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The change is not applied and fails with this error.
    Refuse(OpErrorKind),
    /// The change is not applied, and the answer is lost: the outcome is [`OpErrorKind::Unknown`].
    LoseRequest,
    /// The change is applied unless the kernel refuses it, and the answer is lost: the outcome is
    /// [`OpErrorKind::Unknown`].
    LoseAnswer,
    /// Simulates that the process is killed here. Neither this change nor a later one is applied.
    /// Every outcome is [`OpErrorKind::Unknown`] and every reading fails until
    /// [`MemoryKernel::revive`].
    Kill,
}

/// Entries that one reading misses although they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TornReading {
    /// Missing virtual servers.
    pub virtual_servers: BTreeSet<VirtualServerKey>,
    /// Missing real servers of virtual servers that the reading contains.
    pub real_servers: BTreeSet<(VirtualServerKey, RealServerKey)>,
    /// True if the reading is marked as torn. Linux sometimes loses entries without a sign. A
    /// reader that trusts such a reading would add existing entries.
    pub flagged: bool,
}

impl TornReading {
    /// Removes the entries that a reading of `selection` misses from `snapshot`. A reading by key
    /// misses no virtual server, since the kernel looks up the key.
    pub(super) fn apply(&self, selection: &Selection, snapshot: &mut Snapshot) {
        let tables = &mut snapshot.tables.virtual_servers;
        let touches = match selection {
            Selection::All | Selection::WithoutRealServers => {
                for key in &self.virtual_servers {
                    tables.remove(key);
                }
                true
            }
            Selection::Only(keys) => self.real_servers.iter().any(|(key, _)| keys.contains(key)),
        };
        for (key, real) in &self.real_servers {
            if let Some(entry) = tables.get_mut(key) {
                Arc::make_mut(entry).real_servers.remove(real);
            }
        }
        snapshot.connections.retain(|(key, real), _| {
            let entry = tables.get(key);
            entry.is_some_and(|entry| entry.real_servers.contains_key(real))
        });
        snapshot.torn |= self.flagged && touches;
    }
}

/// Part of the tables that a [`FaultRule`] selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All tables.
    Everything,
    /// Kernel settings and idle timeouts.
    Settings,
    /// Synchronisation daemons.
    SyncDaemons,
    /// Sets with their entries.
    Sets,
    /// One set with its entries.
    Set(SetName),
    /// The packet filter's rules of one family.
    Rules(AddressFamily),
    /// The dummy device itself.
    Device,
    /// Addresses on the dummy device.
    Addresses,
    /// Virtual servers, without their real servers.
    VirtualServers,
    /// Virtual servers with this scheduler. It simulates a kernel without its module.
    Scheduler(Scheduler),
    /// Real servers.
    RealServers,
}

impl Part {
    /// Returns true if `op` changes this part.
    #[must_use]
    pub fn is_changed_by(&self, op: &Op) -> bool {
        match (self, op) {
            (Self::Everything, _)
            | (Self::Settings, Op::SetSysctl(..) | Op::SetTimeouts(_))
            | (Self::SyncDaemons, Op::StopSyncDaemon(_) | Op::StartSyncDaemon(_))
            | (Self::Device, Op::EnsureDevice | Op::DelDevice)
            | (Self::Addresses, Op::AddAddress(_) | Op::DelAddress(_))
            | (
                Self::VirtualServers,
                Op::AddVirtualServer(_) | Op::SetVirtualServer(_) | Op::DelVirtualServer(_),
            ) => true,
            (Self::Rules(family), Op::PatchRules(of, _)) => family == of,
            (
                Self::Scheduler(name),
                Op::AddVirtualServer(server) | Op::SetVirtualServer(server),
            ) => *name == server.scheduler,
            (Self::Sets, op) => set_of(op).is_some(),
            (Self::Set(name), op) => set_of(op) == Some(name),
            (Self::RealServers, op) => op.real_server_of().is_some(),
            _ => false,
        }
    }

    /// Returns true if a reading of `scope` covers at least a portion of this part.
    #[must_use]
    pub fn is_read_by(&self, scope: &Scope) -> bool {
        let servers = |with_real: bool| match &scope.virtual_servers {
            Selection::All => true,
            Selection::WithoutRealServers => !with_real,
            Selection::Only(keys) => !keys.is_empty(),
        };
        match self {
            Self::Everything => true,
            Self::Settings => scope.settings,
            Self::SyncDaemons => scope.sync_daemons,
            Self::Sets => scope.sets != SetSelection::Only(BTreeSet::new()),
            Self::Set(name) => match &scope.sets {
                SetSelection::All => true,
                SetSelection::Only(names) => names.contains(name),
            },
            Self::Rules(_) => scope.rules,
            Self::Device | Self::Addresses => scope.addresses,
            Self::VirtualServers | Self::Scheduler(_) => servers(false),
            Self::RealServers => servers(true),
        }
    }
}

fn set_of(op: &Op) -> Option<&SetName> {
    match op {
        Op::CreateSet(name, _)
        | Op::ReplaceSet(name, _)
        | Op::AddEntry(name, _)
        | Op::DelEntry(name, _)
        | Op::DestroySet(name) => Some(name),
        _ => None,
    }
}

/// A fault that lasts from [`MemoryKernel::hold`] to [`MemoryKernel::release`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultRule {
    /// Readings that cover this part fail.
    Unreadable(Part),
    /// Readings of virtual servers miss these entries.
    Torn(TornReading),
    /// Changes of `part` with this effect have this fault.
    Ops {
        /// The part whose changes are affected.
        part: Part,
        /// Effect of the affected changes; `None` for all effects.
        effect: Option<OpEffect>,
        /// The fault of these changes.
        fault: Fault,
    },
}

impl FaultRule {
    /// Refuses all changes of `part` with `kind`.
    #[must_use]
    pub fn refuse(part: Part, kind: OpErrorKind) -> Self {
        Self::Ops {
            part,
            effect: None,
            fault: Fault::Refuse(kind),
        }
    }

    /// Returns true if the rule affects the change `op`.
    #[must_use]
    pub fn hits(&self, op: &Op) -> bool {
        match self {
            Self::Ops { part, effect, .. } => {
                part.is_changed_by(op) && effect.is_none_or(|effect| effect == op.effect())
            }
            Self::Unreadable(_) | Self::Torn(_) => false,
        }
    }
}

/// Identifies a fault that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held(u64);

impl MemoryKernel {
    /// Starts a fault that lasts until it is [released](Self::release).
    ///
    /// If several rules match a change, the oldest one applies. A fault [injected](Self::inject)
    /// for that change takes precedence.
    #[must_use]
    pub fn hold(&self, rule: FaultRule) -> Held {
        let mut state = self.state();
        let held = Held(state.next_held);
        state.next_held += 1;
        state.held.insert(held, rule);
        held
    }

    /// Ends a held fault. Does nothing if it has already ended.
    pub fn release(&self, held: Held) {
        self.state().held.remove(&held);
    }

    /// Injects `fault` into the change that follows `skip` other changes. Each change has at most
    /// one fault, the last one set.
    pub fn inject(&self, skip: u64, fault: Fault) {
        let mut state = self.state();
        let number = state.counts.ops.saturating_add(skip);
        state.faults.insert(number, fault);
    }

    /// Removes all pending and held faults, and revives a killed process.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.tears.clear();
        state.held.clear();
        state.failing_observations = 0;
        state.killed = false;
    }

    /// Tears the next reading. Several tears apply to one reading each.
    pub fn tear(&self, tear: TornReading) {
        self.state().tears.push_back(tear);
    }

    /// Makes the next `count` readings fail.
    pub fn fail_observations(&self, count: u32) {
        self.state().failing_observations = count;
    }

    /// Returns true if a [`Fault::Kill`] has happened.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.state().killed
    }

    /// Restarts the process after [`Fault::Kill`].
    pub fn revive(&self) {
        self.state().killed = false;
    }
}

impl State {
    pub(super) fn check_observation(&mut self, scope: &Scope) -> Result<(), ObserveError> {
        let unreadable = |rule: &FaultRule| match rule {
            FaultRule::Unreadable(part) => part.is_read_by(scope),
            FaultRule::Torn(_) | FaultRule::Ops { .. } => false,
        };
        let message = if self.killed {
            "the process was killed"
        } else if self.failing_observations > 0 {
            self.failing_observations -= 1;
            "injected fault: this reading fails"
        } else if self.held.values().any(unreadable) {
            "injected fault: readings of this part fail"
        } else {
            return Ok(());
        };
        Err(ObserveError::Failed {
            what: "the tables",
            source: message.into(),
        })
    }
    /// Applies the tear that is pending for this reading, and all held ones.
    pub(super) fn tear(&mut self, scope: &Scope, snapshot: &mut Snapshot) {
        if let Some(tear) = self.tears.pop_front() {
            tear.apply(&scope.virtual_servers, snapshot);
        }
        for rule in self.held.values() {
            if let FaultRule::Torn(tear) = rule
                && Part::VirtualServers.is_read_by(scope)
            {
                tear.apply(&scope.virtual_servers, snapshot);
            }
        }
    }

    /// Returns the fault of `op`, which has this number.
    pub(super) fn fault_of(&mut self, number: u64, op: &Op) -> Option<Fault> {
        self.faults.remove(&number).or_else(|| {
            self.held.values().find_map(|rule| match rule {
                FaultRule::Ops { fault, .. } if rule.hits(op) => Some(fault.clone()),
                _ => None,
            })
        })
    }
}
