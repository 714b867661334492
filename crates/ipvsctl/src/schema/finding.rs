//! Findings.

use serde::Serialize;

/// A finding about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The stable code, `KIV0101`.
    pub code: &'static str,
    /// `info`, `warning` or `error`.
    pub level: String,
    /// The object's kind.
    pub kind: &'static str,
    /// The object's namespace; empty where it has none.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The field, as in `spec.clusterIPs[0]`.
    pub field: String,
    /// The problem.
    pub problem: String,
    /// The consequence: what was done instead.
    pub consequence: String,
}

/// Findings about a cluster's objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// [`API_VERSION`](super::API_VERSION).
    pub api_version: &'static str,
    /// `Findings`.
    pub kind: &'static str,
    /// For which node.
    pub node_name: String,
    /// Number of Services that were examined.
    pub services: usize,
    /// The most severe first.
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
