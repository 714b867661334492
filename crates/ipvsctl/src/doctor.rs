//! Checks of a node. They judge collected facts and do no IO.
//!
//! | module | checks |
//! |---|---|
//! | [`facts`] | none: the collected facts |
//! | `kernel` | IPVS, modules, settings, the connection tracker |
//! | `idle` | timeouts of idle connections (deviation D19) |
//! | `forwarding` | direct routing and tunnels |
//! | `drift` | differences between the desired and the live tables |
//! | `tables` | the device, virtual servers, sets, draining real servers |
//! | `filter` | the packet filter, leftovers |
//! | `process` | the process of kube-ipvsd |
//! | `daemon` | the answers of kube-ipvsd, and other proxies on the node |

mod daemon;
mod drift;
pub mod facts;
mod filter;
mod forwarding;
mod idle;
mod kernel;
mod process;
mod tables;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use model::{Code, ObjectName};

use self::facts::NodeFacts;

/// The severity of a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The check found nothing to report.
    Ok,
    /// Something may fail.
    Warning,
    /// Something does not work.
    Problem,
}

impl Severity {
    /// Returns the name that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<model::Level> for Severity {
    fn from(level: model::Level) -> Self {
        match level {
            model::Level::Info => Self::Ok,
            model::Level::Warning => Self::Warning,
            model::Level::Error => Self::Problem,
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Name of the check, one of a fixed list.
    pub check: &'static str,
    /// Severity of the result.
    pub severity: Severity,
    /// Code of the finding with the same meaning, if one exists.
    pub code: Option<Code>,
    /// Result as text.
    pub found: String,
    /// The entries or findings that the result counts.
    pub details: Vec<String>,
    /// Services that are not served as they should be because of it.
    pub services: BTreeSet<ObjectName>,
    /// Advice; `None` if the result is ok.
    pub advice: Option<Advice>,
}

/// Advice for a warning or a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Effect on the users of Services.
    pub users_see: String,
    /// Action to take. It never ends connections.
    pub action: String,
}

impl Diagnosis {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            severity: Severity::Ok,
            code: None,
            found: found.into(),
            details: Vec::new(),
            services: BTreeSet::new(),
            advice: None,
        }
    }

    fn warning(
        check: &'static str,
        found: impl Into<String>,
        users_see: &str,
        action: &str,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            advice: Some(Advice {
                users_see: users_see.to_owned(),
                action: action.to_owned(),
            }),
            ..Self::ok(check, found)
        }
    }

    fn problem(
        check: &'static str,
        found: impl Into<String>,
        users_see: &str,
        action: &str,
    ) -> Self {
        Self {
            severity: Severity::Problem,
            ..Self::warning(check, found, users_see, action)
        }
    }

    /// Adds the Services that are not served as they should be.
    fn about(self, services: BTreeSet<ObjectName>) -> Self {
        Self { services, ..self }
    }

    /// Adds the entries or findings that the result counts.
    fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// One check of a node. Returns nothing if the facts that it needs are unknown.
type Check = fn(&NodeFacts) -> Vec<Diagnosis>;

/// Every check, in the order of the report.
const CHECKS: [Check; 27] = [
    kernel::ipvs,
    process::state,
    drift::tables,
    tables::device,
    tables::local,
    tables::elsewhere,
    tables::addresses,
    filter::readable,
    filter::variants,
    filter::harmful,
    kernel::settings,
    kernel::modules,
    kernel::families,
    kernel::bridge,
    kernel::tracked,
    idle::tcp,
    idle::udp,
    forwarding::endpoints,
    tables::drains,
    tables::sets,
    tables::others,
    filter::leftovers,
    daemon::proxies,
    daemon::health,
    daemon::failing,
    daemon::sources,
    daemon::findings,
];

/// Results of all checks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Name of the node.
    pub node_name: String,
    /// Results, the worst first.
    pub diagnoses: Vec<Diagnosis>,
    /// Number of Services that the node should serve; `None` if it is unknown.
    pub services: Option<usize>,
}

/// Runs every check.
#[must_use]
pub fn examine(facts: &NodeFacts) -> Report {
    let mut diagnoses: Vec<Diagnosis> = CHECKS.iter().flat_map(|check| check(facts)).collect();
    diagnoses.sort_by_key(|diagnosis| Reverse(diagnosis.severity));
    Report {
        node_name: facts.config.node_name.to_string(),
        diagnoses,
        services: facts.compared().map(|compared| compared.services().len()),
    }
}

impl Report {
    /// Returns the worst severity.
    #[must_use]
    pub fn worst(&self) -> Severity {
        let severities = self.diagnoses.iter().map(|diagnosis| diagnosis.severity);
        severities.max().unwrap_or(Severity::Ok)
    }

    /// Returns the number of results of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let of_severity = |diagnosis: &&Diagnosis| diagnosis.severity == severity;
        self.diagnoses.iter().filter(of_severity).count()
    }

    /// Returns the Services that are not served as they should be.
    #[must_use]
    pub fn affected(&self) -> BTreeSet<&ObjectName> {
        let bad = (self.diagnoses.iter()).filter(|diagnosis| diagnosis.severity != Severity::Ok);
        bad.flat_map(|diagnosis| &diagnosis.services).collect()
    }

    /// Returns the verdict on the node in one sentence.
    #[must_use]
    pub fn verdict(&self) -> String {
        let counts = [
            (self.count(Severity::Problem), "problem"),
            (self.count(Severity::Warning), "warning"),
        ];
        let counts = counts.iter().filter(|(number, _)| *number > 0);
        let counts: Vec<String> = counts.map(|(number, word)| count(*number, word)).collect();
        let affected = self.affected().len();
        let served = match (self.services, affected) {
            (None, _) => "the desired tables are unknown, so no Service was compared".to_owned(),
            (Some(total), 0) => match total {
                0 => "no Service has to be served".to_owned(),
                1 => "the Service is served as it should be".to_owned(),
                _ => format!(
                    "all {} Services are served as they should be",
                    grouped(total)
                ),
            },
            (Some(total), _) => {
                let total = total.max(affected);
                let are = match affected {
                    1 => "is not served as it should be",
                    _ => "are not served as they should be",
                };
                let all = if total == 1 { "Service" } else { "Services" };
                format!("{} of {} {all} {are}", grouped(affected), grouped(total))
            }
        };
        match counts.is_empty() {
            true => format!("healthy: {served}"),
            false => format!("{}: {served}", counts.join(", ")),
        }
    }
}

/// Returns `number` with a comma between each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns `1 thing` or `2 things`.
fn count(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

/// Returns the first `items` and the number of the others.
fn some(items: &[String]) -> String {
    const SHOWN: usize = 5;

    let shown = items[..items.len().min(SHOWN)].join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
