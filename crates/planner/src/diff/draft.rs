//! A plan in the making: changes sorted into stages.

use std::collections::{BTreeMap, BTreeSet};

use ipset::SetName;
use ipvs::AddressFamily;
use model::finding::Finding;
use model::names::Name;
use model::plan::{Op, OpEffect, Plan, PlannedOp, Reason, Stage};
use model::rules::{ChainKey, Rule, RulesPatch};

use super::order;

/// Changes by what must come before what (deviation D1): what is added, companions first and the API
/// server's Service before all others; then what is deleted, the other way round.
pub(super) struct Draft<'a> {
    deletions: bool,
    node_name: &'a Name,
    settings: Vec<PlannedOp>,
    device: Vec<PlannedOp>,
    sets: Vec<PlannedOp>,
    entries: Vec<PlannedOp>,
    rules: Vec<PlannedOp>,
    replaced: BTreeSet<SetName>,
    /// Chains to be emptied before sets are replaced.
    loose: BTreeMap<AddressFamily, RulesPatch>,
    api_server: Additions,
    additions: Additions,
    del_real_servers: Vec<PlannedOp>,
    del_virtual_servers: Vec<PlannedOp>,
    del_addresses: Vec<PlannedOp>,
    del_entries: Vec<PlannedOp>,
    del_rules: Vec<PlannedOp>,
    del_sets: Vec<PlannedOp>,
    findings: Vec<Finding>,
    withheld: usize,
}

#[derive(Default)]
struct Additions {
    addresses: Vec<PlannedOp>,
    virtual_servers: Vec<PlannedOp>,
    real_servers: Vec<PlannedOp>,
}

impl<'a> Draft<'a> {
    /// An empty draft that leaves deletions out where these are not allowed.
    pub(super) fn new(deletions: bool, node_name: &'a Name) -> Self {
        Self {
            deletions,
            node_name,
            settings: Vec::new(),
            device: Vec::new(),
            sets: Vec::new(),
            entries: Vec::new(),
            rules: Vec::new(),
            replaced: BTreeSet::new(),
            loose: BTreeMap::new(),
            api_server: Additions::default(),
            additions: Additions::default(),
            del_real_servers: Vec::new(),
            del_virtual_servers: Vec::new(),
            del_addresses: Vec::new(),
            del_entries: Vec::new(),
            del_rules: Vec::new(),
            del_sets: Vec::new(),
            findings: Vec::new(),
            withheld: 0,
        }
    }

    pub(super) fn push(&mut self, planned: PlannedOp) {
        if planned.op.effect() == OpEffect::Delete && !self.deletions {
            self.withheld += 1;
            return;
        }
        let first = (planned.owner.as_ref()).is_some_and(|owner| owner.service.is_api_server());
        let additions = if first {
            &mut self.api_server
        } else {
            &mut self.additions
        };
        if let Op::ReplaceSet(name, _) = &planned.op {
            self.replaced.insert(name.clone());
        }
        match planned.op {
            Op::SetSysctl(..) | Op::SetTimeouts(_) => &mut self.settings,
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
            Op::AddRealServer(..) | Op::SetRealServer(..) => &mut additions.real_servers,
            Op::DelRealServer(..) => &mut self.del_real_servers,
            Op::DelVirtualServer(_) => &mut self.del_virtual_servers,
            Op::DelAddress(_) | Op::DelDevice => &mut self.del_addresses,
        }
        .push(planned);
    }

    /// Whether deletions are allowed.
    pub(super) fn deletes(&self) -> bool {
        self.deletions
    }

    /// Empties `chains` before any set is replaced.
    pub(super) fn loosen(&mut self, family: AddressFamily, chains: BTreeMap<ChainKey, Vec<Rule>>) {
        self.loose.entry(family).or_default().chains.extend(chains);
    }

    /// The families of which chains are emptied first.
    pub(super) fn loosened(&self) -> BTreeSet<AddressFamily> {
        self.loose.keys().copied().collect()
    }

    /// What empties chains of `family`.
    pub(super) fn loose(&self, family: AddressFamily) -> RulesPatch {
        self.loose.get(&family).cloned().unwrap_or_default()
    }

    /// Whether the set `name` is replaced.
    pub(super) fn replaces(&self, name: &SetName) -> bool {
        self.replaced.contains(name)
    }

    pub(super) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
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

    pub(super) fn into_plan(mut self) -> Plan {
        order::shuffle_real_servers(self.node_name, &mut self.api_server.real_servers);
        order::shuffle_real_servers(self.node_name, &mut self.additions.real_servers);
        self.findings.sort();
        let loose = self.loose.into_iter().map(|(family, patch)| PlannedOp {
            op: Op::PatchRules(family, patch.into()),
            owner: None,
            reason: Reason::Loosened,
        });
        let stages = [
            loose.collect(),
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
        ];
        Plan {
            stages: (stages.into_iter())
                .filter(|ops| !ops.is_empty())
                .map(|ops| Stage { ops })
                .collect(),
            findings: self.findings,
            withheld: self.withheld,
        }
    }
}
