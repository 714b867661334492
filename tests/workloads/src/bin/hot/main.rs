//! Runs one workload once, so that callgrind can count its instructions. Without a name it lists
//! the names.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect=hot::measured hot compile/1000x10
//! ```

mod heap;

use std::any::Any;
use std::error::Error;

use workloads::workload::{ALL, Run};

#[cfg(not(test))]
use heap::Heap;

// The test harness has threads.
#[cfg(not(test))]
#[global_allocator]
static HEAP: Heap = Heap::new();

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut counted = ALL.iter().filter(|workload| workload.counted);
    let Some(name) = std::env::args().nth(1) else {
        for workload in counted {
            println!("{workload}");
        }
        return Ok(());
    };
    let workload = counted
        .find(|workload| workload.name == name)
        .ok_or_else(|| format!("no workload {name} is counted"))?;
    let mut run = workload.prepare()?;
    // Runs once in each direction. From then on the heap has free blocks of every size that the
    // work needs.
    for _ in 0..2 {
        drop(run());
    }
    drop(measured(&mut run));
    Ok(())
}

/// Runs only the part that is counted.
#[inline(never)]
fn measured(run: &mut Run) -> Box<dyn Any> {
    std::hint::black_box(run())
}
