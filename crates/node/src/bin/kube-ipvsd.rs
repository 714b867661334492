//! The node daemon.

use std::process::ExitCode;

use clap::Parser as _;
use node::daemon::{Args, main as run};
use tikv_jemallocator::Jemalloc;

/// Tens of thousands of Services are taken in among buffers that live for a moment. jemalloc keeps sizes apart and gives back what
/// is free; glibc's allocator kept a fifth more here, with trimming.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What jemalloc reads when it starts (`malloc_conf`, jemalloc(3), TUNING): one arena, for few threads allocate here, and a thread that gives free
/// memory back after a second. `_RJEM_MALLOC_CONF` in the environment overrides it.
// SAFETY: jemalloc's symbol of this name is a pointer to text that ends with a zero byte, and so is this.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static CONF: &[u8; 70] = b"narenas:1,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    run(&Args::parse())
}
