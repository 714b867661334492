//! Real servers of a large table, read slice by slice.
//!
//! Reading costs a request for each virtual server. A table of few is read whole with each list. The real servers of a
//! larger one are read slice by slice on a clock of their own, with pauses that keep the work below a hundredth of the
//! time, unless that would be more than a minute.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::snapshot::Snapshot;

/// Virtual servers whose real servers are read at once: a change that comes meanwhile waits for them.
pub(crate) const SLICE: usize = 256;

/// The pause after a reading, as a multiple of the time that it took: with comparing on top, less than a hundredth is work.
const PAUSE: u32 = 124;

/// The longest pause. A reading that took long because the process was stopped must not put off the next one for hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where the next slice begins.
#[derive(Debug)]
pub(crate) struct Slices {
    from: Bound<VirtualServerKey>,
    round_began: Instant,
}

impl Slices {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            from: Bound::Unbounded,
            round_began: now,
        }
    }

    /// The virtual servers of the next slice.
    pub(crate) fn next(&mut self, live: &Snapshot, now: Instant) -> BTreeSet<VirtualServerKey> {
        if self.from == Bound::Unbounded {
            self.round_began = now;
        }
        servers_from(live, self.from).take(SLICE).collect()
    }

    /// The slice that ends with `last` was compared; reading took `took`. Returns when the next one is due, and whether
    /// this one ended a round. A round takes `period` at least.
    pub(crate) fn done(
        &mut self,
        live: &Snapshot,
        last: Option<VirtualServerKey>,
        took: Duration,
        period: Duration,
        now: Instant,
    ) -> (Instant, bool) {
        let pause = now + pause(took);
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let ends = last.is_none() || servers_from(live, from).next().is_none();
        if ends {
            self.from = Bound::Unbounded;
            (pause.max(self.round_began + period), true)
        } else {
            self.from = from;
            (pause, false)
        }
    }
}

/// Returns true if the real servers of `live` are read slice by slice.
pub(crate) fn is_large(live: &Snapshot) -> bool {
    live.tables.virtual_servers.len() > SLICE
}

/// The pause after a reading that took `took`.
pub(crate) fn pause(took: Duration) -> Duration {
    took.saturating_mul(PAUSE).min(LONGEST_PAUSE)
}

fn servers_from(
    live: &Snapshot,
    from: Bound<VirtualServerKey>,
) -> impl Iterator<Item = VirtualServerKey> {
    let servers = &live.tables.virtual_servers;
    servers.range((from, Bound::Unbounded)).map(|(key, _)| *key)
}
