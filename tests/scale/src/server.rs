//! The process of the API server and its writers, which executes commands from standard input.

use std::io::{self, Write};
use std::time::Duration;

use apiserver::{ApiError, Server, ServerConfig, State};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, sleep_until};

use crate::message::{Answer, Command, Nanoseconds, now};
use crate::objects;

/// The cluster and the number of its changes.
struct Cluster {
    server: Server,
    services: usize,
    endpoints: usize,
    nodes: usize,
    /// Number of changes so far.
    changes: usize,
    heartbeats: u64,
}

/// Serves until standard input ends.
///
/// # Errors
///
/// The server does not start or restart, or standard output is closed.
pub(crate) fn serve() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let mut cluster = Cluster {
        server: runtime.block_on(Server::start(ServerConfig::default()))?,
        services: 0,
        endpoints: 0,
        nodes: 0,
        changes: 0,
        heartbeats: 0,
    };
    let mut out = io::stdout().lock();
    for line in io::stdin().lines() {
        let command = serde_json::from_str(&line?)?;
        let answer = runtime.block_on(cluster.execute(command))?;
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

impl Cluster {
    async fn execute(&mut self, command: Command) -> io::Result<Answer> {
        match command {
            Command::Load {
                services,
                endpoints,
                nodes,
            } => {
                (self.services, self.endpoints, self.nodes) = (services, endpoints, nodes);
                for at in 0..services {
                    self.put(objects::service(at))?;
                    self.put(objects::slice(at, endpoints, None))?;
                }
                for at in 0..nodes {
                    self.put(objects::node(at, 0))?;
                }
                let url = self.server.url();
                Ok(Answer::Loaded { url })
            }
            Command::Change {
                per_second,
                seconds,
                heartbeats,
            } => {
                let at = now();
                let written = self.change(per_second, seconds, heartbeats).await?;
                Ok(Answer::Changed { at, written })
            }
            Command::Cut { changes } => {
                let at = now();
                self.server.faults().close_watches();
                let written = self.change_at_once(changes)?;
                Ok(Answer::Changed { at, written })
            }
            Command::Restart { down, changes } => {
                self.server.down().await;
                let written = self.change_at_once(changes)?;
                sleep(Duration::from_millis(down)).await;
                self.server.up(State::Kept).await?;
                Ok(Answer::Changed { at: now(), written })
            }
        }
    }

    async fn change(
        &mut self,
        per_second: u32,
        seconds: u32,
        heartbeats: f64,
    ) -> io::Result<Vec<Nanoseconds>> {
        let start = Instant::now();
        let end = Duration::from_secs(seconds.into());
        let many = per_second * seconds;
        let mut written = Vec::with_capacity(many as usize);
        let mut beats = 0.0;
        for each in 0..many {
            let due = end * each / many;
            sleep_until(start + due).await;
            // A slow writer stops at the end of the requested period.
            if start.elapsed() >= end {
                break;
            }
            written.push(self.change_one()?);
            while beats < start.elapsed().as_secs_f64() * heartbeats {
                beats += 1.0;
                self.beat()?;
            }
        }
        Ok(written)
    }

    fn change_at_once(&mut self, many: usize) -> io::Result<Vec<Nanoseconds>> {
        (0..many).map(|_| self.change_one()).collect()
    }

    /// Replaces one endpoint of the next slice. Returns the time before the write.
    fn change_one(&mut self) -> io::Result<Nanoseconds> {
        let slice = objects::slice(
            self.changes % self.services,
            self.endpoints,
            Some(self.changes),
        );
        self.changes += 1;
        let at = now();
        self.put(slice)?;
        Ok(at)
    }

    fn beat(&mut self) -> io::Result<()> {
        self.heartbeats += 1;
        let at = usize::try_from(self.heartbeats).unwrap_or_default() % self.nodes;
        self.put(objects::node(at, self.heartbeats))
    }

    fn put(&self, object: Value) -> io::Result<()> {
        let refused = |error: ApiError| io::Error::other(format!("{error:?}"));
        self.server.put(object).map(drop).map_err(refused)
    }
}
