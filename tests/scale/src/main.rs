//! Many daemons on one API server: what they ask of it, how fast they follow, what a restart costs.
//!
//! `cargo run --release -p scale -- --daemons 50 --services 1000`
//!
//! The API server, and whoever writes to it, is a process of its own. The daemons share this one: each is a
//! whole pipeline with its own connections, the node's loop on its own thread and a kernel in memory; they
//! share a tokio runtime, which a real daemon has for itself.

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

/// Runs many daemons with kernels in memory on the test API server, and measures.
#[derive(Debug, Parser)]
struct Args {
    /// Number of daemons.
    #[arg(long, default_value_t = 50)]
    daemons: usize,
    /// Number of Nodes; as many as daemons, unless given. Each is changed every 300 s, as kubelets do.
    #[arg(long)]
    nodes: Option<usize>,
    /// Daemons watch their own Node only, as with `watchedNodes: own`.
    #[arg(long)]
    own_node: bool,
    /// Number of Services, each with one port and one EndpointSlice.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Endpoints of each Service, at most 100.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
    endpoints: u8,
    /// Changes of EndpointSlices per second: one endpoint is replaced.
    #[arg(long, default_value_t = 100)]
    changes_per_second: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Time for which the API server is down when it restarts, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    down_milliseconds: u64,
    /// Write what was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Print how large typical objects are, and do nothing else.
    #[arg(long)]
    sizes: bool,
    /// Be the API server's process.
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

/// Runs what the arguments ask for; returns true if all kernels were in the end as the cluster asks.
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
