//! Test programs in VMs that run side by side.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::libtest::Counts;
use crate::project::Project;
use crate::say::say;
use crate::vm::{self, Backend, VmSpec};

/// Number of User-Mode Linux guests that share a processor. Their tests wait most of the time. A
/// guest of QEMU is emulated and has a processor for itself.
const PER_PROCESSOR: usize = 2;

/// Runs each test program in its VM and returns the sum of their counts. As many VMs run at a time
/// as fit on the processors. Programs with the longest time limits start first.
///
/// Prints the output of a program when the program has ended. The output of a single program is
/// printed as it arrives.
pub(crate) fn run(project: &Project, mut specs: Vec<VmSpec>) -> Counts {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let emulated = specs.iter().any(|spec| spec.backend == Backend::Qemu);
    let share = if emulated { 1 } else { PER_PROCESSOR };
    let lanes = (share * processors).min(specs.len());
    specs.sort_by_key(|spec| spec.timeout);
    let (queue, sum) = (Mutex::new(specs), Mutex::new(Counts::default()));
    thread::scope(|scope| {
        for lane in 0..lanes {
            let (queue, sum) = (&queue, &sum);
            scope.spawn(move || {
                loop {
                    // The lock is not held while the VM runs.
                    let next = lock(queue).pop();
                    let Some(mut spec) = next else { return };
                    spec.lane = (lanes > 1).then_some(lane);
                    let counts = one(project, &spec);
                    *lock(sum) += counts;
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one test program in its VM and prints its result.
fn one(project: &Project, spec: &VmSpec) -> Counts {
    let started = Instant::now();
    say(format_args!("VM {}: started", spec.name));
    let run = match spec.lane {
        None => vm::run(project, spec),
        Some(_) => {
            let (run, output) = vm::run_collected(project, spec);
            // A closed standard output is ignored.
            let _ = std::io::stdout().lock().write_all(&output);
            run
        }
    };
    let (counts, boot) = match run {
        Ok(run) => {
            let output = String::from_utf8_lossy(&run.stdout);
            (Counts::of_program(&output, run.status == 0), run.boot)
        }
        Err(error) => {
            say(format_args!("VM {}: {error}", spec.name));
            return Counts::failed_run();
        }
    };
    say(format_args!(
        "VM {}: {} passed, {} failed in {:.1} s, booted in {:.1} s",
        spec.name,
        counts.passed,
        counts.failed,
        started.elapsed().as_secs_f64(),
        boot.as_secs_f64(),
    ));
    counts
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
