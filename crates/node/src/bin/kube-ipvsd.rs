//! The node daemon.

use std::process::ExitCode;

use node::daemon::{Args, main as run};

node::daemon_allocator!();

fn main() -> ExitCode {
    run(&Args::of_process())
}
