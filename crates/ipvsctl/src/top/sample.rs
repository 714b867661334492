//! One reading of the counters.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use ipvs::{Connections, RealServerKey, Statistics, VirtualServerKey};

use crate::error::Error;
use crate::input::counters::ReadCounters;

/// The counters of every virtual server and real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Virtual servers by their keys.
    pub servers: BTreeMap<VirtualServerKey, ServerSample>,
}

/// The counters of a virtual server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSample {
    /// Time at which the counters were read, since any fixed moment. The entries of a large table
    /// are read seconds apart.
    pub at: Duration,
    /// Counters of the virtual server.
    pub counters: Statistics,
    /// Time at which the real servers were read.
    pub real_servers_at: Duration,
    /// Real servers by their keys.
    pub real_servers: BTreeMap<RealServerKey, RealSample>,
}

/// The counters of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RealSample {
    /// Weight; 0 for a real server that gets no new connections.
    pub weight: u32,
    /// Number of connections.
    pub connections: Connections,
    /// Counters of the real server.
    pub counters: Statistics,
}

impl Sample {
    /// Reads the counters of the virtual servers that `selects` selects. `clock` returns the time since a fixed moment; `go_on` is
    /// called before each list and can end the reading, which then returns `None`.
    ///
    /// The list of all virtual servers is read before the lists of real servers.
    ///
    /// # Errors
    ///
    /// A list cannot be read.
    pub fn read(
        reader: &mut dyn ReadCounters,
        selects: impl Fn(&VirtualServerKey) -> bool,
        clock: impl Fn() -> Duration,
        mut go_on: impl FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Self>, Error> {
        let listed = reader.virtual_servers()?;
        let at = clock();
        let mut servers = BTreeMap::new();
        for (server, counters) in listed {
            if !selects(&server.key) {
                continue;
            }
            if go_on().is_break() {
                return Ok(None);
            }
            let real_servers = reader.real_servers(&server.key)?;
            let real_servers_at = clock();
            let real_servers = real_servers.into_iter().map(|status| {
                let sample = RealSample {
                    weight: status.server.weight,
                    connections: status.connections,
                    counters: status.statistics,
                };
                (status.server.key, sample)
            });
            let sample = ServerSample {
                at,
                counters,
                real_servers_at,
                real_servers: real_servers.collect(),
            };
            servers.insert(server.key, sample);
        }
        Ok(Some(Self { servers }))
    }
}
