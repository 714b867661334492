//! The Linux kernel: IPVS over generic netlink, the dummy device and its addresses over rtnetlink.

mod address_watch;
mod addresses;
mod counters;
mod failure;
pub mod leftovers;
mod messages;
mod modules;
mod rules;
mod sets;
mod sysctls;
mod udp_flows;
mod virtual_servers;

use std::fmt;

use model::{Op, Scope, Snapshot, Stage};

use crate::error::OpenError;
use model::kernel::ObserveError;
use model::kernel::{Kernel, OpOutcome};

pub use address_watch::{AddressWatch, WatchError, WatchStop, Watched};
use addresses::Addresses;
pub use addresses::bridges;
pub use counters::{Counted, Counters};
pub use modules::{ModulePolicy, Presence, presence};
use rules::Rules;
pub use rules::{Choice, IptablesBackend, Reason, Variant, Version, holders_of_our_chains};
use sets::Sets;
use sysctls::Sysctls;
pub use sysctls::setting;
pub use udp_flows::{Cleared, Conntrack, ConntrackError};
use virtual_servers::VirtualServers;

/// How often a reading that somebody else's changes may have torn is done before it is given as torn.
const READINGS: u32 = 3;

/// The kernel of the network namespace in which it was opened, whichever namespace its thread enters
/// later; only the packet filter's rules and the settings are those of the thread's namespace at each
/// call.
pub struct LinuxKernel {
    virtual_servers: VirtualServers,
    addresses: Addresses,
    sets: Sets,
    rules: Rules,
    sysctls: Sysctls,
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
            sets: Sets::default(),
            rules: Rules::open(IptablesBackend::Auto),
            sysctls: Sysctls::open(),
        })
    }

    /// The same with the packet filter that `backend` says, which otherwise is found out.
    #[must_use]
    pub fn with_iptables(mut self, backend: IptablesBackend) -> Self {
        self.rules = Rules::open(backend);
        self
    }

    /// Which programs change the packet filter, and why; none before rules were first read or changed.
    #[must_use]
    pub fn iptables(&self) -> Option<&Choice> {
        self.rules.chosen()
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
        if scope.settings {
            self.virtual_servers.observe_timeouts(&mut snapshot)?;
            self.sysctls.observe(&mut snapshot)?;
        }
        if scope.addresses {
            self.addresses.observe(&mut snapshot)?;
        }
        self.sets.observe(&scope.sets, &mut snapshot)?;
        if scope.rules {
            self.rules.observe(&mut snapshot)?;
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
                Table::Rules => self.rules.apply(run),
                Table::Sysctls => self.sysctls.apply(run),
                Table::Sets => self.sets.apply(run),
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
    Sets,
    Rules,
    Sysctls,
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
        | Op::DelRealServer(..)
        | Op::SetTimeouts(_) => Table::VirtualServers,
        Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::DestroySet(_) => Table::Sets,
        Op::PatchRules(..) => Table::Rules,
        Op::SetSysctl(..) => Table::Sysctls,
    }
}
