//! Loads output of `ipvsctl render` into a real kernel with standard tools, and sends packets:
//! which pods answer, and which source address they see. To be run by `cargo xtask vm`.
//!
//! All cases share one [`site::Site`]. Each [`cell`] gets requests over IPv4 and IPv6 and over
//! every protocol at the same time. Cases of [`kernel`] remove something, check what breaks without
//! it, and restore it.

mod cell;
#[path = "../harness/mod.rs"]
mod harness;
mod inside;
mod kernel;
mod objects;
mod outside;
mod policy;
mod ranges;
mod readback;
mod refusals;
mod site;

use std::process::ExitCode;

use e2e::{Outcome, World};
use harness::case;
use libtest_mimic::Trial;

fn main() -> ExitCode {
    let mut trials = readback::trials();
    let cells = [
        inside::cells(),
        outside::cells(),
        policy::cells(),
        ranges::cells(),
        refusals::cells(),
    ];
    trials.extend(cells.into_iter().flatten().map(cell::Cell::trial));
    trials.extend(kernel::trials());
    harness::run(trials, suitable)
}

/// Fails unless there are root privileges, IPVS, and bridge filtering.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe br_netfilter")?;
    world.tables().map(drop)
}

/// Returns a case that uses the shared site.
fn with_site(name: &str, work: fn(&site::Site) -> Outcome) -> Trial {
    case(name, move || work(site::site()?))
}
