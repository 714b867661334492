//! Rate limit of repeated errors: the first occurrence is logged, repetitions at most every few
//! minutes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// Time between two log lines about the same error.
const REMIND: Duration = Duration::from_mins(5);

/// Time after which an error that did not repeat counts as new. It is longer than the longest usual
/// back-off.
const FORGET: Duration = Duration::from_mins(10);

/// Maximum number of known errors. While the table is full, further errors are not logged.
const LIMIT: usize = 65_536;

/// Known errors by the hashes of their texts.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    errors: BTreeMap<u64, Repeat>,
}

#[derive(Debug)]
struct Repeat {
    logged: Instant,
    last: Instant,
    /// Number of repetitions since the error was logged.
    times: u32,
}

/// Novelty of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// First occurrence, or the first one after [`FORGET`].
    First,
    /// Repeated `times` times since it was logged, and due to be logged again.
    Due { times: u32 },
    /// Logged within [`REMIND`].
    Known,
}

impl Repeats {
    /// Counts the error `text`, which happened at `now`.
    pub(super) fn see(&mut self, text: &str, now: Instant) -> Seen {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let key = hasher.finish();
        if let Some(repeat) = self.errors.get_mut(&key) {
            let quiet = now.saturating_duration_since(repeat.last);
            repeat.last = now;
            if quiet >= FORGET {
                (repeat.logged, repeat.times) = (now, 0);
                return Seen::First;
            }
            repeat.times = repeat.times.saturating_add(1);
            if now.saturating_duration_since(repeat.logged) < REMIND {
                return Seen::Known;
            }
            repeat.logged = now;
            let times = std::mem::take(&mut repeat.times);
            return Seen::Due { times };
        }
        if self.errors.len() >= LIMIT {
            (self.errors).retain(|_, repeat| now.saturating_duration_since(repeat.last) < FORGET);
        }
        if self.errors.len() >= LIMIT {
            return Seen::Known;
        }
        let repeat = Repeat {
            logged: now,
            last: now,
            times: 0,
        };
        self.errors.insert(key, repeat);
        Seen::First
    }
}
