//! Measures the daemon as a process. This process has the API server and uses the C library's
//! allocator, which fills memory in the order of addresses: User-Mode Linux then needs fewer
//! mappings of the host for tens of thousands of objects.

use clap::Parser as _;

fn main() -> bench::Outcome {
    bench::daemon(&bench::Args::parse())
}
