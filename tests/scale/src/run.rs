//! One run: create objects, start daemons, change slices, cut watches, restart the server.

use std::ops::Range;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sources::kube::Nodes;
use tokio::runtime::Runtime;

use crate::daemon::Daemon;
use crate::message::{Command, Nanoseconds, now};
use crate::meter::{Asked, Received, Resource, Verb};
use crate::objects;
use crate::process::{own_usage, usage};
use crate::remote::Remote;
use crate::report::{Cpu, Initial, Lag, Memory, Recovery, Report, Size, Spread, Steady, Traffic};

/// Interval in seconds at which kubelets report an unchanged status (`nodeStatusReportFrequency`).
const HEARTBEAT: f64 = 300.0;
/// Maximum number of slices that change during a cut or a restart.
const MEANWHILE: usize = 100;
/// Time to wait for the answers to the last requests.
const ANSWERS: Duration = Duration::from_secs(1);
/// Time limit for a state.
const TIMEOUT: Duration = Duration::from_secs(600);

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// The process of the API server and all daemons.
struct Scene {
    remote: Remote,
    daemons: Vec<Daemon>,
    /// Number of changes so far.
    changes: usize,
    services: usize,
}

/// Start of a measured period.
struct Mark {
    at: Nanoseconds,
    daemons: Duration,
    server: Duration,
    received: [Received; 3],
}

/// Runs all phases.
///
/// # Errors
///
/// A process fails, or a state is not reached in ten minutes.
pub(crate) fn run(size: Size) -> Fallible<Report> {
    let runtime = Runtime::new()?;
    let mut remote = Remote::start()?;
    let url = remote.load(Command::Load {
        services: size.services,
        endpoints: size.endpoints,
        nodes: size.nodes,
    })?;
    let url: http::Uri = url.parse()?;
    let meanwhile = size.services.min(MEANWHILE);
    let most = (size.changes_per_second * size.seconds) as usize + 2 * meanwhile;
    let before = own_usage()?;
    let mut scene = Scene {
        remote,
        daemons: Vec::new(),
        changes: 0,
        services: size.services,
    };
    let watched = if size.own_node {
        Nodes::Own
    } else {
        Nodes::All
    };
    let mark = scene.mark()?;
    for at in 0..size.daemons {
        let name = objects::node_name(at);
        scene
            .daemons
            .push(Daemon::start(&name, watched, &url, most, runtime.handle())?);
    }
    let initial = scene.initial(&mark)?;
    let after = own_usage()?;
    let steady = scene.steady(&size)?;
    let cut = scene.recover(Command::Cut { changes: meanwhile }, Verb::Watch)?;
    let restart = Command::Restart {
        down: size.down_milliseconds,
        changes: meanwhile,
    };
    let restart = scene.recover(restart, Verb::List)?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    // Removed real servers are deleted a second after they got weight 0.
    let converged = wait(|| scene.is_as_asked(size.endpoints)).is_ok();
    Ok(Report {
        initial,
        memory: Memory {
            before: mebibytes(before.resident),
            after: mebibytes(after.resident),
            per_daemon: mebibytes(after.resident.saturating_sub(before.resident))
                / size.daemons as f64,
        },
        steady,
        cut,
        restart,
        converged,
        size,
    })
}

impl Scene {
    fn initial(&self, mark: &Mark) -> Fallible<Initial> {
        wait(|| self.daemons.iter().all(|daemon| daemon.synced().is_some()))?;
        let cpu = self.cpu(mark)?;
        let times: Vec<f64> = (self.daemons.iter())
            .filter_map(Daemon::synced)
            .map(|at| seconds(mark.at, at))
            .collect();
        let spread = Spread::of(&times);
        Ok(Initial {
            first_synced_seconds: spread.first_seconds,
            last_synced_seconds: spread.last_seconds,
            per_daemon: self.traffic(mark, 1.0),
            cpu,
        })
    }

    fn steady(&mut self, size: &Size) -> Fallible<Steady> {
        let mark = self.mark()?;
        let (_, written) = self.remote.change(Command::Change {
            per_second: size.changes_per_second,
            seconds: size.seconds,
            heartbeats: size.nodes as f64 / HEARTBEAT,
        })?;
        let end = now();
        let numbers = self.wait_for(written.len())?;
        let caught_up = now();
        let mut lags = Vec::new();
        for daemon in &self.daemons {
            let times = daemon.times(numbers.clone());
            let had = times.iter().zip(&written).filter(|(at, _)| **at > 0);
            lags.extend(had.map(|(at, written)| at.saturating_sub(*written)));
        }
        let all = written.len() * self.daemons.len();
        let superseded = (all - lags.len()) as f64 / self.daemons.len() as f64;
        Ok(Steady {
            written: written.len(),
            written_per_second: written.len() as f64 / f64::from(size.seconds),
            caught_up_seconds: seconds(end, caught_up),
            per_second_and_daemon: self.traffic(&mark, f64::from(size.seconds)),
            lag: Lag::of(lags),
            superseded,
            cpu: self.cpu(&mark)?,
        })
    }

    /// Runs `command`, and waits until all changes are in all kernels and each daemon has requested
    /// each resource by `verb`.
    fn recover(&mut self, command: Command, verb: Verb) -> Fallible<Recovery> {
        let mark = self.mark()?;
        let (at, written) = self.remote.change(command)?;
        self.wait_for(written.len())?;
        let converged = now();
        // Unchanged resources may be requested after the last change has arrived.
        let expected = Resource::ALL.len() * self.daemons.len();
        wait(|| {
            let asked = self.asked(at, verb);
            asked.len() >= expected
        })?;
        sleep(ANSWERS);
        let asked = |verb| self.asked(mark.at, verb);
        let after = |all: &[Asked]| -> Vec<f64> {
            (all.iter().filter(|asked| asked.at >= at))
                .map(|asked| seconds(at, asked.at))
                .collect()
        };
        let (lists, watches) = (asked(Verb::List), asked(Verb::Watch));
        let (list_times, watch_times) = (after(&lists), after(&watches));
        let all = list_times.len() + watch_times.len();
        Ok(Recovery {
            changes: written.len(),
            converged_seconds: seconds(at, converged),
            lists: list_times.len(),
            watches: watch_times.len(),
            while_down: lists.len() + watches.len() - all,
            bytes_per_daemon: self.traffic(&mark, 1.0).iter().map(|each| each.bytes).sum(),
            list_times: Spread::of(&list_times),
            watch_times: Spread::of(&watch_times),
            cpu: self.cpu(&mark)?,
        })
    }

    /// Waits until the last of the next `many` changes of each slice is in all kernels. Returns
    /// their numbers.
    fn wait_for(&mut self, many: usize) -> Fallible<Range<usize>> {
        let numbers = self.changes..self.changes + many;
        self.changes = numbers.end;
        let last = numbers.end - many.min(self.services)..numbers.end;
        wait(|| self.daemons.iter().all(|daemon| daemon.has_had(&last)))?;
        Ok(numbers)
    }

    /// Returns true if all kernels have the same tables, with every Service and all its endpoints.
    fn is_as_asked(&self, endpoints: usize) -> bool {
        let mut all = self
            .daemons
            .iter()
            .map(|daemon| daemon.tables().virtual_servers);
        let Some(first) = all.next() else {
            return false;
        };
        let complete = first
            .values()
            .all(|entry| entry.real_servers.len() == endpoints);
        first.len() == self.services && complete && all.all(|other| other == first)
    }

    fn mark(&self) -> Fallible<Mark> {
        Ok(Mark {
            daemons: own_usage()?.cpu,
            server: usage(self.remote.id())?.cpu,
            received: Resource::ALL.map(|resource| self.received(resource)),
            at: now(),
        })
    }

    fn cpu(&self, since: &Mark) -> Fallible<Cpu> {
        let now_at = self.mark()?;
        Ok(Cpu {
            daemons: (now_at.daemons - since.daemons).as_secs_f64(),
            server: (now_at.server - since.server).as_secs_f64(),
            of: seconds(since.at, now_at.at),
        })
    }

    fn received(&self, resource: Resource) -> Received {
        let mut sum = Received::default();
        for daemon in &self.daemons {
            let received = daemon.meter.received(resource);
            sum.bytes += received.bytes;
            sum.lines += received.lines;
        }
        sum
    }

    /// Returns the traffic of one daemon since `since`, divided by `by`.
    fn traffic(&self, since: &Mark, by: f64) -> Vec<Traffic> {
        let share = |count: u64| count as f64 / by / self.daemons.len() as f64;
        (Resource::ALL.into_iter().zip(since.received))
            .map(|(resource, before)| {
                let received = self.received(resource);
                let requests = (self.daemons.iter().flat_map(|daemon| daemon.meter.asked()))
                    .filter(|asked| asked.at >= since.at && asked.resource == resource)
                    .count();
                Traffic {
                    resource: resource.name(),
                    requests: share(requests as u64),
                    events: share(received.lines - before.lines),
                    bytes: share(received.bytes - before.bytes),
                }
            })
            .collect()
    }

    fn asked(&self, since: Nanoseconds, verb: Verb) -> Vec<Asked> {
        let all = self.daemons.iter().flat_map(|daemon| daemon.meter.asked());
        all.filter(|asked| asked.at >= since && asked.verb == verb)
            .collect()
    }
}

fn wait(mut done: impl FnMut() -> bool) -> Fallible<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > TIMEOUT {
            return Err(
                format!("the daemons did not reach the expected state in {TIMEOUT:?}").into(),
            );
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn seconds(from: Nanoseconds, to: Nanoseconds) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}
