//! Measures the daemon while nothing changes.

use std::thread;
use std::time::{Duration, Instant};

use support::Monitor;

use super::{OURS, Scene, mebibytes};
use crate::Outcome;
use crate::limit::{self, Direction};
use crate::report::{figure, sample};

/// Numbers of observed datagrams.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    read: u32,
    written: u32,
}

impl Seen {
    /// Adds the datagrams since the last call.
    fn look(&mut self, monitor: &mut Monitor) -> Outcome {
        while let Some((protocol, datagram)) = monitor.receive()? {
            match limit::direction(protocol, &datagram) {
                Direction::Write => self.written += 1,
                Direction::Read => self.read += 1,
                Direction::Answer => {}
            }
        }
        Ok(())
    }
}

impl Scene<'_> {
    /// Measures the idle daemon, audits included.
    pub(super) fn idle(&self, time: Duration) -> Outcome {
        let mut monitor = Monitor::open(limit::DEVICE)?;
        let mut seen = Seen::default();
        let before = self.daemon.usage()?;
        let end = Instant::now() + time;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
            seen.look(&mut monitor)?;
        }
        let after = self.daemon.usage()?;
        let seconds = time.as_secs_f64();
        let show = |what: &str, value: f64, unit: &str| {
            figure("daemon: idle", self.shape, what, value, unit);
        };
        let processor = after.processor.saturating_sub(before.processor);
        let share = 100.0 * processor.as_secs_f64() / seconds;
        show("processor", share, "% of one");
        let waits = after.waits.saturating_sub(before.waits) as f64;
        show("waits a second", waits / seconds, "");
        show("datagrams read by", f64::from(seen.read), "");
        show("datagrams written", f64::from(seen.written), "");
        match seen.written {
            0 => Ok(()),
            count => Err(format!("an idle daemon wrote {count} times").into()),
        }
    }

    /// Makes the server drop all versions and end all watches. The daemon lists everything again
    /// and writes only the change in between.
    pub(super) fn relist(&mut self) -> Outcome {
        let mut monitor = Monitor::open(limit::DEVICE)?;
        let mut seen = Seen::default();
        self.daemon.forget_peak()?;
        self.cluster.server.clear_requests();
        self.cluster.server.faults().close_watches();
        let began = Instant::now();
        // The watches end before this version, which is the oldest that the server has from now on.
        self.cluster.put_slices(0, &|endpoint| endpoint != 0)?;
        self.cluster.server.compact();
        // Datagrams while waiting are counted too. The monitor has room for a second of them.
        self.wait_looking(0, self.shape.endpoints - 1, || seen.look(&mut monitor))?;
        self.check_relisted()?;
        let what = "daemon: relist, until a change is in the kernel";
        sample(what, self.shape, OURS, began.elapsed());
        seen.look(&mut monitor)?;
        let usage = self.daemon.usage()?;
        let show = |figure_of: &str, value: f64, unit: &str| {
            figure(what, self.shape, figure_of, value, unit);
        };
        show("datagrams written", f64::from(seen.written), "");
        show("memory, peak", mebibytes(usage.peak), "MiB");
        self.cluster.put_slices(0, &|_| true)?;
        self.wait(0, self.shape.endpoints)
    }

    fn check_relisted(&self) -> Outcome {
        let requests = self.cluster.server.requests();
        // A streamed list is a watch with initial events (KEP-3157).
        let slices = requests.iter().any(|request| {
            let uri = request.uri.to_string();
            uri.contains("endpointslices")
                && (request.verb == "list" || uri.contains("sendInitialEvents=true"))
        });
        match slices {
            true => Ok(()),
            false => Err("the daemon resumed its watches and did not list again".into()),
        }
    }
}
