//! Measures changes from the API server to the kernel.

use std::thread;
use std::time::{Duration, Instant};

use ipvs::{AddressFamily, Protocol, VirtualServerKey};

use super::{OURS, Scene, mebibytes};
use crate::Outcome;
use crate::report::{figure, sample};

/// Time limit of a change.
const SOON: Duration = Duration::from_secs(60);

/// Time for each change: a thousandth of a second.
const EACH: Duration = Duration::from_millis(1);

impl Scene<'_> {
    /// Removes one endpoint and adds it again.
    pub(super) fn single_changes(&mut self, count: u32) -> Outcome {
        for number in 0..count {
            let service = number % self.shape.services;
            for kept in [false, true] {
                let began = Instant::now();
                self.cluster
                    .put_slices(service, &|endpoint| kept || endpoint != 0)?;
                self.wait(service, self.shape.endpoints - u32::from(!kept))?;
                let what = match kept {
                    true => "daemon: endpoint added, from API to kernel",
                    false => "daemon: endpoint removed, from API to kernel",
                };
                sample(what, self.shape, OURS, began.elapsed());
            }
        }
        Ok(())
    }

    /// Makes 1,000 changes of endpoints a second: the first endpoint of each Service in turn is
    /// removed and added.
    pub(super) fn churn(&mut self, time: Duration) -> Outcome {
        let before = self.daemon.usage()?;
        self.daemon.forget_peak()?;
        let began = Instant::now();
        let mut done = 0_u32;
        let mut half = None;
        while began.elapsed() < time {
            let service = (done / 2) % self.shape.services;
            let kept = done % 2 == 1;
            self.cluster
                .put_slices(service, &|endpoint| kept || endpoint != 0)?;
            done += 1;
            if half.is_none() && began.elapsed() > time / 2 {
                half = Some(self.daemon.usage()?);
            }
            if let Some(early) = (EACH * done).checked_sub(began.elapsed()) {
                thread::sleep(early);
            }
        }
        let took = began.elapsed();
        let after = self.daemon.usage()?;
        // The last change is applied after all others.
        let behind = Instant::now();
        self.cluster.put_slices(0, &|endpoint| endpoint != 0)?;
        self.wait(0, self.shape.endpoints - 1)?;
        let what = "daemon: churn, delay at its end";
        sample(what, self.shape, OURS, behind.elapsed());

        let show = |what: &str, value: f64, unit: &str| {
            figure("daemon: churn", self.shape, what, value, unit);
        };
        show("changes a second", f64::from(done) / took.as_secs_f64(), "");
        let processor = after.processor.saturating_sub(before.processor);
        let share = 100.0 * processor.as_secs_f64() / took.as_secs_f64();
        show("processor", share, "% of one");
        show("memory before", mebibytes(before.resident), "MiB");
        let half = half.unwrap_or(after);
        show("memory at half time", mebibytes(half.resident), "MiB");
        show("memory at the end", mebibytes(after.resident), "MiB");
        show("memory, peak", mebibytes(after.peak), "MiB");

        // The Service whose endpoint may be missing.
        let last = (done.saturating_sub(1) / 2) % self.shape.services;
        for service in [last, 0] {
            self.cluster.put_slices(service, &|_| true)?;
            self.wait(service, self.shape.endpoints)?;
        }
        Ok(())
    }

    /// Waits until a Service has `count` real servers with a weight.
    pub(super) fn wait(&mut self, service: u32, count: u32) -> Outcome {
        self.wait_looking(service, count, || Ok(()))
    }

    /// Does the same, and calls `look` repeatedly.
    pub(super) fn wait_looking(
        &mut self,
        service: u32,
        count: u32,
        mut look: impl FnMut() -> Outcome,
    ) -> Outcome {
        let key = VirtualServerKey::Address {
            address: self.shape.cluster_ip(service, AddressFamily::Ipv4),
            port: 80,
            protocol: Protocol::Tcp,
        };
        let deadline = Instant::now() + SOON;
        loop {
            look()?;
            let servers = self.client.real_servers(&key)?;
            let serving = servers.iter().filter(|real| real.server.weight > 0).count();
            if serving == usize::try_from(count)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let wrong =
                    format!("{key} has {serving} real servers, not {count}, after {SOON:?}");
                return Err(wrong.into());
            }
            thread::sleep(Duration::from_micros(500));
        }
    }
}
