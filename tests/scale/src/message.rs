//! Messages between the two processes: commands and their answers, one JSON object in each line.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Command to the API server's process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Create the objects.
    Load {
        /// Number of Services, each with one EndpointSlice.
        services: usize,
        /// Number of endpoints of each Service.
        endpoints: usize,
        /// Number of Nodes.
        nodes: usize,
    },
    /// Change EndpointSlices in turn, and Nodes by heartbeats.
    Change {
        /// Changes of EndpointSlices per second.
        per_second: u32,
        /// Duration.
        seconds: u32,
        /// Changes of Nodes per second.
        heartbeats: f64,
    },
    /// End all watches, as a stopped load balancer does. The server keeps its history. Then change
    /// slices.
    Cut {
        /// Number of slices to change.
        changes: usize,
    },
    /// Stop the server, change slices, and start it without its history.
    Restart {
        /// Downtime, in milliseconds.
        down: u64,
        /// Number of slices to change.
        changes: usize,
    },
}

/// Answer to a command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The objects are created.
    Loaded {
        /// URL of the server.
        url: String,
    },
    /// Slices were changed.
    Changed {
        /// Time at which connections were cut, or accepted after a restart; otherwise the start of
        /// the changes.
        at: Nanoseconds,
        /// Time of each write, in order. Changes are numbered from 0 over all commands.
        written: Vec<Nanoseconds>,
    },
}

/// Nanoseconds since 1970, a clock that both processes share.
pub(crate) type Nanoseconds = u64;

pub(crate) fn now() -> Nanoseconds {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
