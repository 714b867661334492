//! Many daemons on one API server: their requests, the lag of their changes, the cost of a restart.
//!
//! `cargo run --release -p scale -- --daemons 50 --services 1000`
//!
//! The API server and its writers run in a separate process. The daemons share this process. Each
//! is a complete pipeline with its own connections, a thread for the loop and a kernel in memory.
//! They share a tokio runtime, unlike real daemons.

mod daemon;
mod message;
mod meter;
mod objects;
mod process;
mod remote;
mod report;
mod run;
mod server;
mod sizes;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::report::Size;

/// Runs many daemons with kernels in memory on a test API server, and measures them.
#[derive(Debug, Parser)]
struct Args {
    /// Number of daemons.
    #[arg(long, default_value_t = 50)]
    daemons: usize,
    /// Number of Nodes [default: the number of daemons]. Each is changed every 300 s, as kubelets
    /// do.
    #[arg(long)]
    nodes: Option<usize>,
    /// Let daemons watch only their own Node, as with `watchedNodes: own`.
    #[arg(long)]
    own_node: bool,
    /// Number of Services, each with one port and one EndpointSlice.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Endpoints of each Service, at most 100.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
    endpoints: u8,
    /// Changes of EndpointSlices per second. A change replaces one endpoint.
    #[arg(long, default_value_t = 100)]
    changes_per_second: u32,
    /// Duration of the changes, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Downtime of the API server in its restart, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    down_milliseconds: u64,
    /// Write the measurements to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only print the sizes of typical objects.
    #[arg(long)]
    sizes: bool,
    /// Run as the process of the API server.
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> ExitCode {
    match start(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the program. Returns true if all kernels have the desired tables at the end.
fn start(args: Args) -> Result<bool, Box<dyn std::error::Error>> {
    if args.serve {
        server::serve()?;
        return Ok(true);
    }
    if args.sizes {
        println!("{}", sizes::table());
        return Ok(true);
    }
    let report = run::run(Size {
        daemons: args.daemons,
        nodes: args.nodes.unwrap_or(args.daemons),
        own_node: args.own_node,
        services: args.services,
        endpoints: args.endpoints.into(),
        changes_per_second: args.changes_per_second,
        seconds: args.seconds,
        down_milliseconds: args.down_milliseconds,
    })?;
    println!("{}", table::table(&report));
    if let Some(path) = args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(report.converged)
}
