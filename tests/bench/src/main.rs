//! Times a full synchronisation and a full reading beside `ipvsadm -R` and `ipvsadm -Ln`, in the same
//! kernel, in turn, each in a network namespace of its own. Run it in a VM:
//!
//! ```text
//! cargo build --release -p bench
//! cargo xtask vm --timeout 900 -- target/release/bench --services 1000 --endpoints 10
//! ```

mod namespace;
mod peers;
mod table;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Parser;
use kernel::{Kernel, LinuxKernel, ModulePolicy};
use model::plan::{Op, Plan};
use model::{Desired, Scope, Snapshot};
use planner::Ownership;

/// Times a full synchronisation and a full reading beside `ipvsadm`.
#[derive(Parser)]
struct Args {
    /// How many Services, of one port each
    #[arg(long, default_value_t = 1_000)]
    services: u32,
    /// How many endpoints each of them has
    #[arg(long, default_value_t = 10)]
    endpoints: u32,
    /// How often each is timed; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// Times of one run.
struct Run {
    servers: Duration,
    addresses: Duration,
    read: Duration,
    restore: Duration,
    list: Duration,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let desired = table::desired(args.services, args.endpoints)?;
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        eprintln!("run {number} of {}", args.runs);
        let (servers, addresses, read) = namespace::within(|| ours(&desired))??;
        let (restore, list) = namespace::within(|| peers::times(&desired))??;
        runs.push(Run {
            servers,
            addresses,
            read,
            restore,
            list,
        });
    }
    let Args {
        services,
        endpoints,
        ..
    } = args;
    println!(
        "{services} Services x {endpoints} endpoints, median of {}",
        args.runs
    );
    row(
        "write virtual and real servers",
        "ipvsadm -R",
        &runs,
        |run| (run.servers, run.restore),
    );
    row("read everything", "ipvsadm -Ln", &runs, |run| {
        (run.read, run.list)
    });
    let addresses = median(runs.iter().map(|run| run.addresses));
    println!(
        "{:<32} {:>9.1} ms",
        "write addresses",
        milliseconds(addresses)
    );
    Ok(())
}

/// Writes and reads the table through the kernel seam, and makes sure that it is the one that was
/// wanted.
fn ours(desired: &Desired) -> Result<(Duration, Duration, Duration), Box<dyn Error + Send + Sync>> {
    let mut kernel = LinuxKernel::open(ModulePolicy::Load)?;
    let plan = plan(desired, &kernel.observe(&Scope::EVERYTHING)?);
    let (mut servers, mut addresses) = (Duration::ZERO, Duration::ZERO);
    for stage in &plan.stages {
        let began = Instant::now();
        for outcome in kernel.apply(stage) {
            outcome?;
        }
        match stage.ops.first().map(|planned| &planned.op) {
            Some(Op::EnsureDevice | Op::AddAddress(_)) => addresses += began.elapsed(),
            _ => servers += began.elapsed(),
        }
    }
    let began = Instant::now();
    let live = kernel.observe(&Scope::EVERYTHING)?;
    let read = began.elapsed();
    if live.tables != desired.tables {
        return Err("the kernel does not hold what was written".into());
    }
    Ok((servers, addresses, read))
}

fn plan(desired: &Desired, live: &Snapshot) -> Plan {
    let own = Ownership::new(&model::NodeConfig::new("bench"));
    planner::diff(desired, live, &own)
}

fn row(what: &str, peer: &str, runs: &[Run], times: impl Fn(&Run) -> (Duration, Duration)) {
    let ours = median(runs.iter().map(|run| times(run).0));
    let theirs = median(runs.iter().map(|run| times(run).1));
    let ratio = milliseconds(theirs) / milliseconds(ours);
    println!(
        "{what:<32} {:>9.1} ms   {peer:<12} {:>9.1} ms   {ratio:.1} times as fast",
        milliseconds(ours),
        milliseconds(theirs)
    );
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
