//! Measurements of a run.

use serde::Serialize;

/// All measurements of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Requested size.
    pub(crate) size: Size,
    pub(crate) initial: Initial,
    pub(crate) memory: Memory,
    pub(crate) steady: Steady,
    /// Recovery after all watches ended, while the server kept its history.
    pub(crate) cut: Recovery,
    /// Recovery after a restart of the server, which lost its history.
    pub(crate) restart: Recovery,
    /// True if all kernels have the desired tables at the end.
    pub(crate) converged: bool,
}

/// Requested size.
#[derive(Debug, Serialize)]
pub(crate) struct Size {
    pub(crate) daemons: usize,
    pub(crate) nodes: usize,
    /// True if daemons watch only their own Node.
    pub(crate) own_node: bool,
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
    pub(crate) changes_per_second: u32,
    pub(crate) seconds: u32,
    /// Downtime of the server in its restart.
    pub(crate) down_milliseconds: u64,
}

/// Measurements of the first lists.
#[derive(Debug, Serialize)]
pub(crate) struct Initial {
    /// Time until the first daemon completed its first sync.
    pub(crate) first_synced_seconds: f64,
    /// Time until the last daemon completed its first sync.
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
    /// Time of all daemons.
    pub(crate) daemons: f64,
    /// Time of the API server and its writers.
    pub(crate) server: f64,
    /// Length of the measured period.
    pub(crate) of: f64,
}

/// Memory of the process with the daemons, in MiB.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) before: f64,
    pub(crate) after: f64,
    pub(crate) per_daemon: f64,
}

/// Measurements of changes at a steady rate.
#[derive(Debug, Serialize)]
pub(crate) struct Steady {
    /// Number of written changes.
    pub(crate) written: usize,
    /// Writes per second.
    pub(crate) written_per_second: f64,
    /// Time from the last write until the last kernel has it.
    pub(crate) caught_up_seconds: f64,
    /// Traffic of one second, from the first write until all daemons have caught up.
    pub(crate) per_second_and_daemon: Vec<Traffic>,
    /// Time from a write to the change in the kernel.
    pub(crate) lag: Lag,
    /// Number of changes that did not reach the kernel, because a later one of the same slice was
    /// applied with them; mean of the daemons.
    pub(crate) superseded: f64,
    pub(crate) cpu: Cpu,
}

/// Lag in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Lag {
    pub(crate) samples: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// Measurements after connections were cut. Times begin at the cut, or when connections are
/// accepted after a restart.
#[derive(Debug, Serialize)]
pub(crate) struct Recovery {
    /// Number of changes in the meantime.
    pub(crate) changes: usize,
    /// Time until all kernels have these changes.
    pub(crate) converged_seconds: f64,
    pub(crate) lists: usize,
    pub(crate) watches: usize,
    /// Number of requests while the server was down.
    pub(crate) while_down: usize,
    /// Bytes that one daemon received.
    pub(crate) bytes_per_daemon: f64,
    /// Times of list requests.
    pub(crate) list_times: Spread,
    /// Times of watch requests.
    pub(crate) watch_times: Spread,
    pub(crate) cpu: Cpu,
}

/// Times of requests.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) first_seconds: f64,
    pub(crate) last_seconds: f64,
    /// Number of requests in each quarter of a second.
    pub(crate) quarters: Vec<usize>,
}

/// Maximum number of quarters of a second in a table.
const SHOWN: usize = 40;

impl Lag {
    /// Computes the lag from nanoseconds in any order.
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
    /// Computes the spread of times in seconds.
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
