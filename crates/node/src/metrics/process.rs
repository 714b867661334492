//! Process metrics that every Kubernetes component has, read from /proc during a scrape.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, boot_time_secs, page_size, ticks_per_second};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::descriptor::{Descriptor, Kind};
use super::family::{desc, family, sample};

pub(super) const DESCRIPTORS: &[Descriptor] = &[
    gauge(
        "process_max_fds",
        "Maximum number of open file descriptors of the process.",
    ),
    gauge("process_open_fds", "Open file descriptors of the process."),
    gauge(
        "process_resident_memory_bytes",
        "Resident memory of the process.",
    ),
    gauge(
        "process_start_time_seconds",
        "Unix time of the start of the process.",
    ),
    gauge(
        "process_virtual_memory_bytes",
        "Virtual memory of the process.",
    ),
    gauge("process_threads", "Threads of the process."),
    Descriptor {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        labels: &[],
        help: "Processor time of the process, user and system.",
    },
];

const fn gauge(name: &'static str, help: &'static str) -> Descriptor {
    Descriptor {
        name,
        kind: Kind::Gauge,
        labels: &[],
        help,
    }
}

/// Reads /proc/self.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    descs: Vec<Desc>,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let descs = (DESCRIPTORS.iter())
            .map(|descriptor| desc(descriptor, &[]))
            .collect::<Result<_, _>>()?;
        Ok(Self { descs })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    /// Returns no metrics if /proc cannot be read.
    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(values) = read() else {
            return Vec::new();
        };
        (DESCRIPTORS.iter().zip(values))
            .map(|(descriptor, value)| {
                family(descriptor, vec![sample(descriptor.kind, &[], &[], value)])
            })
            .collect()
    }
}

/// Returns the values in the order of [`DESCRIPTORS`].
fn read() -> ProcResult<[f64; 7]> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = ticks_per_second() as f64;
    let started = boot_time_secs()? as f64 + stat.starttime as f64 / ticks;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => limit as f64,
        LimitValue::Unlimited => f64::INFINITY,
    };
    Ok([
        max_fds,
        process.fd_count()? as f64,
        stat.rss as f64 * page_size() as f64,
        started,
        stat.vsize as f64,
        stat.num_threads as f64,
        (stat.utime + stat.stime) as f64 / ticks,
    ])
}
