//! A moment by the monotonic clock and by the wall clock.

use std::time::{Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};

/// One moment by both clocks: the monotonic clock for ages and the wall clock for answers.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic time, for ages.
    pub instant: Instant,
    /// Wall-clock time, for answers.
    pub time: Timestamp,
}

impl Moment {
    /// Returns the current moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: Timestamp::now(),
        }
    }

    /// Converts `then` to wall-clock time as RFC 3339.
    pub(super) fn date(self, then: Instant) -> String {
        let age = self.instant.saturating_duration_since(then);
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        (self.time.checked_sub(age).unwrap_or(Timestamp::MIN)).to_string()
    }
}

/// Formats `time` as RFC 3339.
pub(super) fn date(time: SystemTime) -> String {
    let earliest = |_| Timestamp::MIN;
    Timestamp::try_from(time)
        .unwrap_or_else(earliest)
        .to_string()
}
