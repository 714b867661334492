//! Changes to the kernel: a value that prints.

mod apply;
mod gate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipset::{Entry, Header, Set, SetName};
use ipvs::{AddressFamily, RealServer, RealServerKey, Timeouts, VirtualServer, VirtualServerKey};

pub use self::apply::set_timeouts;
pub use self::gate::DependencyGate;
use crate::finding::Finding;
use crate::names::{Name, ServicePortName};
use crate::rules::RulesPatch;
use crate::tables::TableKeys;

/// One change of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Give the kernel setting of this name (`net.ipv4.ip_forward`) this value.
    SetSysctl(Name, Name),
    /// Set the idle timeouts of IPVS; those that are zero stay as they are.
    SetTimeouts(Timeouts),
    /// Create a set, empty.
    CreateSet(SetName, Header),
    /// Put a new set in the place of the one of this name, at one moment. Rules that look into it go on.
    ReplaceSet(SetName, Arc<Set>),
    /// Add an entry to a set.
    AddEntry(SetName, Entry),
    /// Delete an entry from a set.
    DelEntry(SetName, Entry),
    /// Delete a set with all that it holds. Refused while a rule looks into it.
    DestroySet(SetName),
    /// Change the packet filter's rules of one family.
    PatchRules(AddressFamily, Arc<RulesPatch>),
    /// Create the dummy device where it does not exist.
    EnsureDevice,
    /// Add a host address to the dummy device.
    AddAddress(IpAddr),
    /// Add a virtual server, empty.
    AddVirtualServer(VirtualServer),
    /// Give an existing virtual server these settings.
    SetVirtualServer(VirtualServer),
    /// Add a real server.
    AddRealServer(VirtualServerKey, RealServer),
    /// Give an existing real server these settings.
    SetRealServer(VirtualServerKey, RealServer),
    /// Delete a real server.
    DelRealServer(VirtualServerKey, RealServerKey),
    /// Delete a virtual server and, with it, its real servers.
    DelVirtualServer(VirtualServerKey),
    /// Delete a host address from the dummy device.
    DelAddress(IpAddr),
    /// Delete the dummy device: the last step of a cleanup, in no other plan.
    DelDevice,
}

impl Op {
    /// The one key that this change touches.
    #[must_use]
    pub fn keys(&self) -> TableKeys {
        let mut keys = TableKeys::default();
        match self {
            Self::EnsureDevice | Self::DelDevice => keys.device = true,
            Self::SetSysctl(name, _) => {
                keys.sysctls.insert(name.clone());
            }
            Self::SetTimeouts(_) => keys.timeouts = true,
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

    /// The virtual server of the real server that this change is about; none where it is about something else.
    #[must_use]
    pub fn real_server_of(&self) -> Option<VirtualServerKey> {
        match self {
            Self::AddRealServer(key, _)
            | Self::SetRealServer(key, _)
            | Self::DelRealServer(key, _) => Some(*key),
            _ => None,
        }
    }

    /// Returns the kind of change: add, change or delete.
    #[must_use]
    pub fn effect(&self) -> OpEffect {
        match self {
            Self::EnsureDevice
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
            | Self::DestroySet(_) => OpEffect::Delete,
        }
    }
}

/// The kind of change that an [`Op`] makes, as `ipvsctl diff` marks it: `+`, `~` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpEffect {
    /// Something new.
    Add,
    /// Something with other settings.
    Change,
    /// Something gone.
    Delete,
}

impl OpEffect {
    /// The mark at the beginning of a line.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Delete => '-',
        }
    }
}

/// In words, as errors and logs want it: "add real server 10.1.2.3:8080 to 10.96.0.10:80/TCP".
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

/// A change with its why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOp {
    /// The change.
    pub op: Op,
    /// On whose behalf; none where nobody asks for the key any more.
    pub owner: Option<Arc<ServicePortName>>,
    /// Why.
    pub reason: Reason,
}

/// Why a change is planned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The kernel lacks what a Service asks for.
    Missing,
    /// The kernel has it with other settings: which, from what, to what.
    Differs(Vec<Difference>),
    /// Rules that look into a set of which the type is about to change.
    Loosened,
    /// Ours, and no Service asks for it.
    Unwanted,
    /// A real server that is no endpoint of the Service.
    NoEndpoint,
    /// The same, and it still has connections: it gets no new ones and goes when these are gone.
    Drains,
    /// The same, and its connections are gone.
    Drained,
    /// The same, it has drained for as long as it may, and still has connections.
    DrainExpired,
    /// A real server whose endpoint is gone without having been terminating, as when its node died: its
    /// clients are cut off rather than left to wait.
    Lost,
}

/// One setting that differs.
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
            Self::Loosened => f.write_str("a set that it looks into gets another type"),
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

/// Changes that commute: each may be done before or after any other of the same stage. The order in
/// which they stand is kept all the same, since the kernel remembers it: real servers take turns in
/// the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// The changes. Never empty within a [`Plan`].
    pub ops: Vec<PlannedOp>,
}

impl Stage {
    /// Returns true if it changes kernel settings and nothing else.
    #[must_use]
    pub fn is_about_settings(&self) -> bool {
        (self.ops.iter())
            .all(|planned| matches!(planned.op, Op::SetSysctl(..) | Op::SetTimeouts(_)))
    }
}

/// Everything that turns the live tables into the desired ones. A plan holds no choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done one after the other.
    pub stages: Vec<Stage>,
    /// Virtual servers that were left out because a foreign one is in their way.
    pub findings: BTreeMap<VirtualServerKey, Finding>,
    /// Number of deletions that were left out because the view of the cluster or of the kernel is not complete.
    pub withheld: usize,
}

impl Plan {
    /// Returns true if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Every change, in order.
    pub fn ops(&self) -> impl Iterator<Item = &PlannedOp> {
        self.stages.iter().flat_map(|stage| &stage.ops)
    }

    /// Keeps the first `at` changes, and returns the others.
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

    /// Counts the changes of each kind.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for planned in self.ops() {
            match planned.op.effect() {
                OpEffect::Add => summary.add += 1,
                OpEffect::Change => summary.change += 1,
                OpEffect::Delete => summary.delete += 1,
            }
        }
        summary
    }
}

/// Numbers of changes in a plan. Prints as `Plan: 1 to add, 0 to change, 2 to delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Additions.
    pub add: usize,
    /// Changes of settings.
    pub change: usize,
    /// Deletions.
    pub delete: usize,
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
