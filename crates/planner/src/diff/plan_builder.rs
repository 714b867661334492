//! Sorts ops into stages.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipset::SetName;
use ipvs::{AddressFamily, VirtualServerKey};
use model::finding::Finding;
use model::plan::{Op, OpEffect, Plan, PlannedOp, Reason, Stage};
use model::rules::{ChainKey, Rule, RulesPatch};

use super::address_of;

/// Maximum number of ops in one stage. A first sync has hundreds of thousands of ops. Chunks of
/// this size fit into freed memory, and each chunk is freed as soon as it is applied.
const CHUNK: usize = 4_096;

/// Ops in their order (deviation D1). Additions come first: filter state, then the API server's
/// Service, then other Services. Deletions follow in the reverse order.
pub(super) struct PlanBuilder {
    deletions: bool,
    /// True if leaving real servers get weight 0. A torn reading does not prevent it, since it may
    /// lack entries but contains no entry that does not exist.
    retirements: bool,
    settings: ChunkedVec,
    stopped_daemons: ChunkedVec,
    started_daemons: ChunkedVec,
    device: ChunkedVec,
    sets: ChunkedVec,
    entries: ChunkedVec,
    rules: ChunkedVec,
    /// Sets that are created, replaced or destroyed.
    sets_written: BTreeSet<SetName>,
    servers_deleted: BTreeSet<VirtualServerKey>,
    /// Chains that are emptied before sets are replaced.
    loose: BTreeMap<AddressFamily, RulesPatch>,
    api_server: Additions,
    /// Addresses of the API server's virtual servers. Another Service may own such an address.
    api_server_at: BTreeSet<IpAddr>,
    additions: Additions,
    del_real_servers: ChunkedVec,
    del_virtual_servers: ChunkedVec,
    del_addresses: ChunkedVec,
    del_entries: ChunkedVec,
    del_rules: ChunkedVec,
    del_sets: ChunkedVec,
    findings: BTreeMap<VirtualServerKey, Finding>,
    withheld: usize,
}

/// Ops that commute, in the order of insertion.
#[derive(Default)]
struct ChunkedVec(Vec<Vec<PlannedOp>>);

impl ChunkedVec {
    fn push(&mut self, planned: PlannedOp) {
        match self.0.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(planned),
            // A second chunk suggests that more ops follow.
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(planned);
                self.0.push(chunk);
            }
            None => self.0.push(vec![planned]),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Default)]
struct Additions {
    addresses: ChunkedVec,
    virtual_servers: ChunkedVec,
    real_servers: ChunkedVec,
}

impl PlanBuilder {
    /// Creates an empty plan. It drops and counts deletions if they are not `allowed` or the
    /// reading was `torn`.
    pub(super) fn new(allowed: bool, torn: bool) -> Self {
        Self {
            deletions: allowed && !torn,
            retirements: allowed,
            settings: ChunkedVec::default(),
            stopped_daemons: ChunkedVec::default(),
            started_daemons: ChunkedVec::default(),
            device: ChunkedVec::default(),
            sets: ChunkedVec::default(),
            entries: ChunkedVec::default(),
            rules: ChunkedVec::default(),
            sets_written: BTreeSet::new(),
            servers_deleted: BTreeSet::new(),
            loose: BTreeMap::new(),
            api_server: Additions::default(),
            api_server_at: BTreeSet::new(),
            additions: Additions::default(),
            del_real_servers: ChunkedVec::default(),
            del_virtual_servers: ChunkedVec::default(),
            del_addresses: ChunkedVec::default(),
            del_entries: ChunkedVec::default(),
            del_rules: ChunkedVec::default(),
            del_sets: ChunkedVec::default(),
            findings: BTreeMap::new(),
            withheld: 0,
        }
    }

    pub(super) fn push(&mut self, planned: PlannedOp) {
        let retires = planned.reason == Reason::Drains;
        let deletes = planned.op.effect() == OpEffect::Delete;
        if (deletes && !self.deletions) || (retires && !self.retirements) {
            self.withheld += 1;
            return;
        }
        let first = (planned.owner.as_ref()).is_some_and(|owner| owner.service.is_api_server())
            || matches!(&planned.op, Op::AddAddress(at) if self.api_server_at.contains(at));
        if let Op::AddVirtualServer(server) = &planned.op
            && first
        {
            self.api_server_at.extend(address_of(server.key));
        }
        let additions = if first {
            &mut self.api_server
        } else {
            &mut self.additions
        };
        if let Op::CreateSet(name, _) | Op::ReplaceSet(name, _) | Op::DestroySet(name) = &planned.op
        {
            self.sets_written.insert(name.clone());
        }
        if let Op::DelVirtualServer(key) = &planned.op {
            self.servers_deleted.insert(*key);
        }
        match planned.op {
            Op::SetSysctl(..) | Op::SetTimeouts(_) => &mut self.settings,
            Op::StopSyncDaemon(_) => &mut self.stopped_daemons,
            Op::StartSyncDaemon(_) => &mut self.started_daemons,
            Op::EnsureDevice => &mut self.device,
            Op::CreateSet(..) | Op::ReplaceSet(..) => &mut self.sets,
            Op::AddEntry(..) => &mut self.entries,
            Op::PatchRules(_, ref patch) if patch.effect() == OpEffect::Delete => {
                &mut self.del_rules
            }
            Op::PatchRules(..) => &mut self.rules,
            Op::DelEntry(..) => &mut self.del_entries,
            Op::DestroySet(_) => &mut self.del_sets,
            Op::AddAddress(_) => &mut additions.addresses,
            Op::AddVirtualServer(_) | Op::SetVirtualServer(_) => &mut additions.virtual_servers,
            // A real server gets weight 0 only after its replacements were added.
            Op::SetRealServer(_, real) if retires || real.weight == 0 => &mut self.del_real_servers,
            Op::AddRealServer(..) | Op::SetRealServer(..) => &mut additions.real_servers,
            Op::DelRealServer(..) => &mut self.del_real_servers,
            Op::DelVirtualServer(_) => &mut self.del_virtual_servers,
            Op::DelAddress(_) | Op::DelDevice => &mut self.del_addresses,
        }
        .push(planned);
    }

    /// Returns true if deletions are allowed.
    pub(super) fn deletes(&self) -> bool {
        self.deletions
    }

    /// Empties `chains` before any set is replaced.
    pub(super) fn loosen(&mut self, family: AddressFamily, chains: BTreeMap<ChainKey, Vec<Rule>>) {
        self.loose.entry(family).or_default().chains.extend(chains);
    }

    /// Returns the families with chains that are emptied first.
    pub(super) fn loosened(&self) -> BTreeSet<AddressFamily> {
        self.loose.keys().copied().collect()
    }

    /// Returns the patch that empties chains of `family`.
    pub(super) fn loose(&self, family: AddressFamily) -> RulesPatch {
        self.loose.get(&family).cloned().unwrap_or_default()
    }

    /// Returns true if the set `name` is created, replaced or destroyed with all its entries.
    pub(super) fn writes_set(&self, name: &SetName) -> bool {
        self.sets_written.contains(name)
    }

    /// Returns true if the plan deletes the virtual server `key`.
    pub(super) fn deletes_server(&self, key: &VirtualServerKey) -> bool {
        self.servers_deleted.contains(key)
    }

    pub(super) fn report(&mut self, key: VirtualServerKey, finding: Finding) {
        self.findings.insert(key, finding);
    }

    pub(super) fn adds_addresses(&self) -> bool {
        !(self.api_server.addresses.is_empty() && self.additions.addresses.is_empty())
    }

    pub(super) fn create_device(&mut self) {
        self.push(PlannedOp {
            op: Op::EnsureDevice,
            owner: None,
            reason: Reason::Missing,
        });
    }

    pub(super) fn into_plan(self) -> Plan {
        let loose = self.loose.into_iter().map(|(family, patch)| PlannedOp {
            op: Op::PatchRules(family, patch.into()),
            owner: None,
            reason: Reason::Loosened,
        });
        let loose: Vec<PlannedOp> = loose.collect();
        let loose = ChunkedVec(if loose.is_empty() {
            Vec::new()
        } else {
            vec![loose]
        });
        let stages = [
            loose,
            self.settings,
            self.device,
            self.sets,
            self.entries,
            self.rules,
            self.api_server.addresses,
            self.api_server.virtual_servers,
            self.api_server.real_servers,
            self.additions.addresses,
            self.additions.virtual_servers,
            self.additions.real_servers,
            self.del_real_servers,
            self.del_virtual_servers,
            self.del_addresses,
            self.del_entries,
            self.del_rules,
            self.del_sets,
            // Last, so that a daemon that does not start delays nothing.
            self.stopped_daemons,
            self.started_daemons,
        ];
        Plan {
            stages: (stages.into_iter())
                .flat_map(|chunks| chunks.0)
                .map(|ops| Stage { ops })
                .collect(),
            findings: self.findings,
            withheld: self.withheld,
        }
    }
}
