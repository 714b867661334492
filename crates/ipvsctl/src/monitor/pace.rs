//! Chooses the pauses between readings.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::interrupt::Interrupt;
use crate::top::reader;

/// Number of times that the share of the processor is halved while nothing changes: from a fifth
/// to a thirty-third.
const HALVINGS: u32 = 3;

/// Maximum pause while nothing changes, as a multiple of the interval.
const LONGEST: u32 = 10;

/// Pauses between readings at intervals. While nothing changes, they become longer than the
/// interval if a reading takes long.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    /// Number of consecutive readings without change.
    quiet: u32,
}

/// Pause before a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Minimum, after which a reading begins if there is a sign of a change.
    pub least: Duration,
    /// Maximum, after which a reading begins in any case.
    pub most: Duration,
}

impl Pace {
    /// Returns the pace of readings that are `interval` apart.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, quiet: 0 }
    }

    /// Returns the pause after a reading that took `took` and was quiet or saw changes.
    pub fn pause(&mut self, took: Duration, is_quiet: bool) -> Pause {
        self.quiet = match is_quiet {
            true => (self.quiet + 1).min(HALVINGS),
            false => 0,
        };
        let least = reader::pause(self.interval, took);
        let backed_off = (took * (reader::SHARE << self.quiet)).min(self.interval * LONGEST);
        Pause {
            least,
            most: least.max(backed_off),
        }
    }
}

impl Pause {
    /// Waits for the next reading. After the minimum, asks every `interval` whether there is a sign
    /// of a change. Returns false at the `end` and after a signal.
    pub fn wait(
        self,
        interval: Duration,
        end: Option<Instant>,
        interrupt: &Interrupt,
        mut is_changed: impl FnMut() -> bool,
    ) -> bool {
        let begin = Instant::now();
        loop {
            let waited = begin.elapsed();
            let time = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if time.is_zero() || interrupt.is_set() {
                return false;
            }
            if waited >= self.most || (waited >= self.least && is_changed()) {
                return true;
            }
            let step = match self.least.saturating_sub(waited) {
                Duration::ZERO => interval,
                step => step,
            };
            let rest = self.most.saturating_sub(waited);
            if interrupt.wait(step.min(rest).min(time)) {
                return false;
            }
        }
    }
}
