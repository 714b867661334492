//! Output of the demo.

use std::io::Write as _;
use std::time::Instant;

use crate::probe::Tally;
use crate::process::Process;

/// Tells what happens, step by step.
pub(super) struct Teller {
    began: Instant,
    steps: usize,
    step: usize,
}

impl Teller {
    /// A story of so many steps.
    pub(super) fn new(steps: usize) -> Self {
        Self {
            began: Instant::now(),
            steps,
            step: 0,
        }
    }

    /// Begins the next step.
    pub(super) fn step(&mut self, what: &str) {
        self.step += 1;
        print(&format!("\n[{}/{}] {what}", self.step, self.steps));
    }

    /// A sentence.
    pub(super) fn say(&self, what: &str) {
        print(&format!("      {what}"));
    }

    /// A command and what it wrote.
    pub(super) fn quote(&self, command: &str, text: &str) {
        print(&format!("      $ {command}"));
        for line in text.lines() {
            print(format!("      | {line}").trim_end());
        }
    }

    /// The last line with this word in a process's log, without the time.
    pub(super) fn log(&self, process: &Process, word: &str) {
        let log = process.log();
        if let Some(line) = log.lines().rfind(|line| line.contains(word)) {
            let text = line.split_once(' ').map_or(line, |(_, text)| text);
            print(&format!("      kube-ipvsd: {}", text.trim()));
        }
    }

    /// Prints the number of answers of each pod.
    pub(super) fn count(&self, question: &str, tally: &Tally) {
        print(&format!("      {} x {question}", tally.answers.len()));
        for (pod, count) in tally.by_pod() {
            print(&format!(
                "        {pod:10} {count:3}  {}",
                "#".repeat(count)
            ));
        }
    }

    /// The last word.
    pub(super) fn end(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        print(&format!("\nAll of it was checked, in {seconds:.1} s."));
    }
}

/// A reader that went away is no reason to stop.
fn print(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
