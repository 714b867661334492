//! Exponential back-off with jitter.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::settings::BackoffSettings;

/// State of a back-off.
#[derive(Debug)]
pub(super) struct Backoff {
    settings: BackoffSettings,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(settings: &BackoffSettings) -> Self {
        Self {
            settings: *settings,
            next: settings.base,
        }
    }

    /// Returns to the first wait, after a success.
    pub(super) fn reset(&mut self) {
        self.next = self.settings.base;
    }

    /// Waits for the back-off or for `at_least`, the time that the server demands, whichever is
    /// longer. `at_least` is limited to the longest wait.
    pub(super) async fn pause(&mut self, at_least: Option<Duration>) {
        let wait = self.wait(random());
        let asked = at_least.unwrap_or_default().min(self.settings.max);
        tokio::time::sleep(wait.max(asked)).await;
    }

    /// Returns the next wait, shortened by `random`.
    pub(super) fn wait(&mut self, random: u64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.settings.max);
        // 2^53 numbers between 0 and 1/2.
        let cut = (random >> 11) as f64 / (1_u64 << 54) as f64;
        full.mul_f64(1.0 - cut)
    }
}

/// Returns 64 random bits. The source is the standard library's random hash keys.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
