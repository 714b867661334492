//! Checks of a node. They judge collected facts and do no IO.
//!
//! | module | checks |
//! |---|---|
//! | [`facts`] | none: the collected facts |
//! | `kernel` | IPVS, modules, settings, the connection tracker |
//! | `idle` | timeouts of idle connections (deviation D19) |
//! | `tables` | the device, virtual servers, sets, draining real servers |
//! | `filter` | the packet filter, leftovers |
//! | `daemon` | kube-ipvsd, and other proxies on the node |

mod daemon;
pub mod facts;
mod filter;
mod idle;
mod kernel;
mod tables;
#[cfg(test)]
mod tests;

use std::fmt;

use model::Code;

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
    /// Advice; `None` if the result is ok.
    pub advice: Option<Advice>,
}

/// Advice for a warning or a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Reason why the problem matters.
    pub why: String,
    /// Action to take.
    pub action: String,
}

impl Diagnosis {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            severity: Severity::Ok,
            code: None,
            found: found.into(),
            advice: None,
        }
    }

    fn warning(check: &'static str, found: impl Into<String>, why: &str, action: &str) -> Self {
        Self {
            severity: Severity::Warning,
            advice: Some(Advice {
                why: why.to_owned(),
                action: action.to_owned(),
            }),
            ..Self::ok(check, found)
        }
    }

    fn problem(check: &'static str, found: impl Into<String>, why: &str, action: &str) -> Self {
        Self {
            severity: Severity::Problem,
            ..Self::warning(check, found, why, action)
        }
    }
}

/// One check of a node. Returns nothing if the facts that it needs are unknown.
type Check = fn(&NodeFacts) -> Vec<Diagnosis>;

/// Every check, in the order of the report.
const CHECKS: [Check; 22] = [
    kernel::ipvs,
    kernel::modules,
    kernel::families,
    kernel::settings,
    kernel::bridge,
    kernel::tracked,
    idle::tcp,
    idle::udp,
    tables::device,
    tables::addresses,
    tables::others,
    tables::drains,
    tables::sets,
    filter::readable,
    filter::variants,
    filter::harmful,
    filter::leftovers,
    daemon::proxies,
    daemon::health,
    daemon::failing,
    daemon::sources,
    daemon::findings,
];

/// Runs every check.
#[must_use]
pub fn examine(facts: &NodeFacts) -> Vec<Diagnosis> {
    CHECKS.iter().flat_map(|check| check(facts)).collect()
}

/// Returns the worst severity.
#[must_use]
pub fn worst(diagnoses: &[Diagnosis]) -> Severity {
    let severities = diagnoses.iter().map(|diagnosis| diagnosis.severity);
    severities.max().unwrap_or(Severity::Ok)
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
