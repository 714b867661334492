//! Exponential back-off with jitter.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// The wait before the first retry (deviation D2).
const FIRST: Duration = Duration::from_millis(100);

/// Exponential back-off from 100 ms to a limit.
///
/// Each wait is shortened by up to a quarter at random, so that tasks that failed together are not
/// retried together.
#[derive(Clone, Debug)]
pub struct Backoff {
    limit: Duration,
    random: u64,
}

impl Backoff {
    /// Creates a back-off whose waits do not exceed `limit`. Equal seeds give equal waits.
    #[must_use]
    pub fn new(limit: Duration, seed: u64) -> Self {
        Self {
            limit: limit.max(FIRST),
            // The generator never leaves the state zero.
            random: seed | 1,
        }
    }

    /// Changes the limit of future waits.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = limit.max(FIRST);
    }

    /// Returns the wait after the given number of consecutive failures, counted from 1.
    pub fn wait(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = FIRST.saturating_mul(1_u32 << doublings).min(self.limit);
        whole - whole.mul_f64(self.fraction() / 4.0)
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
