//! Problems of a node, as values: checks of what was found on it.
//!
//! | module | is about |
//! |---|---|
//! | [`facts`] | what was found |
//! | `kernel` | IPVS, modules, settings, the connection tracker |
//! | `idle` | idle connections (deviation D19) |
//! | `tables` | the device, virtual servers, sets, what drains |
//! | `filter` | the packet filter, leftovers |
//! | `daemon` | kube-ipvsd, and who else keeps the node |

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
    /// All is well.
    Ok,
    /// Something can go wrong.
    Warning,
    /// Something does not work.
    Problem,
}

impl Severity {
    /// The word that is printed.
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
    /// The name of the check, one of a fixed list.
    pub check: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// The finding that says the same, where there is one.
    pub code: Option<Code>,
    /// The finding, in words.
    pub found: String,
    /// Why it matters, and what to do; none where all is well.
    pub advice: Option<Advice>,
}

/// Why something matters, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Why it matters.
    pub why: String,
    /// The action to take.
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

/// Looks at one side of a node. Says nothing where nothing is known.
type Check = fn(&NodeFacts) -> Vec<Diagnosis>;

/// Every check, in the order in which they are told.
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

/// `one thing`, `2 things`: the word takes an s where there are several.
fn count(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

/// The first of `items`, and how many more there are.
fn some(items: &[String]) -> String {
    const SHOWN: usize = 5;

    let shown = items[..items.len().min(SHOWN)].join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
