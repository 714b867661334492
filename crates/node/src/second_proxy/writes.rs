//! Detects another writer by repairs in consecutive audits.

use std::time::{Duration, Instant};

/// Minimum time over which repairs must continue. Several commands of an administrator are not a
/// second proxy.
const SPAN: Duration = Duration::from_secs(15);

/// Number of consecutive audits without a repair that reset the count. A single one may fall
/// between two writes of the other program.
const QUIET_SYNCS: u32 = 2;

/// Counts audit periods with repairs.
#[derive(Debug, Default)]
pub(super) struct Writes {
    strikes: u32,
    last: Option<Instant>,
    quiet_syncs: u32,
}

impl Writes {
    /// Records a comparison of the tables at `now`, with or without a repair. Audits are `period`
    /// apart; repairs within half a period count once. Returns true if this repair and the earlier
    /// ones are a sign.
    pub(super) fn looked(&mut self, repaired: bool, period: Duration, now: Instant) -> bool {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < period / 2) {
            return repaired && self.is_sign(period);
        }
        if repaired {
            self.strikes = self.strikes.saturating_add(1);
            self.quiet_syncs = 0;
        } else {
            self.quiet_syncs += 1;
            if self.quiet_syncs >= QUIET_SYNCS {
                *self = Self::default();
            }
        }
        self.last = (self.strikes > 0).then_some(now);
        repaired && self.is_sign(period)
    }

    /// Returns true after two repairs, or with short periods after as many repairs as fit into
    /// [`SPAN`].
    fn is_sign(&self, period: Duration) -> bool {
        let periods = SPAN.as_millis().div_ceil(period.as_millis().max(1));
        u128::from(self.strikes) > periods
    }
}
