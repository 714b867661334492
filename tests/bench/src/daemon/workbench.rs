//! Measures the commands of `ipvsctl` on a node that the daemon serves, beside `ipvsadm`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Files, OURS, Scene, mebibytes};
use crate::Outcome;
use crate::process;
use crate::report::{figure, sample};

/// Duration for which an idle `ipvsctl monitor` is observed.
const WATCHED: Duration = Duration::from_secs(10);

impl Scene<'_> {
    /// Measures each command once, its memory, and the time until its first line.
    pub(super) fn workbench(&self, files: &Files) -> Outcome {
        let address = self.shape.cluster_ip(1, self.shape.families()[0]);
        let to = format!("{address}:80/tcp");
        let commands: [(&'static str, &[&str]); 6] = [
            ("ipvsctl diff, no difference", &["diff"]),
            ("ipvsctl doctor", &["doctor"]),
            (
                "ipvsctl explain svc",
                &["explain", "svc", "bench/service-1"],
            ),
            ("ipvsctl trace", &["trace", "--from", "host", "--to", &to]),
            ("ipvsctl get servers", &["get", "servers"]),
            (
                "ipvsctl get servers --stats",
                &["get", "servers", "--stats"],
            ),
        ];
        for (what, arguments) in commands {
            // Without objects the names of Services are those of the daemon.
            let more = match arguments[0] {
                "get" => Vec::new(),
                _ => files.arguments(),
            };
            let ran = process::ipvsctl(arguments, &more)?;
            sample(what, self.shape, OURS, ran.took);
            let show = |of: &str, value: f64, unit: &str| figure(what, self.shape, of, value, unit);
            show("memory, peak", mebibytes(ran.peak), "MiB");
            show("time until the first line", ran.first.as_secs_f64(), "s");
            show("lines", ran.lines as f64, "");
        }
        for (what, arguments) in [
            ("ipvsctl get servers", "-Ln"),
            ("ipvsctl get servers --stats", "-Ln --stats"),
        ] {
            let began = Instant::now();
            let mut command = Command::new("ipvsadm");
            let status = command
                .args(arguments.split(' '))
                .stdout(Stdio::null())
                .status()?;
            let took = began.elapsed();
            if !status.success() {
                return Err(format!("ipvsadm {arguments}: {status}").into());
            }
            sample(what, self.shape, "ipvsadm", took);
        }
        Ok(())
    }

    /// Measures the load of an idle `ipvsctl monitor`, and the time until it prints a change.
    pub(super) fn monitor(&mut self) -> Outcome {
        let what = "ipvsctl monitor, until a change is printed";
        let mut monitor = process::start("ipvsctl", &["monitor"], &[])?;
        let mut lines = BufReader::new(monitor.stdout.take().ok_or("no output")?).lines();
        // The first reading, and the names of Services.
        thread::sleep(WATCHED);
        let before = process::processor(monitor.id())?;
        thread::sleep(WATCHED);
        let processor = process::processor(monitor.id())?.saturating_sub(before);
        let share = 100.0 * processor.as_secs_f64() / WATCHED.as_secs_f64();
        figure(what, self.shape, "processor while idle", share, "% of one");
        let gone = self.shape.pod(1, 0, self.shape.families()[0]).to_string();
        let began = Instant::now();
        self.cluster.put_slices(1, &|endpoint| endpoint != 0)?;
        let printed = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(&gone));
        sample(what, self.shape, OURS, began.elapsed());
        // It may have ended by itself.
        let _ = monitor.kill();
        let _ = monitor.wait();
        printed.ok_or("ipvsctl monitor ended")?;
        self.cluster.put_slices(1, &|_| true)?;
        self.wait(1, self.shape.endpoints)
    }
}
