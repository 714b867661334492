//! Audits that kernel notices request.

use std::time::{Duration, Instant};

/// Minimum time between two such audits.
const GAP: Duration = Duration::from_secs(1);

/// Rate limit of the audits that notices of lost entries request.
///
/// The first loss is repaired within [`GAP`]. The wait doubles up to the sync period while losses
/// continue, so that a program that keeps deleting entries causes only a bounded number of audits.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// The wait after the last audit.
    gap: Duration,
    /// Time of the last notice that requested a new audit.
    asked: Option<Instant>,
}

impl Notices {
    /// Returns when the audit that a notice at `now` requests is due. `last` is the start of the
    /// last audit.
    pub(super) fn next_audit(
        &mut self,
        last: Option<Instant>,
        sync_period: Duration,
        now: Instant,
    ) -> Instant {
        let Some(last) = last else {
            return now;
        };
        if self.asked.is_none_or(|asked| asked <= last) {
            let calm = |asked| now.saturating_duration_since(asked) > 2 * sync_period.max(GAP);
            self.gap = match self.asked {
                Some(asked) if !calm(asked) => (2 * self.gap).min(sync_period.max(GAP)),
                _ => GAP,
            };
            self.asked = Some(now);
        }
        now.max(last + self.gap)
    }
}
