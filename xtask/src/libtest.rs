//! What test programs say at their end.

#[cfg(test)]
mod tests;

use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Ran and passed.
    pub(crate) passed: u64,
    /// Ran and failed; also programs and steps that failed without saying how many of their tests did.
    pub(crate) failed: u64,
    /// Marked to be left out.
    pub(crate) ignored: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl Counts {
    /// The sum of all `test result: …` lines of an output, and of nothing else in it.
    pub(crate) fn of_output(output: &str) -> Self {
        let mut sum = Counts::default();
        for line in output.lines().filter_map(result_line) {
            sum += line;
        }
        sum
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
    })
}
