//! A plan in the making: changes sorted into stages.

use std::collections::{BTreeMap, BTreeSet};

use ipset::SetName;
use ipvs::{AddressFamily, VirtualServerKey};
use model::finding::Finding;
use model::plan::{Op, OpEffect, Plan, PlannedOp, Reason, Stage};
use model::rules::{ChainKey, Rule, RulesPatch};
use model::sets::SetKind;

/// Changes of one stage. Of a first synchronisation there are hundreds of thousands: pieces of this size find room where
/// something else was, and each is given back when it is done.
const PIECE: usize = 4_096;

/// Changes by what must come before what (deviation D1): what is added, companions first and the API
/// server's Service before all others; then what is deleted, the other way round.
pub(super) struct Draft {
    deletions: bool,
    settings: Pieces,
    device: Pieces,
    sets: Pieces,
    entries: Pieces,
    rules: Pieces,
    /// Sets that are created, replaced or destroyed.
    sets_written: BTreeSet<SetName>,
    /// Chains to be emptied before sets are replaced.
    loose: BTreeMap<AddressFamily, RulesPatch>,
    api_server: Additions,
    additions: Additions,
    del_real_servers: Pieces,
    del_virtual_servers: Pieces,
    del_addresses: Pieces,
    del_entries: Pieces,
    del_rules: Pieces,
    del_sets: Pieces,
    findings: Vec<Finding>,
    withheld: usize,
    /// The foreign virtual servers at node ports, as far as they were looked up.
    pub(super) foreign_node_ports:
        BTreeMap<(SetKind, AddressFamily, u16), Option<VirtualServerKey>>,
}

/// Changes that commute, in the order in which they came.
#[derive(Default)]
struct Pieces(Vec<Vec<PlannedOp>>);

impl Pieces {
    fn push(&mut self, planned: PlannedOp) {
        match self.0.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(planned),
            // A second piece says that there are many.
            Some(_) => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(planned);
                self.0.push(piece);
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
    addresses: Pieces,
    virtual_servers: Pieces,
    real_servers: Pieces,
}

impl Draft {
    /// An empty draft that leaves deletions out where these are not allowed.
    pub(super) fn new(deletions: bool) -> Self {
        Self {
            deletions,
            settings: Pieces::default(),
            device: Pieces::default(),
            sets: Pieces::default(),
            entries: Pieces::default(),
            rules: Pieces::default(),
            sets_written: BTreeSet::new(),
            loose: BTreeMap::new(),
            api_server: Additions::default(),
            additions: Additions::default(),
            del_real_servers: Pieces::default(),
            del_virtual_servers: Pieces::default(),
            del_addresses: Pieces::default(),
            del_entries: Pieces::default(),
            del_rules: Pieces::default(),
            del_sets: Pieces::default(),
            findings: Vec::new(),
            withheld: 0,
            foreign_node_ports: BTreeMap::new(),
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
        if let Op::CreateSet(name, _) | Op::ReplaceSet(name, _) | Op::DestroySet(name) = &planned.op
        {
            self.sets_written.insert(name.clone());
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

    /// Returns true if the set `name` is created, replaced or destroyed, with all that it holds.
    pub(super) fn writes_set(&self, name: &SetName) -> bool {
        self.sets_written.contains(name)
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
        self.findings.sort();
        let loose = self.loose.into_iter().map(|(family, patch)| PlannedOp {
            op: Op::PatchRules(family, patch.into()),
            owner: None,
            reason: Reason::Loosened,
        });
        let loose: Vec<PlannedOp> = loose.collect();
        let loose = Pieces(if loose.is_empty() {
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
        ];
        Plan {
            stages: (stages.into_iter())
                .flat_map(|pieces| pieces.0)
                .map(|ops| Stage { ops })
                .collect(),
            findings: self.findings,
            withheld: self.withheld,
        }
    }
}
