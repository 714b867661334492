//! Waiting longer and longer.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::settings::BackoffSettings;

/// The time to wait after the next failure.
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

    /// Things went well.
    pub(super) fn reset(&mut self) {
        self.next = self.settings.base;
    }

    /// Waits, at least as long as the server asked for (but no longer than the longest wait).
    pub(super) async fn pause(&mut self, at_least: Option<Duration>) {
        let wait = self.wait(random());
        let asked = at_least.unwrap_or_default().min(self.settings.max);
        tokio::time::sleep(wait.max(asked)).await;
    }

    /// The next wait, for a random number.
    pub(super) fn wait(&mut self, random: u64) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.settings.max);
        // 2^53 numbers between 0 and 1/2.
        let cut = (random >> 11) as f64 / (1_u64 << 54) as f64;
        full.mul_f64(1.0 - cut)
    }
}

/// A number between 0 and 1 in 64 bits: the standard library draws its hash keys at random.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests;
