//! Repairs that do not end.

use std::time::{Duration, Instant};

/// Shortest time over which repairs must go on: several commands of an administrator are no second proxy.
const SPAN: Duration = Duration::from_secs(15);

/// Audits in a row without a repair after which the count begins anew. One may fall between two writes of the other program.
const QUIET_SYNCS: u32 = 2;

/// Counts periods in which audits repaired something.
#[derive(Debug, Default)]
pub(super) struct Writes {
    strikes: u32,
    last: Option<Instant>,
    quiet_syncs: u32,
}

impl Writes {
    /// Takes in that the tables were compared at `now` and `repaired` or not. Audits are `period` apart; repairs closer than half of it
    /// count once. Returns true if this repair and those before it are a sign.
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

    /// Returns true after two repairs, or after as many as last [`SPAN`] where periods are short.
    fn is_sign(&self, period: Duration) -> bool {
        let periods = SPAN.as_millis().div_ceil(period.as_millis().max(1));
        u128::from(self.strikes) > periods
    }
}
