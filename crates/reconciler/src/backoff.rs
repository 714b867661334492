//! When to try again what failed.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// The wait before the first new attempt (deviation D2).
const FIRST: Duration = Duration::from_millis(100);

/// Waits that double from 100 ms to a limit, each shortened by up to a quarter at random, so that what
/// failed together does not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    limit: Duration,
    random: u64,
}

impl Backoff {
    /// Waits up to `limit`. Equal seeds give equal waits.
    #[must_use]
    pub fn new(limit: Duration, seed: u64) -> Self {
        Self {
            limit: limit.max(FIRST),
            // The generator stands still at zero.
            random: seed | 1,
        }
    }

    /// Waits up to `limit` from now on.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = limit.max(FIRST);
    }

    /// The wait after the `failures`-th failure in a row, counted from 1.
    pub fn wait(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let whole = FIRST.saturating_mul(1_u32 << doublings).min(self.limit);
        whole - whole.mul_f64(self.fraction() / 4.0)
    }

    /// A number from 0 to 1: xorshift64 (Marsaglia 2003), plenty for spreading attempts.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let high = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        f64::from(high) / f64::from(u32::MAX)
    }
}
