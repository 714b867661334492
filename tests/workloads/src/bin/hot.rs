//! Runs one workload once, so that callgrind can count its instructions. Without a name it lists the names.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect=hot::measured hot compile/1000x10
//! ```

use std::any::Any;
use std::error::Error;

use workloads::workload::{ALL, Run};

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
    drop(measured(&mut run));
    Ok(())
}

/// What is counted, and nothing else.
#[inline(never)]
fn measured(run: &mut Run) -> Box<dyn Any> {
    std::hint::black_box(run())
}
