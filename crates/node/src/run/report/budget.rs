//! A limit of log lines about one subject, so that nobody who can cause such lines fills the log.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// Lines that may follow each other without a pause.
const BURST: u32 = 1_000;

/// Time after which one more line may be logged.
const REFILL: Duration = Duration::from_secs(1);

/// Log lines about one subject that may still be written: [`BURST`] at first, and one more after each [`REFILL`].
#[derive(Debug)]
pub(super) struct LineBudget {
    left: u32,
    /// Up to when refills are counted.
    counted: Instant,
    /// Lines left out since the last one that was written.
    left_out: u64,
}

/// The answer to one more line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Write it, after this number of lines that were left out.
    Write { left_out: u64 },
    /// Write it, and that later ones are left out.
    Last { left_out: u64 },
    /// Leave it out.
    LeaveOut,
}

impl LineBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            counted: now,
            left_out: 0,
        }
    }

    /// Decides about one more line at `now`.
    pub(super) fn line(&mut self, now: Instant) -> Line {
        let passed = now.saturating_duration_since(self.counted).as_secs() / REFILL.as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.counted += REFILL.saturating_mul(passed);
        self.left = self.left.saturating_add(passed).min(BURST);
        let Some(left) = self.left.checked_sub(1) else {
            self.left_out += 1;
            return Line::LeaveOut;
        };
        let was_short = self.left_out > 0;
        let left_out = std::mem::take(&mut self.left_out);
        self.left = left;
        match left {
            0 if !was_short => Line::Last { left_out },
            _ => Line::Write { left_out },
        }
    }
}
