//! Measures the daemon as a process with an API server: start, memory, idle load, and changes
//! through the API.

mod changes;
mod rest;
mod workbench;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipvs::client::Client;
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::cluster::Cluster;
use crate::limit;
use crate::process::{Daemon, Usage};
use crate::report::{figure, sample};
use crate::shape::Shape;

const OURS: &str = "kube-ipvs";

/// Time limit of a first sync.
const FIRST: Duration = Duration::from_secs(900);

/// The limit of tracked connections belongs to the machine, and can be set only in the first
/// network namespace.
const CONFIG: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
hostnameOverride: node-0
conntrack:
  maxPerCore: 0
";

/// Extent of the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Duration of the idle measurement.
    pub(crate) idle: Duration,
    /// Number of measured single changes.
    pub(crate) changes: u32,
    /// Duration of 1,000 changes a second.
    pub(crate) churn: Duration,
}

/// Files for the programs.
pub(crate) struct Files {
    kubeconfig: PathBuf,
    config: PathBuf,
}

/// A daemon that serves a cluster.
struct Scene<'a> {
    shape: Shape,
    cluster: &'a Cluster,
    daemon: Daemon,
    /// Reads the kernel's table.
    client: Client,
}

/// Runs all measurements, in the empty network namespace of this thread.
pub(crate) fn all(shape: Shape, measure: Measure, folder: &Path) -> Outcome {
    limit::prepare();
    let runtime = Runtime::new()?;
    let cluster = runtime.block_on(Cluster::start(shape))?;
    let files = Files::write(&cluster, folder, CONFIG)?;

    let began = Instant::now();
    let daemon = files.daemon()?;
    eprintln!("bench: {}", daemon.synced(FIRST)?);
    let what = "daemon: start on an empty node";
    sample(what, shape, OURS, began.elapsed());
    memory(what, shape, daemon.usage()?);

    let mut scene = Scene {
        shape,
        cluster: &cluster,
        daemon,
        client: Client::open()?,
    };
    scene.idle(measure.idle)?;
    memory("daemon: idle", shape, scene.daemon.usage()?);
    scene.workbench(&files)?;
    scene.monitor()?;
    scene.single_changes(measure.changes)?;
    scene.relist()?;
    scene.churn(measure.churn)?;
    memory("daemon: after churn", shape, scene.daemon.usage()?);

    drop(scene);
    let began = Instant::now();
    let daemon = files.daemon()?;
    let line = daemon.synced(FIRST)?;
    sample("daemon: restart", shape, OURS, began.elapsed());
    if !line.contains("synced: nothing to do") {
        return Err(format!("a restart on a node with correct tables: {line}").into());
    }
    memory("daemon: restart", shape, daemon.usage()?);
    Ok(())
}

impl Files {
    /// Writes the files for a daemon of `cluster` to `folder`.
    pub(crate) fn write(cluster: &Cluster, folder: &Path, config: &str) -> Outcome<Self> {
        let files = Self {
            kubeconfig: folder.join("kubeconfig"),
            config: folder.join("config.yaml"),
        };
        cluster.server.kubeconfig().write(&files.kubeconfig)?;
        fs::write(&files.config, config)?;
        Ok(files)
    }

    /// Starts the daemon.
    fn daemon(&self) -> Outcome<Daemon> {
        Daemon::start(self)
    }

    /// Returns the arguments that name the files and the node.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        vec![
            "--kubeconfig".into(),
            self.kubeconfig.clone().into(),
            "--config".into(),
            self.config.clone().into(),
        ]
    }
}

fn memory(operation: &'static str, shape: Shape, usage: Usage) {
    let show = |what: &str, value: f64, unit: &str| figure(operation, shape, what, value, unit);
    show("memory, resident", mebibytes(usage.resident), "MiB");
    show("memory, peak", mebibytes(usage.peak), "MiB");
    let each = usage.resident as f64 / shape.endpoints_of_all().max(1) as f64;
    show("memory for each endpoint", each, "B");
    show(
        "processor time since its start",
        usage.processor.as_secs_f64(),
        "s",
    );
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
