//! Compares desired and live tables and returns a plan.

mod between;
mod fields;
mod filter_state;
mod handover;
mod order;
mod plan_builder;
mod release;
mod rules;
mod sync_daemons;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
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

pub use self::between::between;
use self::filter_state::NodePort;
pub use self::handover::{HandOver, entry_now};
use self::plan_builder::PlanBuilder;
pub use self::release::{captured, captured_scope, release};
pub use self::sync_daemons::sync_daemon_runs;

/// Objects that kube-ipvs owns (deviation D13), and the policy for deletions.
///
/// These objects are ours:
/// - an address on the dummy device
/// - an entry of our sets and a rule of our chains
/// - a virtual server whose address is on the dummy device, or whose address and port or firewall
///   mark are in our sets
/// - a virtual server in `recorded`
/// - a virtual server with the key of a desired VirtualServer, which names its entry explicitly
///
/// Everything else is foreign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Virtual servers that are ours whatever their address, because this process wrote them.
    pub recorded: BTreeSet<VirtualServerKey>,
    /// Virtual servers that are foreign although the kernel now marks them as ours. An entry for
    /// their port was added later.
    pub foreign: BTreeSet<VirtualServerKey>,
    /// Networks inside which nothing is deleted.
    pub exclude_cidrs: Vec<IpNetwork>,
    /// Selects the draining real servers to delete.
    pub retire: Retire,
    /// True if UDP real servers drain ([`drains`]).
    pub udp_drains: bool,
    /// True if deletions are allowed. They are not before every source has delivered a first list.
    pub deletions: bool,
    /// Name of the node. It determines the order in which real servers are added (deviation D7).
    pub node_name: Name,
}

/// Selects the real servers to delete among those that are no longer endpoints and drain. Until
/// their deletion they have weight 0: they keep their connections and get no new ones (deviations
/// D6 and D26).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retire {
    /// Real servers with weight 0 and no connection in the snapshot. For programs that run once,
    /// because the weight was written before they read.
    Idle,
    /// Listed real servers, with the reason. For the daemon, which knows when it wrote each weight.
    Only(BTreeMap<(VirtualServerKey, RealServerKey), Reason>),
}

impl Ownership {
    /// Returns the ownership that follows from the kernel alone, for a node with this
    /// configuration. Deletions are allowed.
    #[must_use]
    pub fn new(config: &NodeConfig) -> Self {
        Self {
            recorded: BTreeSet::new(),
            foreign: BTreeSet::new(),
            exclude_cidrs: config.exclude_cidrs.clone(),
            retire: Retire::Idle,
            udp_drains: !config.udp_drain_timeout.is_zero(),
            deletions: true,
            node_name: config.node_name.clone(),
        }
    }

    fn excludes(&self, address: IpAddr) -> bool {
        (self.exclude_cidrs.iter()).any(|network| network.contains(address))
    }
}

/// Returns the plan that turns `live` into `desired` within `own`. The plan is empty for equal
/// tables.
#[must_use]
pub fn diff(desired: &Desired, live: &Snapshot, own: &Ownership) -> Plan {
    let mut keys = TableKeys::of(&desired.tables);
    keys.merge(TableKeys::of(&live.tables));
    diff_keys(desired, live, own, &keys)
}

/// Returns the plan that removes everything that is ours from the node, including the dummy device.
/// Entries that `own` excludes stay. The device stays if it still has such an address.
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

/// Returns the part of [`diff`] for these keys. The key of a virtual server includes its address.
#[must_use]
pub fn diff_keys(desired: &Desired, live: &Snapshot, own: &Ownership, keys: &TableKeys) -> Plan {
    let differ = Differ {
        desired,
        live,
        own,
        keys,
        foreign_at_node: OnceCell::new(),
        foreign_anywhere: OnceCell::new(),
    };
    let mut plan = PlanBuilder::new(own.deletions, live.torn);
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
    let wants_device = keys.device && !desired.tables.addresses.is_empty();
    if (wants_device || plan.adds_addresses()) && !live.device {
        plan.create_device();
    }
    plan.into_plan()
}

struct Differ<'a> {
    desired: &'a Desired,
    live: &'a Snapshot,
    own: &'a Ownership,
    keys: &'a TableKeys,
    /// Desired node ports that foreign virtual servers have at addresses of the node. Computed at
    /// the first use.
    foreign_at_node: OnceCell<BTreeSet<NodePort>>,
    /// Desired node ports that foreign virtual servers have at any address. Computed at the first
    /// use.
    foreign_anywhere: OnceCell<BTreeSet<NodePort>>,
}

impl Differ<'_> {
    fn virtual_server(&self, key: VirtualServerKey, plan: &mut PlanBuilder) {
        let desired = self.desired.tables.virtual_servers.get(&key);
        let live = self.live.tables.virtual_servers.get(&key);
        match (desired, live) {
            (None, None) => {}
            (None, Some(live)) => self.unwanted(key, live, plan),
            (Some(desired), live) => match self.blocking_server(key) {
                Some(foreign) => plan.report(key, self.foreign_finding(key, foreign)),
                None => self.entry(key, desired, live.map(AsRef::as_ref), plan),
            },
        }
    }

    /// Compares a virtual server that no Service claims, or whose Service has another one for it.
    fn unwanted(&self, key: VirtualServerKey, live: &VirtualServerEntry, plan: &mut PlanBuilder) {
        if !self.is_ours(key) {
            if self.desired.merged_ports.contains_key(&key) {
                plan.report(key, self.foreign_finding(key, key));
            }
            return;
        }
        if address_of(key).is_some_and(|at| self.own.excludes(at)) {
            return;
        }
        let mut reason = Reason::Unwanted;
        if let Some(hand_over) = HandOver::of(self.desired, self.live, key) {
            match self.end_of(hand_over, key, live) {
                Some(end) => reason = end,
                None => {
                    if let Some(now) = entry_now(self.desired, self.live, key) {
                        self.entry(key, &now, Some(live), plan);
                    }
                    return;
                }
            }
        }
        plan.push(PlannedOp {
            op: Op::DelVirtualServer(key),
            owner: None,
            reason,
        });
    }

    fn entry(
        &self,
        key: VirtualServerKey,
        desired: &VirtualServerEntry,
        live: Option<&VirtualServerEntry>,
        plan: &mut PlanBuilder,
    ) {
        let owner = self.desired.owner(key);
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
            for real in self.in_node_order(key, desired.real_servers.values()) {
                push(Op::AddRealServer(key, *real), Reason::Missing);
            }
            return;
        };
        // Entries are nearly always equal, and this comparison is cheaper than the detailed one.
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
        for real in self.in_node_order(key, others) {
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
                && let Some((op, reason)) = self.retire_real_server(key, real)
            {
                push(op, reason);
            }
        }
    }

    /// Returns the real servers of `key` in the order in which they are added.
    fn in_node_order<'d>(
        &self,
        key: VirtualServerKey,
        real_servers: impl Iterator<Item = &'d RealServer>,
    ) -> Vec<&'d RealServer> {
        order::of_node(&self.own.node_name, key, real_servers)
    }

    /// Returns the op for a real server that gets no new connections.
    ///
    /// A real server that [`drains`] gets weight 0 first, even without connections. A connection
    /// that starts between a reading and a deletion would otherwise be cut. The weight itself is
    /// the state, so a restart changes nothing (deviation D6). Other real servers are deleted at
    /// once.
    fn retire_real_server(&self, key: VirtualServerKey, real: &RealServer) -> Option<(Op, Reason)> {
        let delete = |reason| Some((Op::DelRealServer(key, real.key), reason));
        let place = (key, real.key);
        match &self.own.retire {
            _ if !drains(self.desired, self.own.udp_drains, place) => delete(Reason::NoEndpoint),
            Retire::Only(ended) if ended.contains_key(&place) => delete(ended[&place].clone()),
            _ if real.weight != 0 => {
                let idle = RealServer { weight: 0, ..*real };
                Some((Op::SetRealServer(key, idle), Reason::Drains))
            }
            Retire::Idle if !self.has_connections(place) => delete(Reason::Drained),
            Retire::Idle | Retire::Only(_) => None,
        }
    }

    fn has_connections(&self, place: (VirtualServerKey, RealServerKey)) -> bool {
        let connections = self.live.connections.get(&place);
        connections.is_some_and(|count| count.active > 0 || count.inactive > 0)
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
        } else if live
            && !desired
            && !self.own.excludes(address)
            && !self.marks_kept_server(address, plan)
        {
            plan.push(PlannedOp {
                op: Op::DelAddress(address),
                owner: None,
                reason: Reason::Unwanted,
            });
        }
    }

    /// Returns true if `address` marks a virtual server as ours that no Service claims and that
    /// `plan` does not delete. The virtual server is deleted first, because without the address it
    /// would look foreign to the next process.
    fn marks_kept_server(&self, address: IpAddr, plan: &PlanBuilder) -> bool {
        let at_address = self.live.tables.virtual_servers_at(address);
        plan.deletes()
            && at_address.map(|(key, _)| key).any(|key| {
                !self.desired.tables.virtual_servers.contains_key(key)
                    && self.is_ours(*key)
                    && !plan.deletes_server(key)
            })
    }

    fn is_ours(&self, key: VirtualServerKey) -> bool {
        self.own.recorded.contains(&key)
            || is_adopted(self.desired, key)
            || (!self.own.foreign.contains(&key) && is_marked(self.live, key))
    }

    /// Returns the foreign virtual server that prevents `key` from being served. It has the same
    /// key, or it is at another port of an address that is not bound yet and would mark both.
    fn blocking_server(&self, key: VirtualServerKey) -> Option<VirtualServerKey> {
        if self.is_foreign(key) {
            return Some(key);
        }
        let address = address_of(key)?;
        let is_bound = self.live.tables.addresses.contains(&address);
        let binds = !is_bound && self.desired.tables.addresses.contains(&address);
        binds.then(|| self.foreign_at(address)).flatten()
    }

    /// Returns a foreign virtual server at `address`.
    fn foreign_at(&self, address: IpAddr) -> Option<VirtualServerKey> {
        (self.live.tables.virtual_servers_at(address))
            .map(|(key, _)| *key)
            .find(|key| !self.is_ours(*key))
    }

    fn foreign_finding(&self, key: VirtualServerKey, foreign: VirtualServerKey) -> Finding {
        let owner = self.desired.owner(key);
        let object = owner.map_or_else(|| ObjectName::new("", ""), |owner| owner.service.clone());
        let field = match object.is_virtual_server() {
            true => "spec.address",
            false => "spec.ports",
        };
        Finding {
            code: Code::ForeignVirtualServer,
            kind: object.owner_kind(),
            object,
            field: field.to_owned(),
            problem: format!(
                "another program made the virtual server {foreign}: its address is not on {}, nor is it in \
                 our sets",
                model::DEVICE
            ),
            consequence: format!("{key} is not served until it is gone"),
        }
    }
}

/// Returns true if a VirtualServer describes the entry `key`. Such an entry is ours even if another
/// program created it: unlike a Service, a VirtualServer is written by the administrator of the
/// node, and names one entry.
#[must_use]
pub fn is_adopted(desired: &Desired, key: VirtualServerKey) -> bool {
    let owner = desired.owners.virtual_servers.get(&key);
    owner.is_some_and(|owner| owner.service.is_virtual_server())
}

/// Returns true if the kernel's tables mark the virtual server `key` as ours: its address is on the
/// dummy device, or its address and port or its firewall mark are in our sets.
#[must_use]
pub fn is_marked(live: &Snapshot, key: VirtualServerKey) -> bool {
    address_of(key).is_some_and(|at| live.tables.addresses.contains(&at))
        || filter_state::is_recorded(live, key)
}

/// Returns true if the real server `place` keeps its connections for a while after it left.
///
/// - A TCP real server does.
/// - A UDP real server does if `udp` is true and its endpoint terminates and still serves, so that
///   pending answers arrive (k/k#45976). Otherwise its clients would keep sending to a dead
///   endpoint (k/k#71514).
/// - An SCTP real server does not, for the same reason.
#[must_use]
pub fn drains(desired: &Desired, udp: bool, place: (VirtualServerKey, RealServerKey)) -> bool {
    match place.0 {
        VirtualServerKey::Address { protocol, .. } => match protocol {
            Protocol::Tcp => true,
            Protocol::Udp => desired.drains_udp(place.0, udp) && desired.finishes(place.0, place.1),
            _ => false,
        },
        VirtualServerKey::Fwmark { .. } => false,
    }
}

fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}
