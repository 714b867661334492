//! Times every operation of the daemon beside the programs that a user would take instead, and beside the kernel's own
//! limit, in one kernel, in turn, each in a network namespace of its own. `cargo xtask bench` runs it in a VM and makes a
//! table and a plot of what it prints.

mod limit;
mod namespace;
mod node;
mod parts;
mod peers;
mod report;
mod shape;
mod steps;

use std::path::PathBuf;

use clap::Parser;

use shape::Shape;

/// Fails with whatever stood in the way.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Times the daemon's operations beside other programs and the kernel's limit.
#[derive(Parser)]
struct Args {
    /// Sizes, Services x endpoints of each
    #[arg(long, value_delimiter = ',', default_value = "100x10,1000x10")]
    sizes: Vec<Shape>,
    /// How often each is timed
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many changes of one endpoint, or one Service, are timed in each run
    #[arg(long, default_value_t = 100)]
    changes: u32,
    /// Above so many virtual and real servers, other programs are left out
    #[arg(long, default_value_t = 150_000)]
    peers_up_to: u64,
    /// Where files are put that programs read
    #[arg(long, default_value = "/tmp")]
    folder: PathBuf,
}

fn main() -> Outcome {
    let args = Args::parse();
    for shape in &args.sizes {
        let recorded = parts::record(*shape)?;
        for number in 1..=args.runs {
            eprintln!("bench: {shape}, run {number} of {}", args.runs);
            namespace::within(|| steps::all(*shape, args.changes))??;
            parts::limits(*shape, &recorded)?;
            if shape.entries() <= args.peers_up_to {
                parts::peers(*shape, &recorded.desired, &args.folder)?;
            }
        }
    }
    Ok(())
}
