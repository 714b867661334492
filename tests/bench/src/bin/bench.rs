//! Measures part by part: the daemon's reconciler, other programs, the kernel's limit.

use clap::Parser as _;

::node::daemon_allocator!();

fn main() -> bench::Outcome {
    bench::parts(&bench::Args::parse())
}
