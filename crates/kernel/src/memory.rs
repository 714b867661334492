//! A kernel in memory: a second implementation that is as strict as Linux. Tests can inject faults
//! and changes of other programs.

mod addresses;
mod faults;
mod filter_state;
mod foreign;
mod sync_daemons;
#[cfg(test)]
mod tests;
mod virtual_servers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipvs::Timeouts;
use model::plan::set_timeouts;
use model::{NodeTables, Op, Scope, Snapshot, Stage};

use model::kernel::{Kernel, OpOutcome};
use model::kernel::{ObserveError, OpError, OpErrorKind};

use addresses::Addresses;
pub use faults::{Fault, FaultRule, Held, Part, TornReading};
use filter_state::FilterState;
use sync_daemons::SyncDaemons;
use virtual_servers::VirtualServers;

/// Number of changes in one send, as in [`crate::linux`].
const OPS_PER_SEND: usize = 256;

/// A kernel in memory. A clone is another handle to the same kernel, so a test can keep one handle
/// while a loop owns the other.
///
/// It starts like a fresh network namespace whose `lo` is up: without virtual servers and without
/// the dummy device. All schedulers of Linux are available.
#[derive(Clone, Debug, Default)]
pub struct MemoryKernel {
    state: Arc<Mutex<State>>,
}

/// Tables of the kernel and pending faults.
#[derive(Debug)]
struct State {
    virtual_servers: VirtualServers,
    addresses: Addresses,
    filter_state: FilterState,
    timeouts: Timeouts,
    sync_daemons: SyncDaemons,
    counts: Counts,
    faults: BTreeMap<u64, Fault>,
    held: BTreeMap<Held, FaultRule>,
    next_held: u64,
    tears: VecDeque<TornReading>,
    failing_observations: u32,
    killed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            virtual_servers: VirtualServers::default(),
            addresses: Addresses::default(),
            filter_state: FilterState::default(),
            timeouts: Timeouts {
                tcp: Duration::from_secs(900),
                tcp_fin: Duration::from_secs(120),
                udp: Duration::from_secs(300),
            },
            sync_daemons: SyncDaemons::default(),
            counts: Counts::default(),
            faults: BTreeMap::new(),
            held: BTreeMap::new(),
            next_held: 0,
            tears: VecDeque::new(),
            failing_observations: 0,
            killed: false,
        }
    }
}

/// Number of calls of the kernel, including failed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes requested.
    pub ops: u64,
    /// Sends: one per started 256 changes of a stage.
    pub sends: u64,
    /// Readings.
    pub observations: u64,
}

impl MemoryKernel {
    /// Creates an empty kernel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a kernel with `tables`, and with the dummy device if they contain addresses.
    #[must_use]
    pub fn with_tables(tables: &NodeTables) -> Self {
        let kernel = Self::default();
        {
            let mut state = kernel.state();
            state.virtual_servers.set(tables);
            state.addresses.set(tables);
            state.filter_state.set(tables);
            state.sync_daemons.set(tables);
        }
        kernel
    }

    /// Returns the current tables, unaffected by faults. This does not count as a reading.
    #[must_use]
    pub fn tables(&self) -> NodeTables {
        self.snapshot().tables
    }

    /// Returns a complete snapshot, unaffected by faults. This does not count as a reading.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.look(&Scope::EVERYTHING)
    }

    /// Returns a snapshot of `scope`, unaffected by faults. This does not count as a reading.
    #[must_use]
    pub fn look(&self, scope: &Scope) -> Snapshot {
        self.state().read(scope)
    }

    /// Returns the number of calls so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kernel for MemoryKernel {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        let mut state = self.state();
        state.counts.observations += 1;
        state.check_observation(scope)?;
        if let Some(kind) = state.addresses.foreign_device()
            && scope.addresses
        {
            return Err(ObserveError::NotDummy {
                kind: kind.to_owned(),
            });
        }
        let mut snapshot = state.read(scope);
        state.tear(scope, &mut snapshot);
        Ok(snapshot)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        let mut state = self.state();
        state.counts.sends += stage.ops.len().div_ceil(OPS_PER_SEND) as u64;
        let ops = stage.ops.iter().map(|planned| &planned.op);
        ops.map(|op| state.answer(op)).collect()
    }
}

impl State {
    fn read(&self, scope: &Scope) -> Snapshot {
        let mut snapshot = Snapshot::default();
        if scope.settings {
            snapshot.tables.timeouts = self.timeouts;
        }
        if scope.sync_daemons {
            self.sync_daemons.read(&mut snapshot);
        }
        self.virtual_servers
            .read(&scope.virtual_servers, &mut snapshot);
        if scope.addresses {
            self.addresses.read(&mut snapshot);
        }
        if scope.settings {
            snapshot.node.machine = self.addresses.machine();
            snapshot.node.missing = self.addresses.missing();
        }
        self.filter_state.read(scope, &mut snapshot);
        snapshot
    }

    /// Applies `op`, or the fault that is pending for it.
    fn answer(&mut self, op: &Op) -> OpOutcome {
        let number = self.counts.ops;
        self.counts.ops += 1;
        let fault = self.fault_of(number, op);
        if matches!(fault, Some(Fault::Kill)) {
            self.killed = true;
        }
        let outcome = if self.killed {
            Err(OpErrorKind::Unknown)
        } else {
            match fault {
                None | Some(Fault::Kill) => self.do_op(op),
                Some(Fault::Refuse(kind)) => Err(kind),
                Some(Fault::LoseRequest) => Err(OpErrorKind::Unknown),
                Some(Fault::LoseAnswer) => {
                    // The outcome is dropped, because the answer is lost.
                    let _ = self.do_op(op);
                    Err(OpErrorKind::Unknown)
                }
            }
        };
        outcome.map_err(|kind| {
            let errno = crate::errno::errno_of(&kind);
            OpError::new(op.clone(), kind, errno)
        })
    }

    fn do_op(&mut self, op: &Op) -> Result<(), OpErrorKind> {
        match op {
            Op::SetSysctl(name, value) => self.filter_state.set_sysctl(name, value),
            Op::SetTimeouts(timeouts) => {
                set_timeouts(&mut self.timeouts, timeouts);
                Ok(())
            }
            Op::StopSyncDaemon(role) => self.sync_daemons.stop(*role),
            Op::StartSyncDaemon(daemon) => self.sync_daemons.start(daemon, &self.addresses),
            Op::CreateSet(name, header) => self.filter_state.create_set(name, *header),
            Op::ReplaceSet(name, set) => self.filter_state.replace_set(name, set),
            Op::AddEntry(name, entry) => self.filter_state.add_entry(name, *entry),
            Op::DelEntry(name, entry) => self.filter_state.delete_entry(name, *entry),
            Op::DestroySet(name) => self.filter_state.destroy_set(name),
            Op::PatchRules(family, patch) => self.filter_state.patch_rules(*family, patch),
            Op::EnsureDevice => self.addresses.ensure_device(),
            Op::DelDevice => self.addresses.delete_device(),
            Op::AddAddress(address) => self.addresses.add(*address),
            Op::DelAddress(address) => self.addresses.delete(*address),
            Op::AddVirtualServer(server) => self.virtual_servers.add(server),
            Op::SetVirtualServer(server) => self.virtual_servers.change(server),
            Op::DelVirtualServer(key) => self.virtual_servers.delete(*key),
            Op::AddRealServer(key, real) => self.virtual_servers.add_real(*key, *real),
            Op::SetRealServer(key, real) => self.virtual_servers.change_real(*key, *real),
            Op::DelRealServer(key, real) => self.virtual_servers.delete_real(*key, *real),
        }
    }
}
