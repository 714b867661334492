//! Writing what steps show into the scenario.

use super::format::{INDENT, Scenario};
use super::{Problem, run};

/// The text of `scenario`, read from `text`, with what its steps show now below them. Nothing else changes:
/// no comment, no file, no `trace`.
///
/// # Errors
///
/// A step that cannot be done.
pub fn bless(scenario: &Scenario, text: &str) -> Result<String, Problem> {
    let shown = run::shown(scenario)?;
    let mut blessed = String::new();
    // Whether the line belongs to an expectation that was replaced.
    let mut replaced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if replaced && line.starts_with(INDENT) {
            continue;
        }
        replaced = false;
        push(&mut blessed, "", line);
        let of_line = |(index, _): &&(usize, Vec<String>)| scenario.steps[*index].line == number;
        if let Some((_, lines)) = shown.iter().find(of_line) {
            replaced = true;
            lines
                .iter()
                .for_each(|line| push(&mut blessed, INDENT, line));
        }
    }
    Ok(blessed)
}

fn push(text: &mut String, indent: &str, line: &str) {
    text.push_str(indent);
    text.push_str(line);
    text.push('\n');
}
