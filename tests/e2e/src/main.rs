//! `kube-ipvs-demo`: a shop behind virtual addresses, run by `cargo xtask demo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(missing) = e2e::missing() {
        eprintln!("{missing}");
        return ExitCode::FAILURE;
    }
    match e2e::demo::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("\nFAILED: {failure}\n{}", e2e::logs());
            ExitCode::FAILURE
        }
    }
}
