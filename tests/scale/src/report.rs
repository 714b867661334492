//! The measurements.

use serde::Serialize;

/// All of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The requested size.
    pub(crate) size: Size,
    pub(crate) initial: Initial,
    pub(crate) memory: Memory,
    pub(crate) steady: Steady,
    /// All watches end; the server knows where they stopped.
    pub(crate) cut: Recovery,
    /// The server restarts; it does not.
    pub(crate) restart: Recovery,
    /// True if in the end all kernels hold all that the cluster asks for.
    pub(crate) converged: bool,
}

/// The requested size.
#[derive(Debug, Serialize)]
pub(crate) struct Size {
    pub(crate) daemons: usize,
    pub(crate) nodes: usize,
    /// True if daemons watch their own Node only.
    pub(crate) own_node: bool,
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
    pub(crate) changes_per_second: u32,
    pub(crate) seconds: u32,
    /// Time for which the server that restarts is down.
    pub(crate) down_milliseconds: u64,
}

/// The first lists.
#[derive(Debug, Serialize)]
pub(crate) struct Initial {
    /// Until the first daemon's first synchronisation ended.
    pub(crate) first_synced_seconds: f64,
    /// Until the last one's did.
    pub(crate) last_synced_seconds: f64,
    pub(crate) per_daemon: Vec<Traffic>,
    pub(crate) cpu: Cpu,
}

/// Requests, bytes and events of one resource, for one daemon.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) resource: &'static str,
    pub(crate) requests: f64,
    pub(crate) events: f64,
    pub(crate) bytes: f64,
}

/// Processor time of both processes, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Cpu {
    /// All daemons.
    pub(crate) daemons: f64,
    /// The API server and who writes to it.
    pub(crate) server: f64,
    /// Over what time.
    pub(crate) of: f64,
}

/// Memory of the process with the daemons, in MiB.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) before: f64,
    pub(crate) after: f64,
    pub(crate) per_daemon: f64,
}

/// Changes at a steady rate.
#[derive(Debug, Serialize)]
pub(crate) struct Steady {
    /// Changes that were written.
    pub(crate) written: usize,
    /// Writes per second.
    pub(crate) written_per_second: f64,
    /// From the last write until the last kernel had it.
    pub(crate) caught_up_seconds: f64,
    /// For one second: what came while changes were written and until all had caught up.
    pub(crate) per_second_and_daemon: Vec<Traffic>,
    /// From a write to the kernel's change.
    pub(crate) lag: Lag,
    /// Changes that no kernel saw, because a later one of the same slice was applied with them; mean
    /// of the daemons.
    pub(crate) superseded: f64,
    pub(crate) cpu: Cpu,
}

/// Milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Lag {
    pub(crate) samples: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// After connections were cut. Times are from when they were cut or, after a restart, accepted again.
#[derive(Debug, Serialize)]
pub(crate) struct Recovery {
    /// Changes that were made meanwhile.
    pub(crate) changes: usize,
    /// Until each kernel had them.
    pub(crate) converged_seconds: f64,
    pub(crate) lists: usize,
    pub(crate) watches: usize,
    /// Requests that a server that was down did not take.
    pub(crate) while_down: usize,
    /// Bytes that one daemon was sent.
    pub(crate) bytes_per_daemon: f64,
    /// When lists were asked for.
    pub(crate) list_times: Spread,
    /// When watches were asked for.
    pub(crate) watch_times: Spread,
    pub(crate) cpu: Cpu,
}

/// When requests were made.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) first_seconds: f64,
    pub(crate) last_seconds: f64,
    /// Number in each quarter of a second.
    pub(crate) quarters: Vec<usize>,
}

/// Quarters of a second that a table shows at most.
const SHOWN: usize = 40;

impl Lag {
    /// Of nanoseconds in any order.
    pub(crate) fn of(mut lags: Vec<u64>) -> Self {
        lags.sort_unstable();
        let at = |part: usize| {
            let place = (lags.len() * part / 100).min(lags.len().saturating_sub(1));
            lags.get(place).map_or(0.0, |lag| *lag as f64 / 1e6)
        };
        Self {
            samples: lags.len(),
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Spread {
    /// Of moments in seconds.
    pub(crate) fn of(times: &[f64]) -> Self {
        let mut quarters = Vec::new();
        for time in times {
            let at = (time.max(0.0) * 4.0) as usize;
            if quarters.len() <= at {
                quarters.resize(at + 1, 0);
            }
            quarters[at] += 1;
        }
        Self {
            first_seconds: times.iter().copied().reduce(f64::min).unwrap_or(0.0),
            last_seconds: times.iter().copied().reduce(f64::max).unwrap_or(0.0),
            quarters,
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.quarters.is_empty() {
            return f.write_str("none");
        }
        write!(
            f,
            "{:.2} to {:.2} s;",
            self.first_seconds, self.last_seconds
        )?;
        f.write_str(" in each 0.25 s:")?;
        for many in self.quarters.iter().take(SHOWN) {
            write!(f, " {many}")?;
        }
        f.write_str(if self.quarters.len() > SHOWN {
            " …"
        } else {
            ""
        })
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            daemons,
            server,
            of,
        } = self;
        write!(
            f,
            "{daemons:.2} s of all daemons, {server:.2} s of the server, in {of:.2} s"
        )
    }
}
