//! Findings about objects.

use schemars::JsonSchema;
use serde::Serialize;

/// A finding about an object.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable code, `KIV0101`.
    pub code: &'static str,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// Kind of the object.
    pub kind: &'static str,
    /// Namespace of the object; empty if it has none.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Path of the field, `spec.clusterIPs[0]`.
    pub field: String,
    /// Problem of the field.
    pub problem: String,
    /// Consequence for the node.
    pub consequence: String,
}

/// Findings about a cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `Findings`.
    pub kind: &'static str,
    /// Name of the node.
    pub node_name: String,
    /// Number of Services that were examined.
    pub services: usize,
    /// Findings, the most severe first.
    pub findings: Vec<Finding>,
}

impl From<&model::Finding> for Finding {
    fn from(finding: &model::Finding) -> Self {
        let model::Finding {
            code,
            kind,
            object,
            field,
            problem,
            consequence,
        } = finding;
        Self {
            code: code.as_str(),
            level: code.level().to_string(),
            kind,
            namespace: object.namespace.to_string(),
            name: object.name.to_string(),
            field: field.clone(),
            problem: problem.clone(),
            consequence: consequence.clone(),
        }
    }
}
