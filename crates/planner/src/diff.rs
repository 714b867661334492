//! From desired and live tables to a plan.

mod fields;
mod filter_state;
mod order;
mod plan_builder;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use ipvs::{Protocol, RealServer, RealServerKey, VirtualServerKey};
use model::config::NodeConfig;
use model::finding::{Code, Finding};
use model::names::{Name, ObjectName};
use model::plan::{Op, Plan, PlannedOp, Reason, Stage};
use model::snapshot::Snapshot;
use model::tables::{Desired, TableKeys, VirtualServerEntry};

use self::plan_builder::PlanBuilder;

/// What we may touch (deviation D13), and how the node goes about it.
///
/// Ours is an address on the dummy device, an entry of our sets, a rule of our chains, a virtual server
/// whose address is on the dummy device or whose address and port are in our sets, and a virtual server
/// in `recorded`. All else is foreign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Virtual servers known to be ours wherever their address is: those that this process wrote.
    pub recorded: BTreeSet<VirtualServerKey>,
    /// Nothing inside these is deleted.
    pub exclude_cidrs: Vec<IpNetwork>,
    /// Real servers that are deleted though they have connections, and why.
    pub cut: BTreeMap<(VirtualServerKey, RealServerKey), Reason>,
    /// Whether anything may be deleted: not before every source has delivered a first list.
    pub deletions: bool,
    /// The node's name: it decides the order in which real servers are added (deviation D7).
    pub node_name: Name,
}

impl Ownership {
    /// What is ours by what the kernel says alone, on a node with this configuration. Deletions are
    /// allowed.
    #[must_use]
    pub fn new(config: &NodeConfig) -> Self {
        Self {
            recorded: BTreeSet::new(),
            exclude_cidrs: config.exclude_cidrs.clone(),
            cut: BTreeMap::new(),
            deletions: true,
            node_name: config.node_name.clone(),
        }
    }

    fn excludes(&self, address: IpAddr) -> bool {
        (self.exclude_cidrs.iter()).any(|network| network.contains(address))
    }
}

/// Everything that turns `live` into `desired` within `own`. `diff` of equal tables is empty.
#[must_use]
pub fn diff(desired: &Desired, live: &Snapshot, own: &Ownership) -> Plan {
    let mut keys = TableKeys::of(&desired.tables);
    keys.merge(TableKeys::of(&live.tables));
    diff_keys(desired, live, own, &keys)
}

/// Everything that takes what is ours off the node, the dummy device included. What `own` excludes
/// stays, and the device with it where it still holds an address.
#[must_use]
pub fn cleanup(live: &Snapshot, own: &Ownership) -> Plan {
    let mut plan = diff(&Desired::default(), live, own);
    let keeps_address = (live.tables.addresses.iter()).any(|address| own.excludes(*address));
    if live.device && !keeps_address && plan.withheld == 0 {
        plan.stages.push(Stage {
            ops: vec![PlannedOp {
                op: Op::DelDevice,
                owner: None,
                reason: Reason::Unwanted,
            }],
        });
    }
    plan
}

/// As [`diff`], for these keys alone: the plan is what `diff` says about them. A virtual server's key
/// stands for its address too.
#[must_use]
pub fn diff_keys(desired: &Desired, live: &Snapshot, own: &Ownership, keys: &TableKeys) -> Plan {
    let differ = Differ { desired, live, own };
    let mut plan = PlanBuilder::new(own.deletions && !live.torn);
    let mut addresses = keys.addresses.clone();
    for key in &keys.virtual_servers {
        if let VirtualServerKey::Address { address, .. } = key {
            addresses.insert(*address);
        }
        differ.virtual_server(*key, &mut plan);
    }
    for address in addresses {
        differ.address(address, &mut plan);
    }
    differ.filter_state(keys, &mut plan);
    if plan.adds_addresses() && !live.device {
        plan.create_device();
    }
    plan.into_plan()
}

/// Of `keys`, the virtual servers that stay and that a TCP real server leaves: whether it drains depends on
/// its connections, so these are to be read before [`diff_keys`] is asked.
#[must_use]
pub fn leaving(desired: &Desired, live: &Snapshot, keys: &TableKeys) -> BTreeSet<VirtualServerKey> {
    let leaves = |key: &&VirtualServerKey| {
        let desired = desired.tables.virtual_servers.get(key);
        let live = live.tables.virtual_servers.get(key);
        desired.zip(live).is_some_and(|(desired, live)| {
            (live.real_servers.keys()).any(|real| !desired.real_servers.contains_key(real))
        })
    };
    (keys.virtual_servers.iter())
        .filter(|key| is_tcp(**key))
        .filter(leaves)
        .copied()
        .collect()
}

struct Differ<'a> {
    desired: &'a Desired,
    live: &'a Snapshot,
    own: &'a Ownership,
}

impl Differ<'_> {
    fn virtual_server(&self, key: VirtualServerKey, plan: &mut PlanBuilder) {
        let desired = self.desired.tables.virtual_servers.get(&key);
        let live = self.live.tables.virtual_servers.get(&key);
        match (desired, live) {
            (None, None) => {}
            (None, Some(_)) => {
                if self.is_ours(key) && !address_of(key).is_some_and(|at| self.own.excludes(at)) {
                    plan.push(PlannedOp {
                        op: Op::DelVirtualServer(key),
                        owner: None,
                        reason: Reason::Unwanted,
                    });
                }
            }
            (Some(desired), live) => match self.in_the_way(key, plan) {
                Some(foreign) => plan.report(self.foreign(key, foreign)),
                None => self.entry(key, desired, live.map(AsRef::as_ref), plan),
            },
        }
    }

    fn entry(
        &self,
        key: VirtualServerKey,
        desired: &VirtualServerEntry,
        live: Option<&VirtualServerEntry>,
        plan: &mut PlanBuilder,
    ) {
        let owner = self.desired.owners.virtual_servers.get(&key);
        let mut push = |op, reason| {
            plan.push(PlannedOp {
                op,
                owner: owner.cloned(),
                reason,
            });
        };
        let Some(live) = live else {
            push(
                Op::AddVirtualServer(desired.server.clone()),
                Reason::Missing,
            );
            for real in self.in_turn(key, desired.real_servers.values()) {
                push(Op::AddRealServer(key, *real), Reason::Missing);
            }
            return;
        };
        // Nearly always, and less work than to ask for each part.
        if live == desired {
            return;
        }
        let differences = fields::of_virtual_server(&live.server, &desired.server);
        if !differences.is_empty() {
            push(
                Op::SetVirtualServer(desired.server.clone()),
                Reason::Differs(differences),
            );
        }
        let others = (desired.real_servers.values())
            .filter(|real| live.real_servers.get(&real.key) != Some(real));
        for real in self.in_turn(key, others) {
            match live.real_servers.get(&real.key) {
                None => push(Op::AddRealServer(key, *real), Reason::Missing),
                Some(live) => {
                    let differences = fields::of_real_server(live, real);
                    if !differences.is_empty() {
                        push(Op::SetRealServer(key, *real), Reason::Differs(differences));
                    }
                }
            }
        }
        for real in live.real_servers.values() {
            if !desired.real_servers.contains_key(&real.key)
                && let Some((op, reason)) = self.farewell(key, real)
            {
                push(op, reason);
            }
        }
    }

    /// Real servers of `key` in the order in which they are added.
    fn in_turn<'d>(
        &self,
        key: VirtualServerKey,
        real_servers: impl Iterator<Item = &'d RealServer>,
    ) -> Vec<&'d RealServer> {
        order::of_node(&self.own.node_name, key, real_servers)
    }

    /// What to do about a real server that is no endpoint any more. One with TCP connections keeps them and
    /// gets no new ones (weight 0) until a later reading finds none; a restart changes nothing about
    /// that, since the weight says it all (deviation D6). UDP and SCTP end at once: their clients would
    /// go on sending into the void (k/k#71514).
    fn farewell(&self, key: VirtualServerKey, real: &RealServer) -> Option<(Op, Reason)> {
        if let Some(reason) = self.own.cut.get(&(key, real.key)) {
            return Some((Op::DelRealServer(key, real.key), reason.clone()));
        }
        let connections = self.live.connections.get(&(key, real.key));
        let busy = connections.is_some_and(|count| count.active > 0 || count.inactive > 0);
        if !(busy && is_tcp(key)) {
            let reason = match real.weight {
                0 => Reason::Drained,
                _ => Reason::NoEndpoint,
            };
            return Some((Op::DelRealServer(key, real.key), reason));
        }
        let idle = RealServer { weight: 0, ..*real };
        (real.weight != 0).then_some((Op::SetRealServer(key, idle), Reason::Drains))
    }

    fn address(&self, address: IpAddr, plan: &mut PlanBuilder) {
        let owner = self.desired.owners.addresses.get(&address).cloned();
        let desired = self.desired.tables.addresses.contains(&address);
        let live = self.live.tables.addresses.contains(&address);
        if desired && !live && self.foreign_at(address).is_none() {
            plan.push(PlannedOp {
                op: Op::AddAddress(address),
                owner,
                reason: Reason::Missing,
            });
        } else if live && !desired && !self.own.excludes(address) {
            plan.push(PlannedOp {
                op: Op::DelAddress(address),
                owner: None,
                reason: Reason::Unwanted,
            });
        }
    }

    fn is_ours(&self, key: VirtualServerKey) -> bool {
        self.own.recorded.contains(&key) || is_marked(self.live, key)
    }

    /// Returns the foreign virtual server that keeps `key` from being served. It has this key, or adding what marks `key` as ours
    /// would mark it too: it is at another port of an address that is not bound yet, or at the same node port of another address.
    fn in_the_way(
        &self,
        key: VirtualServerKey,
        plan: &mut PlanBuilder,
    ) -> Option<VirtualServerKey> {
        let is_live = self.live.tables.virtual_servers.contains_key(&key);
        if is_live && !self.is_ours(key) {
            return Some(key);
        }
        let address = address_of(key)?;
        if self.desired.tables.addresses.contains(&address) {
            let is_bound = self.live.tables.addresses.contains(&address);
            return if is_bound {
                None
            } else {
                self.foreign_at(address)
            };
        }
        if is_live {
            None
        } else {
            self.foreign_at_node_port(key, plan)
        }
    }

    /// A virtual server at `address` that is not ours.
    fn foreign_at(&self, address: IpAddr) -> Option<VirtualServerKey> {
        (self.live.tables.virtual_servers_at(address))
            .map(|(key, _)| *key)
            .find(|key| !self.is_ours(*key))
    }

    fn foreign(&self, key: VirtualServerKey, foreign: VirtualServerKey) -> Finding {
        let owner = self.desired.owners.virtual_servers.get(&key);
        Finding {
            code: Code::ForeignVirtualServer,
            kind: "Service",
            object: owner.map_or_else(|| ObjectName::new("", ""), |owner| owner.service.clone()),
            field: "spec.ports".to_owned(),
            problem: format!(
                "somebody else made the virtual server {foreign}: its address is not on {}, nor is it in \
                 our sets",
                model::DEVICE
            ),
            consequence: format!("{key} is not served until it is gone"),
        }
    }
}

/// Whether what the kernel holds says that the virtual server `key` is ours: its address is on the dummy
/// device, or its address and port are in our sets.
#[must_use]
pub fn is_marked(live: &Snapshot, key: VirtualServerKey) -> bool {
    address_of(key).is_some_and(|at| live.tables.addresses.contains(&at))
        || filter_state::is_recorded(live, key)
}

fn is_tcp(key: VirtualServerKey) -> bool {
    match key {
        VirtualServerKey::Address { protocol, .. } => protocol == Protocol::Tcp,
        VirtualServerKey::Fwmark { .. } => false,
    }
}

fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}
