//! Exponential back-off with jitter.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Range of the waits after failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffSettings {
    /// The wait after the first failure, before jitter.
    pub base: Duration,
    /// The longest wait; at least `base` counts.
    pub max: Duration,
}

/// Exponential back-off: waits double with each failure in a row.
///
/// Each wait is shortened by up to half at random, so that tasks or nodes that failed together do
/// not retry together.
#[derive(Clone, Debug)]
pub struct Backoff {
    settings: BackoffSettings,
    random: u64,
}

impl Backoff {
    /// Creates a back-off with these settings. Equal seeds give equal waits.
    #[must_use]
    pub fn new(settings: BackoffSettings, seed: u64) -> Self {
        Self {
            settings,
            // The generator never leaves the state zero.
            random: seed | 1,
        }
    }

    /// Changes the longest wait from now on.
    pub fn set_max(&mut self, max: Duration) {
        self.settings.max = max;
    }

    /// Returns the wait after the given number of consecutive failures, counted from 1.
    pub fn wait(&mut self, failures: u32) -> Duration {
        let BackoffSettings { base, max } = self.settings;
        let doublings = failures.saturating_sub(1).min(20);
        let whole = base.saturating_mul(1_u32 << doublings).min(max.max(base));
        whole - whole.mul_f64(self.fraction() / 2.0)
    }

    /// Returns a number from 0 to 1 from xorshift64 (Marsaglia 2003), which is random enough to
    /// spread retries.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let high = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        f64::from(high) / f64::from(u32::MAX)
    }
}
