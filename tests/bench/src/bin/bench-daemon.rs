//! Measures the daemon as a process. The API server is in this one, with the C library's allocator: it fills memory in the order of its
//! addresses, of which User-Mode Linux needs fewer mappings of the host for tens of thousands of objects.

use clap::Parser as _;

fn main() -> bench::Outcome {
    bench::daemon(&bench::Args::parse())
}
