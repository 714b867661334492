//! Tests with packets and a real kernel. To be run by `cargo xtask vm`.
//!
//! The cases run one after the other, each in a world of its own.

mod changes;
mod cluster;
mod crash;
mod descriptors;
mod doctor;
mod drift;
mod families;
mod faults;
mod files;
#[path = "../harness/mod.rs"]
mod harness;
mod import;
mod kernel_faults;
mod lifecycle;
mod lockout;
mod migrate;
mod mistakes;
mod outage;
mod schedulers;
mod second_proxy;
mod watch;

use std::process::ExitCode;

use e2e::{Outcome, World};
use harness::case;

fn main() -> ExitCode {
    if let Ok(addresses) = std::env::var(descriptors::FLOOD) {
        return match descriptors::flood(&addresses) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    if let Ok(address) = std::env::var(second_proxy::KUBE_PROXY) {
        second_proxy::kube_proxy(&address);
    }
    let trials = [
        schedulers::trials(),
        changes::trials(),
        files::trials(),
        import::trials(),
        families::trials(),
        faults::trials(),
        crash::trials(),
        descriptors::trials(),
        doctor::trials(),
        drift::trials(),
        kernel_faults::trials(),
        lifecycle::trials(),
        lockout::trials(),
        migrate::trials(),
        mistakes::trials(),
        outage::trials(),
        second_proxy::trials(),
        watch::trials(),
    ];
    harness::run(trials.into_iter().flatten().collect(), suitable)
}

/// Fails unless there are root privileges and IPVS.
fn suitable() -> Outcome {
    World::build(0)?.tables().map(drop)
}
