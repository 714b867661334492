//! Audits that the kernel's notices ask for.

use std::time::{Duration, Instant};

/// Time between two such audits at least.
const GAP: Duration = Duration::from_secs(1);

/// Spaces audits that notices of lost entries ask for, so that a program that goes on deleting entries is answered at the rate of
/// audits: the first loss is repaired within [`GAP`], and the wait doubles up to the sync period while losses go on.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// The wait after the audit that ran last.
    gap: Duration,
    /// When a notice last asked for an audit that had not been asked for.
    asked: Option<Instant>,
}

impl Notices {
    /// Returns when the audit is due that a notice at `now` asks for. `last` is when the last audit began.
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
