//! Plan of changes.

use model::{OpEffect, PlannedOp, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::API_VERSION;
use super::finding::Finding;
use crate::output::plan::{Group, groups, line};

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

/// Changes for one Service port.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ServiceChanges {
    /// Service port; null if the entries belong to no Service or to all of them.
    pub service: Option<ServicePort>,
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
pub struct Change {
    /// `add`, `change` or `delete`.
    pub effect: &'static str,
    /// Change in the syntax of ipvsadm, or an address.
    pub line: String,
    /// Description of the change.
    pub description: String,
    /// Reason of the change.
    pub reason: String,
    /// Fields that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// Field that differs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Difference {
    /// Name of the field.
    pub field: &'static str,
    /// The kernel's value.
    pub live: String,
    /// The desired value.
    pub desired: String,
}

impl Plan {
    /// Returns the object for `plan` of `node`, with the `findings` about objects.
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
