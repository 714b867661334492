//! Text output of the doctor.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use anstyle::Style;

use crate::doctor::{Advice, Diagnosis, Severity};
use crate::schema::CheckupSummary;
use crate::style;

/// Returns a line for each diagnosis with its advice below, and a line with their numbers. Contains
/// escape sequences for colours.
#[must_use]
pub fn text(node_name: &str, diagnoses: &[Diagnosis]) -> String {
    let mut text = String::new();
    for diagnosis in diagnoses {
        let Diagnosis {
            check,
            severity,
            code,
            found,
            advice,
        } = diagnosis;
        let word = style_of(*severity);
        let code = code.map_or(String::new(), |code| format!(" ({code})"));
        let _ = writeln!(text, "{word}{severity:<8}{word:#} {check}: {found}{code}");
        if let Some(Advice { why, action }) = advice {
            let _ = writeln!(text, "         why: {why}\n         do:  {action}");
        }
    }
    let CheckupSummary {
        ok,
        warning,
        problem,
    } = CheckupSummary::of(diagnoses);
    let heading = style::HEADING;
    let many = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    let _ = writeln!(
        text,
        "\n{heading}Node {node_name}: {}, {}, {ok} ok{heading:#}",
        many(problem, "problem"),
        many(warning, "warning"),
    );
    text
}

fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Ok => style::ADD,
        Severity::Warning => style::WARNING,
        Severity::Problem => style::ERROR,
    }
}
