//! Rate limit of log lines about one subject, so that users who can cause such lines cannot flood
//! the log.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// Maximum number of lines without a pause.
const BURST: u32 = 1_000;

/// Time after which the budget grows by one line.
const REFILL: Duration = Duration::from_secs(1);

/// A token bucket of log lines about one subject: [`BURST`] lines at first, and one more after each
/// [`REFILL`].
#[derive(Debug)]
pub(super) struct LineBudget {
    left: u32,
    /// Time up to which refills are counted.
    counted: Instant,
    /// Number of lines skipped since the last written line.
    left_out: u64,
}

/// Decision about one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Write the line. `left_out` lines before it were skipped.
    Write { left_out: u64 },
    /// Write the line, and announce that later ones are skipped.
    Last { left_out: u64 },
    /// Skip the line.
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
