//! The Linux kernel: IPVS over generic netlink, the dummy device and its addresses over rtnetlink.

mod address_watch;
mod addresses;
mod batch;
mod child;
pub mod connections;
mod counters;
pub mod decode;
mod failure;
mod families;
pub mod leftovers;
mod messages;
mod modules;
mod nfnetlink;
mod poll;
mod routes;
mod rules;
mod schedulers;
mod sets;
mod stop;
mod sysctls;
#[cfg(test)]
mod testing;
mod udp_flows;
mod virtual_servers;

use std::fmt;
use std::iter::Peekable;

use model::{Op, Scope, Snapshot, Stage};

use crate::error::OpenError;
use model::kernel::{Kernel, ObserveError, OpError, OpErrorKind, OpOutcome};

pub use address_watch::{
    AddressWatch, Changes, DeviceLosses, LostAddresses, WatchError, WatchStop, Watched,
};
use addresses::Addresses;
pub use addresses::{bridges, node_state};
use batch::{Batch, Change};
pub use counters::{Counted, Counters};
use families::Families;
pub use modules::{ModulePolicy, Presence, presence};
pub use routes::{Route, Routes, routes};
use rules::Rules;
pub use rules::{
    Choice, IptablesBackend, Reason, Variant, Version, holders_of_our_chains, host_rules,
};
use sets::Sets;
pub use stop::StopSignal;
use sysctls::Sysctls;
pub use sysctls::{read_setting, setting};
pub use udp_flows::{Cleared, Conntrack, ConntrackError};
use virtual_servers::VirtualServers;

/// Maximum number of readings until a reading that another program disturbed is returned as torn.
const READINGS: u32 = 3;

/// Maximum number of changes in one batch of a table. It allows large sends, limits the memory, and
/// gives a stop signal the chance to take effect.
const BATCH: usize = 4096;

/// The kernel of the network namespace in which it was opened, whichever namespace its thread
/// enters later.
///
/// Only iptables rules and settings belong to the namespace of the calling thread.
pub struct LinuxKernel {
    virtual_servers: VirtualServers,
    addresses: Addresses,
    sets: Sets,
    rules: Rules,
    sysctls: Sysctls,
    families: Families,
    stop: StopSignal,
}

impl LinuxKernel {
    /// Opens the kernel for reading and writing, and checks that IPVS is available and may be used.
    ///
    /// # Errors
    ///
    /// - [`OpenError::NoModule`] if the kernel has no IPVS, after `modules` was applied
    /// - [`OpenError::NotPermitted`] without `CAP_NET_ADMIN`
    pub fn open(modules: ModulePolicy) -> Result<Self, OpenError> {
        Ok(Self {
            virtual_servers: VirtualServers::open(modules)?,
            addresses: Addresses::open()?,
            sets: Sets::default(),
            rules: Rules::open(IptablesBackend::Auto, StopSignal::default()),
            sysctls: Sysctls::open(),
            families: Families::open(),
            stop: StopSignal::default(),
        })
    }

    /// Selects the packet filter. Without this call it is detected.
    #[must_use]
    pub fn with_iptables(mut self, backend: IptablesBackend) -> Self {
        self.rules.set_backend(backend);
        self
    }

    /// Sets the stop signal. Once it is set, running programs are killed, and readings and changes
    /// end before their next step with an error that names the stop.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.virtual_servers.set_stop(stop.clone());
        self.rules.set_stop(stop.clone());
        self.stop = stop;
        self
    }

    /// Returns the iptables programs in use and the reason for their choice, or `None` before rules
    /// were first read or changed.
    #[must_use]
    pub fn iptables(&self) -> Option<&Choice> {
        self.rules.chosen()
    }

    /// Returns an error once the stop signal is set.
    fn check_stop(&self, what: &'static str) -> Result<(), ObserveError> {
        match self.stop.is_set() {
            true => Err(ObserveError::Stopping { what }),
            false => Ok(()),
        }
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
            let Self {
                families,
                virtual_servers,
                rules,
                ..
            } = self;
            snapshot.node.missing = families.missing(virtual_servers, rules);
        }
        if scope.sync_daemons {
            self.virtual_servers.observe_sync_daemons(&mut snapshot)?;
        }
        if scope.addresses {
            self.check_stop("the addresses")?;
            self.addresses.observe(&mut snapshot)?;
        }
        self.check_stop("the sets")?;
        self.sets.observe(&scope.sets, &mut snapshot)?;
        if scope.rules {
            self.rules.observe(&mut snapshot)?;
        }
        Ok(snapshot)
    }

    fn apply(&mut self, stage: &Stage) -> Vec<OpOutcome> {
        let ops = stage.ops.iter().map(|planned| &planned.op);
        let mut changes = ops.map(|op| (op, Change::of(op))).peekable();
        let mut outcomes = Vec::with_capacity(stage.ops.len());
        while let Some((op, change)) = changes.next() {
            if self.stop.is_set() {
                let stopping = OpError::new(op.clone(), OpErrorKind::Stopping, None);
                outcomes.push(Err(stopping));
                continue;
            }
            outcomes.extend(self.apply_batch(op, change, &mut changes));
        }
        assert_eq!(outcomes.len(), stage.ops.len(), "one outcome for each op");
        outcomes
    }
}

impl LinuxKernel {
    /// Applies the change of `op` together with the following changes of the same table.
    fn apply_batch<'a>(
        &mut self,
        op: &'a Op,
        change: Change<'a>,
        more: &mut Peekable<impl Iterator<Item = (&'a Op, Change<'a>)>>,
    ) -> Vec<OpOutcome> {
        match change {
            Change::Ipvs(request) => {
                let batch = Batch::gather(op, request, more, BATCH, |change| match change {
                    Change::Ipvs(request) => Ok(request),
                    other => Err(other),
                });
                self.virtual_servers.apply(&batch)
            }
            Change::Address(request) => {
                let batch = Batch::gather(op, request, more, BATCH, |change| match change {
                    Change::Address(request) => Ok(request),
                    other => Err(other),
                });
                self.addresses.apply(&batch)
            }
            Change::Set(request) => {
                let batch = Batch::gather(op, request, more, BATCH, |change| match change {
                    Change::Set(request) => Ok(request),
                    other => Err(other),
                });
                self.sets.apply(&batch)
            }
            // Other changes are applied one by one.
            Change::Device(change) => vec![self.addresses.change_device(op, change)],
            Change::Rules(family, patch) => vec![self.rules.apply(op, family, patch)],
            Change::Setting(name, value) => vec![self.sysctls.apply(op, name, value)],
        }
    }
}
