//! Measures every operation of the daemon, of the programs that a user could use instead, and of
//! the kernel's own limit, in one kernel, in turn, each in its own network namespace.
//! `cargo xtask bench` runs it in a VM and makes a table and a plot of the output.

mod checks;
mod cluster;
mod daemon;
mod limit;
mod node;
mod parts;
mod peers;
mod process;
mod report;
mod shape;
mod steps;
mod trash;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use support::namespace::in_namespace;

use shape::Shape;

/// Result with any kind of error.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Times the daemon's operations beside other programs and the kernel's limit.
#[derive(Debug, Parser)]
pub struct Args {
    /// Sizes at which every part is measured, Services x endpoints of each
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<Shape>,
    /// Sizes at which the daemon is measured as a process
    #[arg(long, value_delimiter = ',')]
    daemon_sizes: Vec<Shape>,
    /// Sizes at which health checks are measured
    #[arg(long, value_delimiter = ',')]
    check_sizes: Vec<Shape>,
    /// Number of runs of each size
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Number of measured changes of one endpoint, or one Service, in each run
    #[arg(long, default_value_t = 100)]
    changes: u32,
    /// Duration of the idle measurement in seconds
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Duration of 1,000 changes of endpoints a second, in seconds
    #[arg(long, default_value_t = 300)]
    churn: u64,
    /// Leave out other programs above this number of virtual and real servers
    #[arg(long, default_value_t = 150_000)]
    peers_up_to: u64,
    /// Folder for files that programs read
    #[arg(long, default_value = "/tmp")]
    folder: PathBuf,
}

/// Measures each part, in this process.
///
/// # Errors
/// The first error of a measurement.
pub fn parts(args: &Args) -> Outcome {
    for shape in &args.sizes {
        let recorded = parts::record(*shape)?;
        for number in 1..=args.runs {
            eprintln!("bench: {shape}, run {number} of {}", args.runs);
            in_namespace(|| steps::all(*shape, args.changes))?;
            parts::limits(*shape, &recorded)?;
            if shape.entries() <= args.peers_up_to {
                parts::peers(*shape, &recorded.desired, &args.folder)?;
            }
        }
    }
    for shape in &args.sizes {
        if args.runs > 0 && shape.endpoints_of_all() <= trash::AT_MOST {
            eprintln!("bench: {shape}, real servers deleted before");
            in_namespace(|| trash::all(*shape))?;
        }
    }
    Ok(())
}

/// Measures the daemon as a process, with an API server in this one, and health checks.
///
/// # Errors
/// The first error of a measurement.
pub fn daemon(args: &Args) -> Outcome {
    for shape in &args.daemon_sizes {
        let measure = daemon::Measure {
            idle: Duration::from_secs(args.idle),
            changes: args.changes,
            churn: Duration::from_secs(args.churn),
        };
        eprintln!("bench: {shape}, the daemon");
        in_namespace(|| daemon::all(*shape, measure, &args.folder))?;
    }
    for shape in &args.check_sizes {
        let measure = checks::Measure {
            steady: Duration::from_secs(args.idle),
            failures: args.runs,
        };
        eprintln!("bench: {shape}, health checks");
        in_namespace(|| checks::daemon(*shape, measure, &args.folder))?;
        in_namespace(|| checks::keepalived(*shape, measure, &args.folder))?;
    }
    Ok(())
}
