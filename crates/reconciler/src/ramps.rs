//! Slow start: which real servers are ramping, and when each takes its next step.
//!
//! The kernel's table decides whether a real server is new: one that gets connections already, for
//! example before a restart of the daemon, keeps its weight. The compiler lowers the weights, see
//! [`Compiler::set_ramps`](planner::Compiler::set_ramps).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipvs::{RealServerKey, VirtualServerKey};
use model::policy::RampStep;
use model::tables::VirtualServerEntry;

use crate::drains::DrainKey;

/// Steps are made at multiples of this time, those of all real servers together. So any number of
/// ramps needs at most two syncs per second.
const TICK: Duration = Duration::from_millis(500);

/// Maximum number of ramps. It bounds the ops of one tick. Further real servers start with their
/// full weight.
pub(crate) const MOST_RAMPS: usize = 4_096;

/// Slow start of one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Start. While the real server cannot be written, it moves on.
    pub since: Instant,
    /// Time from the start to the full weight.
    pub time: Duration,
    /// Current step.
    pub step: RampStep,
    /// Weight after the last step.
    pub full_weight: u32,
}

impl Ramp {
    /// Returns the time of the full weight.
    #[must_use]
    pub fn ends(&self) -> Instant {
        self.since + self.time
    }

    /// Returns the weight in the current step.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.step.weight(self.full_weight)
    }

    /// Returns the end of the current step.
    fn next(&self) -> Instant {
        self.since + self.step.end(self.time)
    }

    /// Returns the step at `now`, never an earlier one than the current: a longer time slows a ramp
    /// down, and takes no share away. `None` means that the ramp has ended.
    fn step_at(&self, now: Instant) -> Option<RampStep> {
        let elapsed = now.saturating_duration_since(self.since);
        Some(RampStep::at(elapsed, self.time)?.max(self.step))
    }
}

/// A virtual server with slow start.
pub(crate) struct Server<'a> {
    /// Its key.
    pub(crate) key: VirtualServerKey,
    /// Its desired real servers with their full weights; `None` if it is not desired.
    pub(crate) full: Option<&'a VirtualServerEntry>,
    /// The virtual server in the kernel; `None` if the kernel has none or another program owns it.
    pub(crate) live: Option<&'a VirtualServerEntry>,
    /// Time of a ramp; `None` if slow start is off.
    pub(crate) time: Option<Duration>,
}

impl Server<'_> {
    /// Returns the full weight of a real server; 0 if it is not desired.
    fn full_weight(&self, real: RealServerKey) -> u32 {
        weight(self.full, real)
    }

    /// Returns true if the kernel has the real server and gives it connections.
    fn is_live(&self, real: RealServerKey) -> bool {
        weight(self.live, real) > 0
    }
}

fn weight(entry: Option<&VirtualServerEntry>, real: RealServerKey) -> u32 {
    let real = entry.and_then(|entry| entry.real_servers.get(&real));
    real.map_or(0, |real| real.weight)
}

/// All ramps.
#[derive(Debug)]
pub(crate) struct Ramps {
    ramps: BTreeMap<DrainKey, Ramp>,
    epoch: Instant,
    /// Number of real servers that started with their full weight because of [`MOST_RAMPS`], since
    /// it was taken.
    skipped: usize,
}

impl Ramps {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            ramps: BTreeMap::new(),
            epoch,
            skipped: 0,
        }
    }

    pub(crate) fn all(&self) -> &BTreeMap<DrainKey, Ramp> {
        &self.ramps
    }

    /// Returns the number of real servers that started with their full weight because of
    /// [`MOST_RAMPS`] since the last call.
    pub(crate) fn take_skipped(&mut self) -> usize {
        std::mem::take(&mut self.skipped)
    }

    /// Returns the virtual servers with ramps.
    pub(crate) fn servers(&self) -> BTreeSet<VirtualServerKey> {
        self.ramps.keys().map(|(server, _)| *server).collect()
    }

    /// Starts ramps of the real servers of `server` that `arrived`, makes the steps that are due, ends
    /// ramps, and returns the steps of those that are left.
    pub(crate) fn follow(
        &mut self,
        server: &Server<'_>,
        arrived: &BTreeSet<RealServerKey>,
        now: Instant,
    ) -> BTreeMap<RealServerKey, RampStep> {
        let mut ramps = self.take(server.key);
        let Some(time) = server.time else {
            return BTreeMap::new();
        };
        ramps.retain(|real, ramp| {
            ramp.time = time;
            ramp.full_weight = server.full_weight(*real);
            ramp.full_weight > 0
        });
        let mut room = MOST_RAMPS.saturating_sub(self.ramps.len() + ramps.len());
        // A virtual server that the kernel lacks gives connections to none of its real servers yet.
        for real in arrived.iter().filter(|_| server.live.is_some()) {
            let full_weight = server.full_weight(*real);
            // A real server of weight 1 has no smaller weight to start with.
            if full_weight < 2 || server.is_live(*real) || ramps.contains_key(real) {
                continue;
            }
            if room == 0 {
                self.skipped += 1;
                continue;
            }
            room -= 1;
            let ramp = Ramp {
                since: now,
                time,
                step: RampStep::FIRST,
                full_weight,
            };
            ramps.insert(*real, ramp);
        }
        self.step(server, ramps, now)
    }

    /// Makes the steps that are due, and stores the ramps that have not ended.
    fn step(
        &mut self,
        server: &Server<'_>,
        mut ramps: BTreeMap<RealServerKey, Ramp>,
        now: Instant,
    ) -> BTreeMap<RealServerKey, RampStep> {
        ramps.retain(|real, ramp| {
            if ramp.next() > now {
                return true;
            }
            if !server.is_live(*real) {
                // The kernel refuses it so far, and its share cannot have grown.
                ramp.since = now;
                ramp.step = RampStep::FIRST;
                return true;
            }
            let step = ramp.step_at(now);
            ramp.step = step.unwrap_or(ramp.step);
            step.is_some()
        });
        let full = server.full.into_iter();
        let mut reals = full.flat_map(|entry| entry.real_servers.values());
        if reals.all(|real| real.weight == 0 || ramps.contains_key(&real.key)) {
            // Shares are relative: the real servers that are furthest get their full weight.
            let furthest = ramps.values().map(|ramp| ramp.step).max();
            ramps.retain(|_, ramp| Some(ramp.step) != furthest);
        }
        let steps = ramps.iter().map(|(real, ramp)| (*real, ramp.step));
        let steps = steps.collect();
        let ramps = ramps.into_iter();
        (self.ramps).extend(ramps.map(|(real, ramp)| ((server.key, real), ramp)));
        steps
    }

    /// Removes the ramps of `server` and returns them.
    fn take(&mut self, server: VirtualServerKey) -> BTreeMap<RealServerKey, Ramp> {
        let first = RealServerKey {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
        };
        let keys = (self.ramps.range((server, first)..)).take_while(|((at, _), _)| *at == server);
        let keys: Vec<DrainKey> = keys.map(|(key, _)| *key).collect();
        let taken = keys.into_iter().filter_map(|key| {
            let ramp = self.ramps.remove(&key)?;
            Some((key.1, ramp))
        });
        taken.collect()
    }

    /// Returns the time of the next tick at which a step is due; `None` without ramps.
    pub(crate) fn next(&self) -> Option<Instant> {
        let next = self.ramps.values().map(Ramp::next).min()?;
        let since = next.saturating_duration_since(self.epoch);
        let ticks = since.as_nanos().div_ceil(TICK.as_nanos());
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        Some(self.epoch + TICK.saturating_mul(ticks))
    }
}
