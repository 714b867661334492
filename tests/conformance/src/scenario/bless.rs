//! Writes the results of steps into the scenario.

use super::format::{INDENT, Scenario};
use super::{Problem, run};

/// Returns the text of `scenario`, read from `text`, with the current results below its steps.
/// Comments, files and `trace` lines do not change.
///
/// # Errors
///
/// A step that cannot be executed.
pub fn bless(scenario: &Scenario, text: &str) -> Result<String, Problem> {
    let shown = run::shown(scenario)?;
    let mut blessed = String::new();
    // True if the line belongs to an expectation that was replaced.
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
