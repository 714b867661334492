//! Output of `ipvsctl render`, put into a real kernel by the operator's own tools, and then packets: who answers, and which
//! source address the pod sees. To be run by `cargo xtask vm`.
//!
//! All cases share one [`site::Site`]. Each [`cell`] is asked over IPv4 and IPv6 and over every
//! protocol at the same time. Cases of [`kernel`] take something away, see what breaks without it, and
//! put it back.

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

/// Root, IPVS, and bridges whose packets the filter sees.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe br_netfilter")?;
    world.tables().map(drop)
}

/// A case with the site.
fn with_site(name: &str, work: fn(&site::Site) -> Outcome) -> Trial {
    case(name, move || work(site::site()?))
}
