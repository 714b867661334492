//! Shared parts of the test programs: cases that run one after the other.

use std::process::ExitCode;

use e2e::Outcome;
use libtest_mimic::{Arguments, Failed, Trial};

/// Runs the trials as the command line asks, if this kernel is `suitable`.
pub(crate) fn run(trials: Vec<Trial>, suitable: fn() -> Outcome) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Worlds do not see each other, but one processor is what there is.
    arguments.test_threads = Some(1);
    if !arguments.list {
        if let Some(missing) = e2e::missing() {
            eprintln!("{missing}");
            return ExitCode::FAILURE;
        }
        if let Err(why) = suitable() {
            eprintln!(
                "{why}\nThese tests need root and a kernel of their own: run `cargo xtask vm`"
            );
            return ExitCode::FAILURE;
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A case by the name of what it shows. When it fails, the ends of the logs of its processes are shown.
pub(crate) fn case(
    name: impl Into<String>,
    case: impl FnOnce() -> Outcome + Send + 'static,
) -> Trial {
    Trial::test(name, move || {
        e2e::forget_logs();
        case().map_err(|failure| Failed::from(format!("{failure}\n{}", e2e::logs())))
    })
}
