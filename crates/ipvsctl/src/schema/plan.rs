//! Plan of changes.

use model::{Op, OpEffect, PlannedOp, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use super::change::effect_name;
use super::finding::Finding;
use crate::grouping::{self, Changes, Group, Kind, Origin};
use crate::output::plan::{LiveRules, RuleHunk, RuleLines, line};

/// Changes that `apply` would make.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Plan`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// Numbers of changes.
    pub summary: Summary,
    /// Numbers of changes of each kind of entries that has any.
    pub by_kind: Vec<KindSummary>,
    /// Number of deletions that are withheld because the input or the table could not be read
    /// completely.
    pub withheld_deletions: usize,
    /// Changes by Service port.
    pub services: Vec<ServiceChanges>,
    /// Findings about objects, and about entries of other programs on the node.
    pub findings: Vec<Finding>,
}

/// Numbers of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Summary {
    /// Additions.
    pub add: usize,
    /// Changes of existing entries.
    pub change: usize,
    /// Deletions.
    pub delete: usize,
}

/// Numbers of changes of one kind of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct KindSummary {
    /// `virtualServer`, `realServer`, `address`, `set`, `rule` or `setting`.
    pub kind: &'static str,
    /// The numbers.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Changes for one Service port, or of entries that belong to none.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ServiceChanges {
    /// Service port; null if the entries belong to no Service or to all of them.
    pub service: Option<ServicePort>,
    /// `service`, or `virtualServer` for a VirtualServer; `node` for entries of all Services; `unclaimed` for entries that no Service asks
    /// for; `tables` if no Services are known.
    pub scope: &'static str,
    /// Changes, ordered by address.
    pub changes: Vec<Change>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Name of the port; empty if it has none.
    pub port: String,
}

impl From<&model::ServicePortName> for ServicePort {
    fn from(name: &model::ServicePortName) -> Self {
        Self {
            namespace: name.service.namespace.to_string(),
            name: name.service.name.to_string(),
            port: name.port.to_string(),
        }
    }
}

/// Prints as `namespace/name:port`, or as `namespace/name` if the port has no name.
impl std::fmt::Display for ServicePort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        match self.port.as_str() {
            "" => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `add`, `change` or `delete`.
    pub effect: &'static str,
    /// Kind of the entry, as in [`KindSummary`].
    pub kind: &'static str,
    /// Change in the syntax of ipvsadm, ip, ipset, iptables or sysctl.
    pub line: String,
    /// Description of the change.
    pub description: String,
    /// Reason of the change.
    pub reason: String,
    /// Fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Number of other Services that ask for the same entry.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_services: usize,
    /// For rules: the changed chains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ChainChange>,
}

/// Changed rules of a chain.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ChainChange {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// `nat` or `filter`.
    pub table: String,
    /// Name of the chain.
    pub chain: String,
    /// Rules in the syntax of `iptables-save`, each after `+`, `-` or a space and a space. Unchanged
    /// rules are context.
    pub lines: Vec<String>,
}

/// Field that differs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Difference {
    /// Name of the field.
    pub field: &'static str,
    /// The live value, or that of the first tables.
    pub live: String,
    /// The desired value, or that of the second tables.
    pub desired: String,
}

/// A plan with everything that its object has.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// Name of the node.
    pub node: &'a str,
    /// Findings about the objects of the cluster.
    pub findings: &'a [model::Finding],
    /// The plan.
    pub plan: &'a model::Plan,
    /// The changes to show.
    pub changes: &'a Changes<'a>,
    /// Rules before the plan.
    pub live: &'a LiveRules,
}

impl Plan {
    /// Returns the object for the changes of a plan.
    #[must_use]
    pub fn new(planned: Planned<'_>) -> Self {
        let Planned {
            node,
            findings,
            plan,
            changes,
            live,
        } = planned;
        let mut rules = RuleLines::new(live);
        let services = changes
            .groups
            .iter()
            .map(|(group, changes)| ServiceChanges {
                service: service(group),
                scope: match group {
                    Group::Service(owner, _) if owner.is_virtual_server() => "virtualServer",
                    Group::Service(..) => "service",
                    Group::Node => "node",
                    Group::NoService => "unclaimed",
                    Group::Tables(_) => "tables",
                },
                changes: (changes.iter())
                    .map(|change| Change::new(change, &mut rules))
                    .collect(),
            });
        Self {
            api_version: API_VERSION,
            kind: "Plan",
            node_name: node.to_owned(),
            summary: changes.summary().into(),
            by_kind: (changes.by_kind().into_iter())
                .map(|(kind, counts)| KindSummary {
                    kind: kind_name(kind),
                    summary: counts.into(),
                })
                .collect(),
            withheld_deletions: plan.withheld,
            services: services.collect(),
            findings: (findings.iter())
                .chain(plan.findings.values())
                .map(Finding::from)
                .collect(),
        }
    }
}

fn service(group: &Group) -> Option<ServicePort> {
    match group {
        Group::Node | Group::NoService | Group::Tables(_) => None,
        Group::Service(service, port) => Some(ServicePort {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            port: port.to_string(),
        }),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::VirtualServer => "virtualServer",
        Kind::RealServer => "realServer",
        Kind::Address => "address",
        Kind::Set => "set",
        Kind::Rule => "rule",
        Kind::Setting => "setting",
    }
}

impl From<model::Summary> for Summary {
    fn from(counts: model::Summary) -> Self {
        let model::Summary {
            add,
            change,
            delete,
        } = counts;
        Self {
            add,
            change,
            delete,
        }
    }
}

impl Change {
    fn new(change: &grouping::Change<'_>, rules: &mut RuleLines) -> Self {
        let PlannedOp { op, reason, .. } = change.planned;
        let differences = match reason {
            Reason::Missing
            | Reason::Unwanted
            | Reason::Loosened
            | Reason::NoEndpoint
            | Reason::Drains
            | Reason::Drained
            | Reason::DrainExpired
            | Reason::Lost => &[][..],
            Reason::Differs(differences) => differences,
        };
        let chains = match op {
            Op::PatchRules(family, patch) => rules.apply(*family, patch),
            _ => Vec::new(),
        };
        Self {
            effect: effect_name(op.effect()),
            kind: kind_name(Kind::of(op)),
            line: line(op),
            description: op.to_string(),
            reason: match change.origin {
                Origin::Plan => reason.to_string(),
                Origin::Tables => compared(op.effect(), reason),
            },
            differences: (differences.iter())
                .map(|difference| Difference {
                    field: difference.field,
                    live: difference.live.clone(),
                    desired: difference.desired.clone(),
                })
                .collect(),
            other_services: change.others,
            chains: chains.iter().map(ChainChange::from).collect(),
        }
    }
}

/// A change without the chains of rules.
impl From<&PlannedOp> for Change {
    fn from(planned: &PlannedOp) -> Self {
        let change = grouping::Change {
            planned,
            others: 0,
            is_repeated: false,
            origin: Origin::Plan,
        };
        Self::new(&change, &mut RuleLines::new(&LiveRules::default()))
    }
}

/// Returns the reason for a difference of two saved tables.
fn compared(effect: OpEffect, reason: &Reason) -> String {
    match (effect, reason) {
        (OpEffect::Add, _) => "only in the second tables".to_owned(),
        (OpEffect::Delete, _) => "only in the first tables".to_owned(),
        (OpEffect::Change, reason) => reason.to_string(),
    }
}

impl From<&RuleHunk> for ChainChange {
    fn from(hunk: &RuleHunk) -> Self {
        Self {
            family: hunk.family.to_string(),
            table: hunk.chain.table.to_string(),
            chain: hunk.chain.chain.to_string(),
            lines: hunk.lines.iter().map(ToString::to_string).collect(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
