//! Shared parts of the test programs: they run their cases one after the other.

use std::process::ExitCode;

use e2e::Outcome;
use libtest_mimic::{Arguments, Failed, Trial};

/// Runs the trials as the command line specifies, if `suitable` accepts this kernel.
pub(crate) fn run(trials: Vec<Trial>, suitable: fn() -> Outcome) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let trials = match std::env::var("VM_SHARD") {
        Ok(shard) => match e2e::of_shard(trials, &shard) {
            Ok(trials) => trials,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        },
        Err(_) => trials,
    };
    // Worlds do not affect each other, but the machine has only one processor.
    arguments.test_threads = Some(1);
    if !arguments.list {
        if let Some(missing) = e2e::missing() {
            eprintln!("{missing}");
            return ExitCode::FAILURE;
        }
        if let Err(error) = suitable() {
            eprintln!(
                "{error}\nThis machine cannot run these tests, and none was run: they need root privileges and a kernel of their own. Run them with `cargo xtask vm`"
            );
            return ExitCode::FAILURE;
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    println!("time limits were stretched to {} % at most", e2e::slowest());
    conclusion.exit_code()
}

/// Returns a case; its name states what it shows. If it fails, the ends of the logs of its
/// processes are printed.
pub(crate) fn case(
    name: impl Into<String>,
    case: impl FnOnce() -> Outcome + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        e2e::forget_logs();
        e2e::measure();
        case().map_err(|failure| Failed::from(format!("{failure}\n{}", e2e::logs())))
    })
}
