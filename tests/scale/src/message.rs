//! Messages between the two processes: one JSON object a line, a command in, its answer out.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Command to the API server's process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Fill the cluster.
    Load {
        /// Number of Services, each with one EndpointSlice.
        services: usize,
        /// Endpoints of each.
        endpoints: usize,
        /// Number of Nodes.
        nodes: usize,
    },
    /// Change EndpointSlices, one after the other, and Nodes as their heartbeats do.
    Change {
        /// Changes of EndpointSlices per second.
        per_second: u32,
        /// Duration.
        seconds: u32,
        /// Changes of Nodes per second.
        heartbeats: f64,
    },
    /// End all watches, as a load balancer does that goes; the history stays. Then change so many slices.
    Cut {
        /// Number of changes.
        changes: usize,
    },
    /// Go down, change so many slices, come back without the history from before.
    Restart {
        /// Time to be down, in milliseconds.
        down: u64,
        /// Number of slices to change.
        changes: usize,
    },
}

/// Answer to a command.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The cluster is filled.
    Loaded {
        /// The server's URL.
        url: String,
    },
    /// Slices were changed.
    Changed {
        /// When connections were cut or, after a restart, accepted again; else when changes began.
        at: Nanoseconds,
        /// When each change was written, in order. Changes are numbered over all commands, from 0.
        written: Vec<Nanoseconds>,
    },
}

/// Nanoseconds since 1970: a clock that two processes of one machine share.
pub(crate) type Nanoseconds = u64;

pub(crate) fn now() -> Nanoseconds {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
