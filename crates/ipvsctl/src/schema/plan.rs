//! Plans.

use model::{OpEffect, PlannedOp, Reason};
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use super::finding::Finding;
use crate::output::plan::{Group, groups, line};

/// The changes that would be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Plan`.
    pub kind: &'static str,
    /// For which node.
    pub node_name: String,
    /// Numbers of changes.
    pub summary: Summary,
    /// Deletions that wait until the whole input and the whole table can be read.
    pub withheld_deletions: usize,
    /// The changes, by Service port.
    pub services: Vec<ServiceChanges>,
    /// Findings about the objects, and obstacles on the node.
    pub findings: Vec<Finding>,
}

/// Numbers of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Additions.
    pub add: usize,
    /// Changes of settings.
    pub change: usize,
    /// Deletions.
    pub delete: usize,
}

/// Changes on behalf of one Service port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceChanges {
    /// The Service port; null where nobody asks for the entries, or all do.
    pub service: Option<ServicePort>,
    /// The changes, address by address.
    pub changes: Vec<Change>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// The port's name; empty where it has none.
    pub port: String,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `add`, `change` or `delete`.
    pub effect: &'static str,
    /// The change, in the syntax of ipvsadm or as an address.
    pub line: String,
    /// The change in words.
    pub description: String,
    /// Why.
    pub reason: String,
    /// The settings that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The setting.
    pub field: &'static str,
    /// The kernel's value.
    pub live: String,
    /// The desired value.
    pub desired: String,
}

impl Plan {
    /// Returns the plan of the node `node`; `findings` are those about the objects.
    #[must_use]
    pub fn new(node: &model::names::Name, findings: &[model::Finding], plan: &model::Plan) -> Self {
        let model::Summary {
            add,
            change,
            delete,
        } = plan.summary();
        let services = groups(plan)
            .into_iter()
            .map(|(group, changes)| ServiceChanges {
                service: match group {
                    Group::Node | Group::NoService => None,
                    Group::Service(service, port) => Some(ServicePort {
                        namespace: service.namespace.to_string(),
                        name: service.name.to_string(),
                        port: port.to_string(),
                    }),
                },
                changes: changes.into_iter().map(Change::from).collect(),
            });
        Self {
            api_version: API_VERSION,
            kind: "Plan",
            node_name: node.to_string(),
            summary: Summary {
                add,
                change,
                delete,
            },
            withheld_deletions: plan.withheld,
            services: services.collect(),
            findings: (findings.iter())
                .chain(plan.findings.values())
                .map(Finding::from)
                .collect(),
        }
    }
}

impl From<&PlannedOp> for Change {
    fn from(planned: &PlannedOp) -> Self {
        let differences = match &planned.reason {
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
        Self {
            effect: match planned.op.effect() {
                OpEffect::Add => "add",
                OpEffect::Change => "change",
                OpEffect::Delete => "delete",
            },
            line: line(&planned.op),
            description: planned.op.to_string(),
            reason: planned.reason.to_string(),
            differences: (differences.iter())
                .map(|difference| Difference {
                    field: difference.field,
                    live: difference.live.clone(),
                    desired: difference.desired.clone(),
                })
                .collect(),
        }
    }
}
