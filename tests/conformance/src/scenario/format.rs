//! Parses the file of a scenario: a comment, steps, files.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::step::{Directive, Step};

/// Indentation of an expectation.
pub(super) const INDENT: &str = "    ";

/// A parsed scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of the file.
    pub file: String,
    /// The steps and expectations, in order.
    pub steps: Vec<Step>,
    /// Files below the steps, by name.
    pub files: BTreeMap<String, File>,
}

/// A file within a scenario's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Number of its first line in the scenario's file, from 1.
    pub line: usize,
    /// Content.
    pub text: String,
}

impl Scenario {
    /// Parses the text of the scenario's file `file`.
    ///
    /// # Errors
    ///
    /// A missing comment at the top, an unknown directive, a file that is missing, duplicate or
    /// unused, or no expectation at all.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let mut scenario = Self {
            file: file.to_owned(),
            steps: Vec::new(),
            files: BTreeMap::new(),
        };
        if !text.starts_with("# ") {
            return Err(scenario.problem(1, "the file must start with a comment that describes it"));
        }
        let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).collect();
        let below = lines.iter().position(|(_, line)| heading(line).is_some());
        let (steps, files) = lines.split_at(below.unwrap_or(lines.len()));
        scenario.read_steps(steps)?;
        scenario.read_files(files)?;
        scenario.check_names()?;
        if !scenario.steps.iter().any(|step| step.directive.expects()) {
            return Err(scenario.problem(1, "the scenario has no expectation"));
        }
        Ok(scenario)
    }

    /// Returns a problem at `line`.
    pub(super) fn problem(&self, line: usize, what: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line,
            what: what.into(),
        }
    }

    fn read_steps(&mut self, lines: &[(usize, &str)]) -> Result<(), Problem> {
        // True if the previous line belongs to a step, so that an indented one may follow.
        let mut open = false;
        for (number, line) in lines {
            if let Some(expected) = line.strip_prefix(INDENT) {
                let step = self.steps.last_mut().filter(|_| open);
                let Some(step) = step.filter(|step| step.directive.is_golden()) else {
                    return Err(
                        self.problem(*number, "this line belongs to no step with an expectation")
                    );
                };
                let block = step.expected.get_or_insert_default();
                block.push(expected.trim_end().to_owned());
            } else if line.trim().is_empty() || line.starts_with('#') {
                open = false;
            } else {
                let directive =
                    Directive::parse(line).map_err(|what| self.problem(*number, what))?;
                self.steps.push(Step {
                    line: *number,
                    directive,
                    expected: None,
                });
                open = true;
            }
        }
        Ok(())
    }

    fn read_files(&mut self, lines: &[(usize, &str)]) -> Result<(), Problem> {
        let mut current: Option<(String, File)> = None;
        for (number, line) in lines {
            if let Some(name) = heading(line) {
                self.add_file(current.take())?;
                let file = File {
                    line: number + 1,
                    text: String::new(),
                };
                current = Some((name.to_owned(), file));
            } else if let Some((_, file)) = &mut current {
                file.text.push_str(line);
                file.text.push('\n');
            }
        }
        self.add_file(current)
    }

    fn add_file(&mut self, file: Option<(String, File)>) -> Result<(), Problem> {
        let Some((name, file)) = file else {
            return Ok(());
        };
        let line = file.line - 1;
        if self.files.insert(name.clone(), file).is_some() {
            return Err(self.problem(line, format!("duplicate file {name}")));
        }
        Ok(())
    }

    /// Checks that every file is used, and that every used file exists.
    fn check_names(&self) -> Result<(), Problem> {
        let mut used = BTreeSet::new();
        for step in &self.steps {
            for name in step.directive.files() {
                if !self.files.contains_key(name) {
                    return Err(self.problem(step.line, format!("missing file {name}")));
                }
                used.insert(name);
            }
        }
        let unused = (self.files.iter()).find(|(name, _)| !used.contains(name.as_str()));
        match unused {
            None => Ok(()),
            Some((name, file)) => Err(self.problem(file.line - 1, format!("no step uses {name}"))),
        }
    }
}

/// Parses `-- NAME --`.
fn heading(line: &str) -> Option<&str> {
    let name = line.strip_prefix("-- ")?.trim_end().strip_suffix(" --")?;
    (!name.is_empty() && !name.contains(' ')).then_some(name)
}
