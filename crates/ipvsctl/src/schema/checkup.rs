//! Report of the doctor on a node.

use schemars::JsonSchema;
use serde::Serialize;

use super::API_VERSION;
use crate::doctor::{Diagnosis, Report, Severity};

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
    /// Verdict on the node in one sentence.
    pub verdict: String,
    /// Numbers of Services; null if the desired tables are unknown.
    pub services: Option<CheckupServices>,
    /// Number of results of each severity.
    pub summary: CheckupSummary,
    /// Results, the worst first. A check may have several.
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

/// Numbers of Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckupServices {
    /// Services that the node should serve.
    pub total: usize,
    /// Services that are not served as they should be.
    pub affected: usize,
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
    /// First entries or findings that the result counts, at most 100.
    pub details: Vec<String>,
    /// Names of the Services that are not served as they should be because of it.
    pub services: Vec<String>,
    /// Effect on the users of Services; null if the result is ok.
    pub users_see: Option<String>,
    /// Action to take; null if the result is ok.
    pub action: Option<String>,
}

impl From<&Report> for Checkup {
    fn from(report: &Report) -> Self {
        let affected = report.affected().len();
        Self {
            api_version: API_VERSION,
            kind: "Checkup",
            node_name: report.node_name.clone(),
            verdict: report.verdict(),
            services: report
                .services
                .map(|total| CheckupServices { total, affected }),
            summary: CheckupSummary {
                ok: report.count(Severity::Ok),
                warning: report.count(Severity::Warning),
                problem: report.count(Severity::Problem),
            },
            checks: report.diagnoses.iter().map(Check::from).collect(),
        }
    }
}

impl From<&Diagnosis> for Check {
    fn from(diagnosis: &Diagnosis) -> Self {
        const LISTED: usize = 100;

        let Diagnosis {
            check,
            severity,
            code,
            found,
            mut details,
            services,
            advice,
        } = diagnosis.clone();
        details.truncate(LISTED);
        let advice = advice.map(|advice| (advice.users_see, advice.action));
        let (users_see, action) = advice.unzip();
        Self {
            check,
            severity: severity.as_str(),
            code: code.map(model::Code::as_str),
            found,
            details,
            services: services.iter().map(ToString::to_string).collect(),
            users_see,
            action,
        }
    }
}
