//! The Linux kernel: IPVS over generic netlink, the dummy device and its addresses over rtnetlink.

mod addresses;
mod failure;
mod messages;
mod modules;
mod virtual_servers;

use std::fmt;

use model::{Op, Scope, Snapshot, Stage};

use crate::error::{ObserveError, OpenError};
use crate::seam::{Kernel, OpOutcome};

use addresses::Addresses;
pub use modules::ModulePolicy;
use virtual_servers::VirtualServers;

/// How often a reading that somebody else's changes may have torn is done before it is given as torn.
const READINGS: u32 = 3;

/// The kernel of the network namespace in which it was opened, whichever namespace its thread enters
/// later.
pub struct LinuxKernel {
    virtual_servers: VirtualServers,
    addresses: Addresses,
}

impl LinuxKernel {
    /// Opens the kernel for reading and writing; finds out whether IPVS is there and may be used.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoModule`] where the kernel has no IPVS, after `modules` was followed;
    /// [`OpenError::NotPermitted`] without `CAP_NET_ADMIN`.
    pub fn open(modules: ModulePolicy) -> Result<Self, OpenError> {
        Ok(Self {
            virtual_servers: VirtualServers::open(modules)?,
            addresses: Addresses::open()?,
        })
    }
}

impl fmt::Debug for LinuxKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinuxKernel").finish_non_exhaustive()
    }
}

impl Kernel for LinuxKernel {
    fn observe(&mut self, scope: &Scope) -> Result<Snapshot, ObserveError> {
        let mut snapshot = Snapshot::default();
        self.virtual_servers
            .observe(&scope.virtual_servers, &mut snapshot)?;
        if scope.addresses {
            self.addresses.observe(&mut snapshot)?;
        }
        Ok(snapshot)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        let ops: Vec<&Op> = stage.ops.iter().map(|planned| &planned.op).collect();
        let mut outcomes = Vec::with_capacity(ops.len());
        for run in ops.chunk_by(|a, b| table(a) == table(b)) {
            outcomes.extend(match table(run[0]) {
                Table::VirtualServers => self.virtual_servers.apply(run),
                Table::Addresses => self.addresses.apply(run),
            });
        }
        outcomes
    }
}

/// Who does a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    VirtualServers,
    Addresses,
}

fn table(op: &Op) -> Table {
    match op {
        Op::EnsureDevice | Op::DelDevice | Op::AddAddress(_) | Op::DelAddress(_) => {
            Table::Addresses
        }
        Op::AddVirtualServer(_)
        | Op::SetVirtualServer(_)
        | Op::DelVirtualServer(_)
        | Op::AddRealServer(..)
        | Op::SetRealServer(..)
        | Op::DelRealServer(..) => Table::VirtualServers,
    }
}
