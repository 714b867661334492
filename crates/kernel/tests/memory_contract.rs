//! The contract suite on the kernel in memory.

use std::process::ExitCode;

use kernel::MemoryKernel;
use kernel::contract::cases;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = cases().into_iter().map(|(name, case)| {
        Trial::test(name, move || {
            case(&mut MemoryKernel::new());
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
