//! The Linux kernel: IPVS over generic netlink, the dummy device and its addresses over rtnetlink.

mod address_watch;
mod addresses;
mod batch;
mod child;
mod counters;
pub mod decode;
mod failure;
mod families;
pub mod leftovers;
mod messages;
mod modules;
mod nfnetlink;
mod poll;
mod rules;
mod schedulers;
mod sets;
mod stop;
mod sysctls;
mod udp_flows;
mod virtual_servers;

use std::fmt;
use std::iter::Peekable;

use model::{Op, Scope, Snapshot, Stage};

use crate::error::OpenError;
use model::kernel::{Kernel, ObserveError, OpError, OpErrorKind, OpOutcome};

pub use address_watch::{
    AddressWatch, Changes, Lost, LostAddresses, WatchError, WatchStop, Watched,
};
use addresses::Addresses;
pub use addresses::{bridges, node_state};
use batch::{Batch, Change};
pub use counters::{Counted, Counters};
use families::Families;
pub use modules::{ModulePolicy, Presence, presence};
use rules::Rules;
pub use rules::{Choice, IptablesBackend, Reason, Variant, Version, holders_of_our_chains};
use sets::Sets;
pub use stop::StopSignal;
use sysctls::Sysctls;
pub use sysctls::setting;
pub use udp_flows::{Cleared, Conntrack, ConntrackError};
use virtual_servers::VirtualServers;

/// Number of attempts at a reading that changes of another program may have torn, before it is given as torn.
const READINGS: u32 = 3;

/// Maximum number of changes handed to a table at once: many sends, little memory however large the stage, and a
/// moment between them in which a stop is seen.
const BATCH: usize = 4096;

/// The kernel of the network namespace in which it was opened, whichever namespace its thread enters
/// later; only the packet filter's rules and the settings are those of the thread's namespace at each
/// call.
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
            rules: Rules::open(IptablesBackend::Auto, StopSignal::default()),
            sysctls: Sysctls::open(),
            families: Families::open(),
            stop: StopSignal::default(),
        })
    }

    /// The same with the packet filter that `backend` says, which otherwise is found out.
    #[must_use]
    pub fn with_iptables(mut self, backend: IptablesBackend) -> Self {
        self.rules.set_backend(backend);
        self
    }

    /// The same, ended by `stop`: from then on programs that run are killed, and readings and changes end before their
    /// next step, with an error that says so.
    #[must_use]
    pub fn with_stop(mut self, stop: StopSignal) -> Self {
        self.virtual_servers.set_stop(stop.clone());
        self.rules.set_stop(stop.clone());
        self.stop = stop;
        self
    }

    /// Returns the programs that change the packet filter, and why; none before rules were first read or changed.
    #[must_use]
    pub fn iptables(&self) -> Option<&Choice> {
        self.rules.chosen()
    }

    /// Fails once the stop is set.
    fn go_on(&self, what: &'static str) -> Result<(), ObserveError> {
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
        if scope.addresses {
            self.go_on("the addresses")?;
            self.addresses.observe(&mut snapshot)?;
        }
        self.go_on("the sets")?;
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
    /// Does the change of `op`, and with it those after it that the same table does.
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
            // The others are done one by one.
            Change::Device(change) => vec![self.addresses.change_device(op, change)],
            Change::Rules(family, patch) => vec![self.rules.apply(op, family, patch)],
            Change::Setting(name, value) => vec![self.sysctls.apply(op, name, value)],
        }
    }
}
