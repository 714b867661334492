//! Summaries that test programs print at their end.

#[cfg(test)]
mod tests;

use std::ops::AddAssign;

/// Numbers of tests by their results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ran and passed.
    pub(crate) passed: u64,
    /// Ran and failed; also programs and steps that failed without saying how many of their tests did.
    pub(crate) failed: u64,
    /// Marked to be left out.
    pub(crate) ignored: u64,
    /// Outputs of failed tests, each beginning with its name. An output may be too long to be read as a whole.
    pub(crate) reasons: Vec<String>,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.reasons.extend(other.reasons);
    }
}

impl Counts {
    /// The sum of all `test result: …` lines of an output, and of nothing else in it.
    pub(crate) fn of_output(output: &str) -> Self {
        let mut sum = Counts {
            reasons: reasons(output),
            ..Counts::default()
        };
        for line in output.lines().filter_map(result_line) {
            sum += line;
        }
        sum
    }

    /// The counts of a program that could not be run to its end.
    pub(crate) fn failed_run() -> Self {
        Counts {
            failed: 1,
            ..Counts::default()
        }
    }

    /// The counts of a program that ended well or not: one that did not, but reported no failed test, has one.
    pub(crate) fn of_program(output: &str, good: bool) -> Self {
        let mut counts = Counts::of_output(output);
        if !good && counts.failed == 0 {
            counts.failed = 1;
        }
        counts
    }
}

/// The blocks between `failures:` and the list of names that follows under the same title.
fn reasons(output: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::<String>::new(), false);
    for line in output.lines() {
        match line.strip_prefix("---- ") {
            _ if line == "failures:" => inside = !inside,
            Some(title) if inside => found.push(title.trim_end_matches(" ----").to_owned()),
            _ if inside && !line.trim().is_empty() => {
                if let Some(last) = found.last_mut() {
                    last.push_str("\n  ");
                    last.push_str(line);
                }
            }
            _ => {}
        }
        // The names are listed up to here.
        inside &= !line.starts_with("test result: ");
    }
    found
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn result_line(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| {
        numbers.split("; ").find_map(|part| {
            let (number, rest) = part.split_once(' ')?;
            (rest == name).then(|| number.parse().ok()).flatten()
        })
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        ignored: number("ignored")?,
        reasons: Vec::new(),
    })
}
