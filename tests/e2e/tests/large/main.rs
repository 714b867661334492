//! Many Services and many connections. To be run by `cargo xtask vm`.

#[path = "../harness/mod.rs"]
mod harness;
mod repair;
mod rolling;
mod tenants;

use std::process::ExitCode;

use e2e::{Context as _, Outcome, World};
use harness::case;

fn main() -> ExitCode {
    let trials = [repair::trials(), rolling::trials(), tenants::trials()];
    harness::run(trials.into_iter().flatten().collect(), suitable)
}

/// Fails unless there are root privileges and IPVS. Makes room for many connections.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe nf_conntrack")?;
    let room = "/proc/sys/net/netfilter/nf_conntrack_max";
    std::fs::write(room, "1000000").context(|| format!("setting {room}"))?;
    world.tables().map(drop)
}
