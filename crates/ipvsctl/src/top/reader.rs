//! Reads samples at intervals, and the state of kube-ipvsd.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::sample::Sample;
use super::traffic::NodeTraffic;
use crate::cli::Select;
use crate::error::Error;
use crate::input::counters::ReadCounters;
use crate::input::daemon;
use crate::input::owners::Owners;
use crate::interrupt::Interrupt;

/// The pause after a reading is at least this many times its duration, so that readings use at most
/// a fifth of a processor.
pub const SHARE: u32 = 4;

/// Minimum time between two readings of the owners.
pub const RENAME: Duration = Duration::from_secs(10);

/// Reads the traffic of a node again and again.
pub struct Reader {
    counters: Box<dyn ReadCounters + Send>,
    owners: Owners,
    select: Select,
    interrupt: Interrupt,
    began: Instant,
    before: Option<Sample>,
    /// Time at which the owners were read, since `began`.
    named: Duration,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Result of one reading.
#[derive(Debug)]
pub struct Measured {
    /// The traffic since the reading before.
    pub traffic: NodeTraffic,
    /// Duration of the reading.
    pub took: Duration,
}

impl Reader {
    /// Returns a reader of the virtual servers that `select` selects. Once `interrupt` is set, a
    /// reading ends.
    #[must_use]
    pub fn new(
        counters: Box<dyn ReadCounters + Send>,
        owners: Owners,
        select: Select,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            counters,
            owners,
            select,
            interrupt,
            began: Instant::now(),
            before: None,
            named: Duration::ZERO,
        }
    }

    /// Reads all counters. Returns `None` if the command is to end.
    ///
    /// # Errors
    ///
    /// The kernel cannot be read. The next reading may succeed.
    pub fn read(&mut self) -> Result<Option<Measured>, Error> {
        let start = Instant::now();
        let Self {
            counters,
            owners,
            select,
            interrupt,
            began,
            ..
        } = self;
        let sample = Sample::read(
            counters.as_mut(),
            |key| owners.selects(select, key),
            || began.elapsed(),
            || match interrupt.is_set() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            },
        )?;
        let Some(sample) = sample else {
            return Ok(None);
        };
        self.name(&sample);
        let before = self.before.as_ref();
        let traffic = NodeTraffic::between(before, &sample, |key| self.owners.get(key));
        self.before = Some(sample);
        Ok(Some(Measured {
            traffic,
            took: start.elapsed(),
        }))
    }
}

impl Reader {
    /// Reads the owners again if a virtual server has none, but not often: it may be foreign.
    fn name(&mut self, sample: &Sample) {
        let now = self.began.elapsed();
        let is_unowned = |key| self.owners.get(key).is_none();
        // Virtual servers without a name are not in a sample that is selected by name.
        let lacks_names = self.select.needs_names() || sample.servers.keys().any(is_unowned);
        if now.saturating_sub(self.named) >= RENAME && lacks_names {
            self.named = now;
            self.owners.refresh();
        }
    }
}

/// Returns the pause after a reading that took `took`, for readings `interval` apart.
#[must_use]
pub fn pause(interval: Duration, took: Duration) -> Duration {
    interval.saturating_sub(took).max(took * SHARE)
}

/// Returns a line about kube-ipvsd at `address`.
#[must_use]
pub fn daemon_line(address: SocketAddr) -> String {
    let status = match daemon::status(address) {
        Ok(status) => status,
        Err(problem) => return format!("kube-ipvsd at {address}: {problem}"),
    };
    let drift = match daemon::drift_repaired(address) {
        Ok(count) => format!("{count} drifts repaired"),
        Err(_) => "drift unknown".to_owned(),
    };
    format!(
        "kube-ipvsd {}: {} entries failing, {} draining, {drift}, {} findings",
        status.version,
        status.counts.failing_entries,
        status.counts.draining_real_servers,
        status.findings.len(),
    )
}
