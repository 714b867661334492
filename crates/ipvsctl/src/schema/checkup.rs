//! Report of the doctor on a node.

use schemars::JsonSchema;
use serde::Serialize;

use super::API_VERSION;
use crate::doctor::{Diagnosis, Severity};

/// Results of all checks of a node.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkup {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Checkup`.
    pub kind: &'static str,
    /// The node.
    pub node_name: String,
    /// Number of results of each severity.
    pub summary: CheckupSummary,
    /// Results in a fixed order. A check may have several.
    pub checks: Vec<Check>,
}

/// Numbers of results by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckupSummary {
    /// Results without anything to report.
    pub ok: usize,
    /// Results about something that may fail.
    pub warning: usize,
    /// Results about something that does not work.
    pub problem: usize,
}

impl CheckupSummary {
    /// Counts `diagnoses` by severity.
    #[must_use]
    pub fn of(diagnoses: &[Diagnosis]) -> Self {
        let count = |severity| {
            let of_severity = |diagnosis: &&Diagnosis| diagnosis.severity == severity;
            diagnoses.iter().filter(of_severity).count()
        };
        Self {
            ok: count(Severity::Ok),
            warning: count(Severity::Warning),
            problem: count(Severity::Problem),
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Name of the check, `idle-tcp`.
    pub check: &'static str,
    /// `ok`, `warning` or `problem`.
    pub severity: &'static str,
    /// Code of the finding with the same meaning, `KIV0403`; null if there is none.
    pub code: Option<&'static str>,
    /// Result as text.
    pub found: String,
    /// Reason why it matters; null if the result is ok.
    pub why: Option<String>,
    /// Action to take; null if the result is ok.
    pub action: Option<String>,
}

impl Checkup {
    /// Returns the report of `diagnoses` on the node `node_name`.
    #[must_use]
    pub fn new(node_name: &str, diagnoses: &[Diagnosis]) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Checkup",
            node_name: node_name.to_owned(),
            summary: CheckupSummary::of(diagnoses),
            checks: diagnoses.iter().map(Check::from).collect(),
        }
    }
}

impl From<&Diagnosis> for Check {
    fn from(diagnosis: &Diagnosis) -> Self {
        let Diagnosis {
            check,
            severity,
            code,
            found,
            advice,
        } = diagnosis.clone();
        let (why, action) = advice.map(|advice| (advice.why, advice.action)).unzip();
        Self {
            check,
            severity: severity.as_str(),
            code: code.map(model::Code::as_str),
            found,
            why,
            action,
        }
    }
}
