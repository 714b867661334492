//! What to do to the kernel: a value that prints.

mod mirror;
#[cfg(test)]
mod tests;
mod undone;

use std::fmt;
use std::net::IpAddr;

use ipvs::{RealServer, RealServerKey, VirtualServer, VirtualServerKey};

pub use self::undone::Undone;
use crate::finding::Finding;
use crate::names::ServicePortName;
use crate::tables::TableKeys;

/// One change of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
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
    /// The one key that this change touches; none for the device, which has no key.
    #[must_use]
    pub fn keys(&self) -> TableKeys {
        let mut keys = TableKeys::default();
        match self {
            Self::EnsureDevice | Self::DelDevice => {}
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

    /// Whether it adds, changes or deletes.
    #[must_use]
    pub fn effect(&self) -> OpEffect {
        match self {
            Self::EnsureDevice
            | Self::AddAddress(_)
            | Self::AddVirtualServer(_)
            | Self::AddRealServer(..) => OpEffect::Add,
            Self::SetVirtualServer(_) | Self::SetRealServer(..) => OpEffect::Change,
            Self::DelRealServer(..)
            | Self::DelVirtualServer(_)
            | Self::DelAddress(_)
            | Self::DelDevice => OpEffect::Delete,
        }
    }
}

/// What an [`Op`] does, as `ipvsctl diff` marks it: `+`, `~` or `-`.
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedOp {
    /// The change.
    pub op: Op,
    /// On whose behalf; none where nobody asks for the key any more.
    pub owner: Option<ServicePortName>,
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
    /// Ours, and no Service asks for it.
    Unwanted,
    /// A real server that is no endpoint of the Service.
    NoEndpoint,
    /// The same, and it still has connections: it gets no new ones and goes when these are gone.
    Drains,
    /// The same, and its connections are gone.
    Drained,
}

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The setting's name.
    pub field: &'static str,
    /// What the kernel has.
    pub live: String,
    /// What is wanted.
    pub desired: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing in the kernel"),
            Self::Unwanted => f.write_str("no Service asks for it"),
            Self::NoEndpoint => f.write_str("no endpoint of the Service"),
            Self::Drained => f.write_str("no endpoint of the Service, its connections are gone"),
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

/// Everything that turns the live tables into the desired ones. A plan holds no choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be done one after the other.
    pub stages: Vec<Stage>,
    /// What was left out because the kernel's entry belongs to somebody else.
    pub findings: Vec<Finding>,
    /// How many deletions were left out because the view of the cluster or of the kernel is not
    /// complete.
    pub withheld: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Every change, in order.
    pub fn ops(&self) -> impl Iterator<Item = &PlannedOp> {
        self.stages.iter().flat_map(|stage| &stage.ops)
    }

    /// How many changes of each kind.
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

/// How many changes a plan holds. Prints as `Plan: 1 to add, 0 to change, 2 to delete`.
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
