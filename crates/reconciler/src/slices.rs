//! Schedules the slices in which the real servers of a large table are read.
//!
//! Reading real servers costs one request for each virtual server. A small table is read completely
//! in each audit. The real servers of a large table are read slice by slice on a separate schedule.
//! The pauses keep the work below one hundredth of the time, unless that needs a pause of more than
//! a minute.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use ipvs::VirtualServerKey;
use model::snapshot::Snapshot;

/// Number of virtual servers whose real servers are read at once. A change that arrives meanwhile
/// waits for them.
pub(crate) const SLICE: usize = 256;

/// The pause after a reading, as a multiple of its duration. Including the comparison, the work
/// stays below one hundredth of the time.
const PAUSE: u32 = 124;

/// The longest pause. A reading that took long because the process was stopped must not delay the
/// next one for hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Position of the next slice.
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

    /// Returns the virtual servers of the next slice.
    pub(crate) fn next(&mut self, live: &Snapshot, now: Instant) -> BTreeSet<VirtualServerKey> {
        if self.from == Bound::Unbounded {
            self.round_began = now;
        }
        servers_from(live, self.from).take(SLICE).collect()
    }

    /// Records that the slice that ends with `last` was compared; its reading took `took`.
    ///
    /// Returns when the next slice is due, and true if this slice ended a round. A round takes at
    /// least `period`.
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

/// Returns the pause after a reading that took `took`.
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
