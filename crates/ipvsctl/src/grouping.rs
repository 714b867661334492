//! Changes of a plan by the Service that asks for them.
//!
//! [`Changes::of`] is the one place that decides which Services a plan concerns.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{RealServerKey, VirtualServerKey};
use model::sets::Destination;
use model::{Name, ObjectName, Op, Plan, PlannedOp, ServicePortName, Summary, TableKeys};
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
    fn of(owner: &ServicePortName) -> Self {
        Self::Service(owner.service.clone(), owner.port.clone())
    }

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
    /// Kernel settings, timeouts and synchronisation daemons.
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
            Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StopSyncDaemon(_)
            | Op::StartSyncDaemon(_) => Self::Setting,
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

/// Selection of changes. An empty list selects everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'s> {
    /// Services that ask for the changed entries.
    pub services: &'s [ObjectName],
    /// Kinds of the changed entries.
    pub kinds: &'s [Kind],
}

/// One change of a plan, in the group of a Service that asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Op and reason.
    pub planned: &'a PlannedOp,
    /// Number of other Services that ask for the same entry.
    pub others: usize,
    /// True if the change is also in another group and counted there.
    pub is_repeated: bool,
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
    /// Groups the selected changes of `plan`. `claims` are those of the compilation of the desired
    /// tables. Takes time proportional to the number of changes and claims.
    ///
    /// An entry that several Services share is in the group of the first, or in the group of each
    /// selected Service that shares it.
    #[must_use]
    pub fn of(plan: &'a Plan, claims: &Claims, selection: Selection<'_>) -> Self {
        let keys = shareable_keys(plan);
        let owners = match keys.is_empty() {
            true => EntryOwners::default(),
            false => claims.owners(&keys),
        };
        Self::with_owners(plan, &owners, selection)
    }

    /// Groups the differences of two tables, of which no Services are known, by their kind.
    #[must_use]
    pub fn of_tables(plan: &'a Plan, kinds: &[Kind]) -> Self {
        let ops = selected(plan, kinds).map(|(planned, kind)| {
            let change = Change {
                planned,
                others: 0,
                is_repeated: false,
                origin: Origin::Tables,
            };
            (Group::Tables(kind), change)
        });
        Self::grouped(ops)
    }

    pub(crate) fn with_owners(
        plan: &'a Plan,
        owners: &EntryOwners,
        selection: Selection<'_>,
    ) -> Self {
        let Selection { services, kinds } = selection;
        Self::grouped(selected(plan, kinds).flat_map(|(planned, _)| {
            let owners = owners_of(planned, owners);
            let groups: Vec<Group> = match (owners, services) {
                ([], []) => vec![unowned(&planned.op)],
                ([first, ..], []) => vec![Group::of(first)],
                (owners, services) => (owners.iter())
                    .filter(|owner| services.contains(&owner.service))
                    .map(|owner| Group::of(owner))
                    .collect(),
            };
            let others = owners.len().saturating_sub(1);
            (groups.into_iter().enumerate()).map(move |(number, group)| {
                let change = Change {
                    planned,
                    others,
                    is_repeated: number > 0,
                    origin: Origin::Plan,
                };
                (group, change)
            })
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

    /// Returns every change once.
    pub fn iter(&self) -> impl Iterator<Item = &Change<'a>> {
        let changes = self.groups.values().flatten();
        changes.filter(|change| !change.is_repeated)
    }

    /// Returns the number of changes of each kind that has any.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Kind, Summary> {
        let mut counts: BTreeMap<Kind, Summary> = BTreeMap::new();
        for change in self.iter() {
            let op = &change.planned.op;
            counts.entry(Kind::of(op)).or_default().count(op);
        }
        counts
    }

    /// Returns the number of changes of all kinds.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.iter().map(|change| &change.planned.op).collect()
    }

    /// Returns the number of changes of each group, the ports of a Service as one group without
    /// port.
    #[must_use]
    pub fn by_service(&self) -> BTreeMap<Group, Summary> {
        let mut services: BTreeMap<Group, Summary> = BTreeMap::new();
        for (group, changes) in &self.groups {
            let service = match group {
                Group::Service(service, _) => Group::Service(service.clone(), "".into()),
                Group::Node | Group::NoService | Group::Tables(_) => group.clone(),
            };
            let counts = services.entry(service).or_default();
            (changes.iter()).for_each(|change| counts.count(&change.planned.op));
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

/// Returns the changes of these kinds, with their kind.
fn selected<'a>(plan: &'a Plan, kinds: &[Kind]) -> impl Iterator<Item = (&'a PlannedOp, Kind)> {
    (plan.ops())
        .map(|planned| (planned, Kind::of(&planned.op)))
        .filter(|(_, kind)| kinds.is_empty() || kinds.contains(kind))
}

/// Returns a port of each Service that asks for the changed entry.
fn owners_of<'o>(planned: &'o PlannedOp, owners: &'o EntryOwners) -> &'o [Arc<ServicePortName>] {
    let found = match &planned.op {
        Op::AddAddress(address) => owners.addresses.get(address),
        Op::AddEntry(set, entry) => owners.entries.get(&(set.clone(), *entry)),
        _ => None,
    };
    found.map_or(planned.owner.as_slice(), Vec::as_slice)
}

/// Returns the group of a change without Service.
fn unowned(op: &Op) -> Group {
    match op {
        Op::EnsureDevice
        | Op::DelDevice
        | Op::SetSysctl(..)
        | Op::SetTimeouts(_)
        | Op::StopSyncDaemon(_)
        | Op::StartSyncDaemon(_)
        | Op::CreateSet(..)
        | Op::ReplaceSet(..)
        | Op::DestroySet(_)
        | Op::PatchRules(..) => Group::Node,
        Op::AddEntry(..)
        | Op::DelEntry(..)
        | Op::AddAddress(_)
        | Op::DelAddress(_)
        | Op::AddVirtualServer(_)
        | Op::SetVirtualServer(_)
        | Op::DelVirtualServer(_)
        | Op::AddRealServer(..)
        | Op::SetRealServer(..)
        | Op::DelRealServer(..) => Group::NoService,
    }
}

fn address(op: &Op) -> Option<IpAddr> {
    let key = match op {
        Op::EnsureDevice
        | Op::DelDevice
        | Op::SetSysctl(..)
        | Op::SetTimeouts(_)
        | Op::StopSyncDaemon(_)
        | Op::StartSyncDaemon(_)
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
        Op::SetSysctl(..) | Op::SetTimeouts(_) | Op::StopSyncDaemon(_) | Op::StartSyncDaemon(_) => {
            (0, None, None)
        }
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
