//! Text output of the doctor.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use anstyle::Style;

use crate::doctor::{Advice, Diagnosis, Report, Severity};
use crate::style;

/// Number of Services and of details that a block shows.
const SHOWN: usize = 5;

/// Selection of results to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Problems and warnings, and the number of other results.
    Bad,
    /// All results, with all their details.
    All,
}

/// Returns a block for each problem, then for each warning, one line for the checks that are ok, and
/// the verdict. Contains escape sequences for colours.
#[must_use]
pub fn text(report: &Report, detail: Detail) -> String {
    let mut text = String::new();
    let (heading, ok) = (style::HEADING, style::ADD);
    for diagnosis in &report.diagnoses {
        if detail == Detail::All || diagnosis.severity != Severity::Ok {
            block(&mut text, diagnosis, detail);
        }
    }
    let fine = report.count(Severity::Ok);
    if detail == Detail::Bad && fine > 0 {
        let _ = match fine {
            1 => writeln!(text, "{ok}ok      {ok:#} 1 other check (-o wide lists it)"),
            _ => writeln!(
                text,
                "{ok}ok      {ok:#} {fine} other checks (-o wide lists them)"
            ),
        };
    }
    let (node, verdict) = (&report.node_name, report.verdict());
    let _ = writeln!(
        text,
        "\n{heading}verdict: {verdict} (node {node}){heading:#}"
    );
    text
}

fn block(text: &mut String, diagnosis: &Diagnosis, detail: Detail) {
    let Diagnosis {
        check,
        severity,
        code,
        found,
        details,
        services,
        advice,
    } = diagnosis;
    let shown = match detail {
        Detail::Bad => SHOWN,
        Detail::All => usize::MAX,
    };
    let word = style_of(*severity);
    let code = code.map_or(String::new(), |code| format!(" ({code})"));
    let _ = writeln!(text, "{word}{severity:<8}{word:#} {check}: {found}{code}");
    let quiet = style::QUIET;
    for line in details.iter().take(shown) {
        let _ = writeln!(text, "           {quiet}{line}{quiet:#}");
    }
    if details.len() > shown {
        let more = details.len() - shown;
        let _ = writeln!(text, "           {quiet}and {more} more{quiet:#}");
    }
    if !services.is_empty() {
        let names: Vec<String> = services
            .iter()
            .take(shown)
            .map(ToString::to_string)
            .collect();
        let more = match services.len().saturating_sub(shown) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = names.join(", ");
        let _ = writeln!(text, "         Services:  {names}{more}");
    }
    if let Some(Advice { users_see, action }) = advice {
        let _ = writeln!(
            text,
            "         users see: {users_see}\n         do:        {action}"
        );
    }
}

fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Ok => style::ADD,
        Severity::Warning => style::WARNING,
        Severity::Problem => style::ERROR,
    }
}
