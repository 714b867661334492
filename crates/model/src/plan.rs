//! Changes of the kernel's tables, as a value that prints.

mod apply;
mod gate;
mod line;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Entry, Header, Set, SetName};
use ipvs::{
    AddressFamily, RealServer, RealServerKey, SyncDaemon, SyncRole, Timeouts, VirtualServer,
    VirtualServerKey,
};

pub use self::apply::set_timeouts;
pub use self::gate::DependencyGate;
use crate::finding::Finding;
use crate::names::{Name, ServicePortName};
use crate::rules::RulesPatch;
use crate::tables::TableKeys;

/// One change of one entry in the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Set the kernel setting of this name (`net.ipv4.ip_forward`) to this value.
    SetSysctl(Name, Name),
    /// Set the idle timeouts of IPVS; a zero leaves the kernel's value unchanged.
    SetTimeouts(Timeouts),
    /// Stop the synchronisation daemon of this role.
    StopSyncDaemon(SyncRole),
    /// Start a synchronisation daemon.
    StartSyncDaemon(SyncDaemon),
    /// Create an empty set.
    CreateSet(SetName, Header),
    /// Replace the set of this name atomically. Rules that use it remain in place.
    ReplaceSet(SetName, Arc<Set>),
    /// Add an entry to a set.
    AddEntry(SetName, Entry),
    /// Delete an entry from a set.
    DelEntry(SetName, Entry),
    /// Delete a set with all its entries. The kernel refuses this while a rule uses the set.
    DestroySet(SetName),
    /// Change the packet filter's rules of one family.
    PatchRules(AddressFamily, Arc<RulesPatch>),
    /// Create the dummy device if it does not exist.
    EnsureDevice,
    /// Add a host address to the dummy device.
    AddAddress(IpAddr),
    /// Add a virtual server without real servers.
    AddVirtualServer(VirtualServer),
    /// Change the settings of an existing virtual server.
    SetVirtualServer(VirtualServer),
    /// Add a real server.
    AddRealServer(VirtualServerKey, RealServer),
    /// Change the settings of an existing real server.
    SetRealServer(VirtualServerKey, RealServer),
    /// Delete a real server.
    DelRealServer(VirtualServerKey, RealServerKey),
    /// Delete a virtual server with its real servers.
    DelVirtualServer(VirtualServerKey),
    /// Delete a host address from the dummy device.
    DelAddress(IpAddr),
    /// Delete the dummy device. Only the last step of a cleanup does this.
    DelDevice,
}

impl Op {
    /// Returns the key that the op changes, as a set of one key.
    #[must_use]
    pub fn keys(&self) -> TableKeys {
        let mut keys = TableKeys::default();
        match self {
            Self::EnsureDevice | Self::DelDevice => keys.device = true,
            Self::SetSysctl(name, _) => {
                keys.sysctls.insert(name.clone());
            }
            Self::SetTimeouts(_) => keys.timeouts = true,
            Self::StopSyncDaemon(role) | Self::StartSyncDaemon(SyncDaemon { role, .. }) => {
                keys.sync_daemons.insert(*role);
            }
            Self::CreateSet(set, _) | Self::ReplaceSet(set, _) | Self::DestroySet(set) => {
                keys.sets.insert(set.clone());
            }
            Self::AddEntry(set, entry) | Self::DelEntry(set, entry) => {
                keys.entries.insert((set.clone(), *entry));
            }
            Self::PatchRules(family, _) => {
                keys.rules.insert(*family);
            }
            Self::AddAddress(address) | Self::DelAddress(address) => {
                keys.addresses.insert(*address);
            }
            Self::AddVirtualServer(server) | Self::SetVirtualServer(server) => {
                keys.virtual_servers.insert(server.key);
            }
            Self::AddRealServer(key, _)
            | Self::SetRealServer(key, _)
            | Self::DelRealServer(key, _)
            | Self::DelVirtualServer(key) => {
                keys.virtual_servers.insert(*key);
            }
        }
        keys
    }

    /// Returns the virtual server whose real server the op changes; `None` if it changes another
    /// kind of entry.
    #[must_use]
    pub fn real_server_of(&self) -> Option<VirtualServerKey> {
        match self {
            Self::AddRealServer(key, _)
            | Self::SetRealServer(key, _)
            | Self::DelRealServer(key, _) => Some(*key),
            _ => None,
        }
    }

    /// Returns the effect of the op: add, change or delete.
    #[must_use]
    pub fn effect(&self) -> OpEffect {
        match self {
            Self::EnsureDevice
            | Self::StartSyncDaemon(_)
            | Self::AddAddress(_)
            | Self::AddVirtualServer(_)
            | Self::AddRealServer(..)
            | Self::CreateSet(..)
            | Self::AddEntry(..) => OpEffect::Add,
            Self::SetVirtualServer(_)
            | Self::SetRealServer(..)
            | Self::SetSysctl(..)
            | Self::SetTimeouts(_)
            | Self::ReplaceSet(..) => OpEffect::Change,
            Self::PatchRules(_, patch) => patch.effect(),
            Self::DelRealServer(..)
            | Self::DelVirtualServer(_)
            | Self::DelAddress(_)
            | Self::DelDevice
            | Self::DelEntry(..)
            | Self::DestroySet(_)
            | Self::StopSyncDaemon(_) => OpEffect::Delete,
        }
    }
}

/// Effect of an [`Op`], which `ipvsctl diff` marks with `+`, `~` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpEffect {
    /// Creates an entry.
    Add,
    /// Changes the settings of an entry.
    Change,
    /// Deletes an entry.
    Delete,
}

impl OpEffect {
    /// Returns the mark for the start of a line.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Delete => '-',
        }
    }
}

/// Prints the op as errors and logs show it: "add real server 10.1.2.3:8080 to 10.96.0.10:80/TCP".
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetSysctl(name, value) => write!(f, "set {name} = {value}"),
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => write!(
                f,
                "set the IPVS timeouts (tcp {} s, tcpfin {} s, udp {} s; 0 keeps)",
                tcp.as_secs(),
                tcp_fin.as_secs(),
                udp.as_secs()
            ),
            Self::StopSyncDaemon(role) => write!(f, "stop the {role} synchronisation daemon"),
            Self::StartSyncDaemon(daemon) => write!(f, "start the {daemon}"),
            Self::CreateSet(set, header) => write!(f, "create set {set} {header}"),
            Self::ReplaceSet(set, _) => write!(f, "replace set {set}"),
            Self::AddEntry(set, entry) => write!(f, "add {entry} to set {set}"),
            Self::DelEntry(set, entry) => write!(f, "delete {entry} from set {set}"),
            Self::DestroySet(set) => write!(f, "delete set {set}"),
            Self::PatchRules(family, patch) => write!(f, "{family} rules: {patch}"),
            Self::EnsureDevice => write!(f, "create device {}", crate::DEVICE),
            Self::DelDevice => write!(f, "delete device {}", crate::DEVICE),
            Self::AddAddress(address) => write!(f, "add address {address} to {}", crate::DEVICE),
            Self::DelAddress(address) => {
                write!(f, "delete address {address} from {}", crate::DEVICE)
            }
            Self::AddVirtualServer(server) => write!(f, "add virtual server {}", server.key),
            Self::SetVirtualServer(server) => write!(f, "change virtual server {}", server.key),
            Self::DelVirtualServer(key) => write!(f, "delete virtual server {key}"),
            Self::AddRealServer(key, real) => write!(f, "add real server {} to {key}", real.key),
            Self::SetRealServer(key, real) => {
                write!(f, "change real server {} of {key}", real.key)
            }
            Self::DelRealServer(key, real) => write!(f, "delete real server {real} of {key}"),
        }
    }
}

/// An op with its owner and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOp {
    /// The op.
    pub op: Op,
    /// The Service port that the entry belongs to; `None` if no Service asks for the entry any
    /// more.
    pub owner: Option<Arc<ServicePortName>>,
    /// The reason for the op.
    pub reason: Reason,
}

/// Reason for a planned op.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The kernel lacks an entry that a Service asks for.
    Missing,
    /// The kernel's entry has other settings than the desired one.
    Differs(Vec<Difference>),
    /// The rules use a set whose type changes later in the plan.
    Loosened,
    /// The entry is ours, and no Service asks for it.
    Unwanted,
    /// The real server is not an endpoint of the Service.
    NoEndpoint,
    /// The real server is not an endpoint of the Service and may have connections. It gets weight
    /// 0, and is deleted once they are closed.
    Drains,
    /// The real server is not an endpoint of the Service, and its connections are closed.
    Drained,
    /// The real server is not an endpoint of the Service and still has connections at the end of
    /// the time to drain.
    DrainExpired,
    /// The endpoint of the real server disappeared without terminating first, for example because
    /// its node died. The clients' connections are cut, so that the clients do not wait for a
    /// timeout.
    Lost,
}

/// A setting with different live and desired values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The setting's name.
    pub field: &'static str,
    /// The kernel's value.
    pub live: String,
    /// The desired value.
    pub desired: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing in the kernel"),
            Self::Loosened => f.write_str("a set that it uses gets another type"),
            Self::Unwanted => f.write_str("no Service asks for it"),
            Self::NoEndpoint => f.write_str("no endpoint of the Service"),
            Self::Drained => f.write_str("no endpoint of the Service, its connections are gone"),
            Self::DrainExpired => {
                f.write_str("no endpoint of the Service, its time to drain is over")
            }
            Self::Lost => f.write_str("its endpoint is lost, its clients are cut off"),
            Self::Drains => f.write_str("no endpoint of the Service, its connections drain"),
            Self::Differs(differences) => {
                for (index, difference) in differences.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    let Difference {
                        field,
                        live,
                        desired,
                    } = difference;
                    write!(f, "{field} {live} -> {desired}")?;
                }
                Ok(())
            }
        }
    }
}

/// Ops that commute: each may be applied before or after any other op of the stage.
///
/// The kernel crate still applies them in this order, because the kernel keeps real servers in the
/// order in which they were added, and round robin follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// The ops. Never empty within a [`Plan`].
    pub ops: Vec<PlannedOp>,
}

impl Stage {
    /// Returns true if the stage only changes kernel settings.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        (self.ops.iter())
            .all(|planned| matches!(planned.op, Op::SetSysctl(..) | Op::SetTimeouts(_)))
    }
}

/// Changes that turn the live tables into the desired ones. A plan leaves no decisions to the crate
/// that applies it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Stages, applied one after the other.
    pub stages: Vec<Stage>,
    /// Findings about virtual servers left out because a foreign virtual server has their address
    /// and port.
    pub findings: BTreeMap<VirtualServerKey, Finding>,
    /// Number of deletions left out because the view of the cluster or of the kernel is incomplete.
    pub withheld: usize,
}

impl Plan {
    /// Returns true if the plan has no ops.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Returns every op in order.
    pub fn ops(&self) -> impl Iterator<Item = &PlannedOp> {
        self.stages.iter().flat_map(|stage| &stage.ops)
    }

    /// Keeps the first `at` ops and returns the others as a plan.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut left = at;
        let mut whole = 0;
        for stage in &self.stages {
            if stage.ops.len() > left {
                break;
            }
            left -= stage.ops.len();
            whole += 1;
        }
        let mut rest = self.stages.split_off(whole);
        if let Some(stage) = rest.first_mut().filter(|_| left > 0) {
            let ops = stage.ops.split_off(left);
            let ops = std::mem::replace(&mut stage.ops, ops);
            self.stages.push(Stage { ops });
        }
        Self {
            stages: rest,
            ..Self::default()
        }
    }

    /// Counts the ops by effect.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.ops().map(|planned| &planned.op).collect()
    }
}

/// Number of ops of each effect in a plan. Prints as `Plan: 1 to add, 0 to change, 2 to delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of additions.
    pub add: usize,
    /// Number of changes.
    pub change: usize,
    /// Number of deletions.
    pub delete: usize,
}

impl Summary {
    /// Counts `op` by its effect.
    pub fn count(&mut self, op: &Op) {
        match op.effect() {
            OpEffect::Add => self.add += 1,
            OpEffect::Change => self.change += 1,
            OpEffect::Delete => self.delete += 1,
        }
    }

    /// Returns the number of all ops.
    #[must_use]
    pub fn total(&self) -> usize {
        self.add + self.change + self.delete
    }
}

impl<'a> FromIterator<&'a Op> for Summary {
    fn from_iter<I: IntoIterator<Item = &'a Op>>(ops: I) -> Self {
        let mut summary = Self::default();
        ops.into_iter().for_each(|op| summary.count(op));
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            add,
            change,
            delete,
        } = self;
        write!(
            f,
            "Plan: {add} to add, {change} to change, {delete} to delete"
        )
    }
}
