//! Exponential back-off of requests.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use model::{Backoff, BackoffSettings};

/// A back-off and the number of failures in a row.
#[derive(Debug)]
pub(super) struct Retries {
    backoff: Backoff,
    failures: u32,
    max: Duration,
}

impl Retries {
    pub(super) fn new(settings: BackoffSettings) -> Self {
        Self {
            backoff: Backoff::new(settings, random()),
            failures: 0,
            max: settings.max,
        }
    }

    /// Starts again from the shortest wait.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits, at least as long as the server asked for, but no longer than the longest wait.
    pub(super) async fn pause(&mut self, at_least: Option<Duration>) {
        let asked = at_least.unwrap_or_default().min(self.max);
        tokio::time::sleep(self.wait().max(asked)).await;
    }

    /// Returns the wait after one more failure.
    pub(super) fn wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait(self.failures)
    }
}

/// Returns a random number: the standard library draws its hash keys at random.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
