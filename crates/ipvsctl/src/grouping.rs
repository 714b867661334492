//! Changes of a plan by the Service that asks for them.
//!
//! [`Changes::of`] is the one place that decides which Services a plan concerns.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipvs::{RealServerKey, VirtualServerKey};
use model::sets::Destination;
use model::{Name, ObjectName, Op, OpEffect, Plan, PlannedOp, TableKeys};
use planner::{Claims, EntryOwners};

/// Group of changes by their Service port. Prints as a heading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Changes for all Services.
    Node,
    /// Changes for a port of a Service, in all protocols. The port's name is empty if it has none,
    /// and for entries of the Service as a whole.
    Service(ObjectName, Name),
    /// Deletions of entries that no Service asks for.
    NoService,
    /// Changes of entries of a kind, where no Services are known.
    Tables(Kind),
}

impl Group {
    /// Returns the Service of the group, if it is one Service.
    #[must_use]
    pub fn service(&self) -> Option<&ObjectName> {
        match self {
            Self::Service(service, _) => Some(service),
            Self::Node | Self::NoService | Self::Tables(_) => None,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("(node)"),
            Self::NoService => f.write_str("(no Service)"),
            Self::Tables(kind) => write!(f, "({})", kind.plural()),
            Self::Service(service, port) if port.is_empty() => write!(f, "{service}"),
            Self::Service(service, port) => write!(f, "{service}:{port}"),
        }
    }
}

/// Kind of an entry in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Virtual servers.
    VirtualServer,
    /// Real servers.
    RealServer,
    /// Addresses of kube-ipvs0, and the device.
    Address,
    /// Sets and their entries.
    Set,
    /// Rules of the packet filter.
    Rule,
    /// Kernel settings and timeouts.
    Setting,
}

impl Kind {
    /// Every kind, in the order of a summary.
    pub const ALL: [Self; 6] = [
        Self::VirtualServer,
        Self::RealServer,
        Self::Address,
        Self::Set,
        Self::Rule,
        Self::Setting,
    ];

    /// Returns the kind of the entry that `op` changes.
    #[must_use]
    pub fn of(op: &Op) -> Self {
        match op {
            Op::SetSysctl(..) | Op::SetTimeouts(_) => Self::Setting,
            Op::CreateSet(..)
            | Op::ReplaceSet(..)
            | Op::AddEntry(..)
            | Op::DelEntry(..)
            | Op::DestroySet(_) => Self::Set,
            Op::PatchRules(..) => Self::Rule,
            Op::EnsureDevice | Op::DelDevice | Op::AddAddress(_) | Op::DelAddress(_) => {
                Self::Address
            }
            Op::AddVirtualServer(_) | Op::SetVirtualServer(_) | Op::DelVirtualServer(_) => {
                Self::VirtualServer
            }
            Op::AddRealServer(..) | Op::SetRealServer(..) | Op::DelRealServer(..) => {
                Self::RealServer
            }
        }
    }

    /// Returns the name of several entries of the kind.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::VirtualServer => "virtual servers",
            Self::RealServer => "real servers",
            Self::Address => "addresses",
            Self::Set => "set entries",
            Self::Rule => "rules",
            Self::Setting => "settings",
        }
    }
}

/// Number of changes of each effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of additions.
    pub add: usize,
    /// Number of changes of existing entries.
    pub change: usize,
    /// Number of deletions.
    pub delete: usize,
}

impl Counts {
    /// Counts one change.
    pub fn count(&mut self, effect: OpEffect) {
        *match effect {
            OpEffect::Add => &mut self.add,
            OpEffect::Change => &mut self.change,
            OpEffect::Delete => &mut self.delete,
        } += 1;
    }

    /// Returns the number of all changes.
    #[must_use]
    pub fn total(self) -> usize {
        self.add + self.change + self.delete
    }
}

/// One change of a plan, with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Op and reason.
    pub planned: &'a PlannedOp,
    /// Number of other Services that ask for the same entry.
    pub others: usize,
    /// Source of the change.
    pub origin: Origin,
}

/// Source of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Desired and live tables differ.
    Plan,
    /// Two readings of tables differ.
    Tables,
}

/// Changes of a plan by group. Changes of a group are ordered by address, then as a plan orders
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// The groups; none is empty.
    pub groups: BTreeMap<Group, Vec<Change<'a>>>,
}

impl<'a> Changes<'a> {
    /// Groups the changes of `plan`. `claims` are those of the compilation of the desired tables.
    /// Takes time proportional to the number of changes and claims.
    #[must_use]
    pub fn of(plan: &'a Plan, claims: &Claims) -> Self {
        let keys = shareable_keys(plan);
        let owners = match keys.is_empty() {
            true => EntryOwners::default(),
            false => claims.owners(&keys),
        };
        Self::with_owners(plan, &owners)
    }

    /// Groups the differences of two tables, of which no Services are known, by their kind.
    #[must_use]
    pub fn of_tables(plan: &'a Plan) -> Self {
        let change = |planned| Change {
            planned,
            others: 0,
            origin: Origin::Tables,
        };
        let ops = plan.ops();
        Self::grouped(ops.map(|planned| (Group::Tables(Kind::of(&planned.op)), change(planned))))
    }

    pub(crate) fn with_owners(plan: &'a Plan, owners: &EntryOwners) -> Self {
        let change = |planned, others| Change {
            planned,
            others,
            origin: Origin::Plan,
        };
        Self::grouped(plan.ops().map(|planned| {
            let (group, others) = owner_of(planned, owners);
            (group, change(planned, others))
        }))
    }

    fn grouped(changes: impl Iterator<Item = (Group, Change<'a>)>) -> Self {
        let mut groups: BTreeMap<Group, Vec<Change<'a>>> = BTreeMap::new();
        for (group, change) in changes {
            groups.entry(group).or_default().push(change);
        }
        for changes in groups.values_mut() {
            changes.sort_by_cached_key(|change| {
                let op = &change.planned.op;
                (address(op), place(op))
            });
        }
        Self { groups }
    }

    /// Keeps the changes of these Services and kinds. An empty list keeps all of them.
    pub fn retain(&mut self, services: &[ObjectName], kinds: &[Kind]) {
        self.groups.retain(|group, changes| {
            if !kinds.is_empty() {
                changes.retain(|change| kinds.contains(&Kind::of(&change.planned.op)));
            }
            let is_named = |service| services.contains(service);
            !changes.is_empty() && (services.is_empty() || group.service().is_some_and(is_named))
        });
    }

    /// Returns every change.
    pub fn iter(&self) -> impl Iterator<Item = &Change<'a>> {
        self.groups.values().flatten()
    }

    /// Returns the number of changes of each kind that has any.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Kind, Counts> {
        let mut counts: BTreeMap<Kind, Counts> = BTreeMap::new();
        for change in self.iter() {
            let op = &change.planned.op;
            counts.entry(Kind::of(op)).or_default().count(op.effect());
        }
        counts
    }

    /// Returns the number of changes of all kinds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.iter()
            .for_each(|change| counts.count(change.planned.op.effect()));
        counts
    }

    /// Returns the Services that the plan concerns, each with its number of changes. An entry that
    /// several Services share counts for the first.
    #[must_use]
    pub fn services(&self) -> BTreeMap<&ObjectName, Counts> {
        let mut services: BTreeMap<&ObjectName, Counts> = BTreeMap::new();
        for (group, changes) in &self.groups {
            if let Some(service) = group.service() {
                let counts = services.entry(service).or_default();
                changes
                    .iter()
                    .for_each(|change| counts.count(change.planned.op.effect()));
            }
        }
        services
    }
}

/// Returns the addresses and set entries that the plan adds. Several Services may ask for one, or
/// the plan may not know its owner.
fn shareable_keys(plan: &Plan) -> TableKeys {
    let (mut addresses, mut entries) = (BTreeSet::new(), BTreeSet::new());
    for planned in plan.ops() {
        match &planned.op {
            Op::AddAddress(address) => {
                addresses.insert(*address);
            }
            Op::AddEntry(set, entry) => {
                entries.insert((set.clone(), *entry));
            }
            _ => {}
        }
    }
    TableKeys {
        addresses,
        entries,
        ..TableKeys::default()
    }
}

/// Returns the group of a change, and the number of other Services that ask for the entry.
fn owner_of(planned: &PlannedOp, owners: &EntryOwners) -> (Group, usize) {
    let found = match &planned.op {
        Op::AddAddress(address) => owners.addresses.get(address),
        Op::AddEntry(set, entry) => owners.entries.get(&(set.clone(), *entry)),
        _ => None,
    };
    let (owner, others) = match found {
        Some(found) => (Some(&found.first), found.others),
        None => (planned.owner.as_ref(), 0),
    };
    let group = match (owner, &planned.op) {
        (Some(owner), _) => Group::Service(owner.service.clone(), owner.port.clone()),
        (
            None,
            Op::EnsureDevice
            | Op::DelDevice
            | Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::CreateSet(..)
            | Op::ReplaceSet(..)
            | Op::DestroySet(_)
            | Op::PatchRules(..),
        ) => Group::Node,
        (None, _) => Group::NoService,
    };
    (group, others)
}

fn address(op: &Op) -> Option<IpAddr> {
    let key = match op {
        Op::EnsureDevice
        | Op::DelDevice
        | Op::SetSysctl(..)
        | Op::SetTimeouts(_)
        | Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::DestroySet(_)
        | Op::PatchRules(..) => return None,
        Op::AddEntry(_, entry) | Op::DelEntry(_, entry) => {
            return Destination::of(*entry).address();
        }
        Op::AddAddress(address) | Op::DelAddress(address) => return Some(*address),
        Op::AddVirtualServer(server) | Op::SetVirtualServer(server) => &server.key,
        Op::DelVirtualServer(key)
        | Op::AddRealServer(key, _)
        | Op::SetRealServer(key, _)
        | Op::DelRealServer(key, _) => key,
    };
    match key {
        VirtualServerKey::Address { address, .. } => Some(*address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

/// Sort key of a change among those of its address: the order of a plan, then the entry's keys.
fn place(op: &Op) -> (u8, Option<VirtualServerKey>, Option<RealServerKey>) {
    match op {
        Op::SetSysctl(..) | Op::SetTimeouts(_) => (0, None, None),
        Op::EnsureDevice => (1, None, None),
        Op::CreateSet(..) | Op::ReplaceSet(..) => (2, None, None),
        Op::AddEntry(..) => (3, None, None),
        Op::PatchRules(..) => (4, None, None),
        Op::AddAddress(_) => (5, None, None),
        Op::AddVirtualServer(server) => (6, Some(server.key), None),
        Op::SetVirtualServer(server) => (7, Some(server.key), None),
        Op::AddRealServer(key, real) => (8, Some(*key), Some(real.key)),
        Op::SetRealServer(key, real) => (9, Some(*key), Some(real.key)),
        Op::DelRealServer(key, real) => (10, Some(*key), Some(*real)),
        Op::DelVirtualServer(key) => (11, Some(*key), None),
        Op::DelAddress(_) => (12, None, None),
        Op::DelEntry(..) => (13, None, None),
        Op::DestroySet(_) => (14, None, None),
        Op::DelDevice => (15, None, None),
    }
}
