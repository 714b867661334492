//! Text output of the demo.

use std::io::Write as _;
use std::time::Instant;

use crate::probe::Tally;
use crate::process::Process;

/// Prints the steps of the demo.
pub(super) struct Output {
    began: Instant,
    steps: usize,
    step: usize,
}

impl Output {
    /// Returns the output of a demo with this number of steps.
    pub(super) fn new(steps: usize) -> Self {
        Self {
            began: Instant::now(),
            steps,
            step: 0,
        }
    }

    /// Prints the heading of the next step.
    pub(super) fn step(&mut self, title: &str) {
        self.step += 1;
        print(&format!("\n[{}/{}] {title}", self.step, self.steps));
    }

    /// Prints a line of text.
    pub(super) fn line(&self, text: &str) {
        print(&format!("      {text}"));
    }

    /// Prints a command and its output.
    pub(super) fn command(&self, command: &str, text: &str) {
        print(&format!("      $ {command}"));
        for line in text.lines() {
            print(format!("      | {line}").trim_end());
        }
    }

    /// Prints the last line of a log that contains `word`, without its time.
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

    /// Prints the last line.
    pub(super) fn finish(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        print(&format!("\nAll steps were checked, in {seconds:.1} s."));
    }
}

/// Prints a line. A closed standard output does not stop the demo.
fn print(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
