//! The whole node by packets: the daemon is given objects, and sockets of every protocol say what became of them. To be
//! run by `cargo xtask vm`.
//!
//! - [`packets`]: every probe that was sent on a node of a real kube-proxy is sent again, and ends as it did then, or as
//!   a listed deviation says.
//! - [`matrix`]: every kind of address, policy, asker, protocol and family, by rules that the test itself states.
//! - The others change objects, pods, addresses and the daemon itself while clients ask.
//!
//! `E2E_PROXY=loaded` puts tables that `ipvsctl render` prints into the kernel instead of running the daemon, where
//! nothing changes. `E2E_IMAGE=DIRECTORY` runs the daemon by `crun` from a bundle of its image, as
//! `cargo xtask image --unpack DIRECTORY` writes it.

mod affinity;
mod arp;
mod beside_foreign;
mod drains;
mod filters;
mod flows;
#[path = "../harness/mod.rs"]
mod harness;
mod input;
mod leftovers;
mod matrix;
mod nodes;
mod packets;
mod protected;
mod proxy;
mod ranges;
mod refusals;
mod rollout;
mod service;
mod source_ports;
mod stage;
mod traffic_metrics;
mod udp_drains;

use std::process::ExitCode;

use e2e::{Context as _, Outcome, World};
use harness::case;

fn main() -> ExitCode {
    let trials = [
        packets::trials(),
        matrix::trials(),
        ranges::trials(),
        affinity::trials(),
        refusals::trials(),
        filters::trials(),
        input::trials(),
        flows::trials(),
        rollout::trials(),
        drains::trials(),
        udp_drains::trials(),
        leftovers::trials(),
        nodes::trials(),
        beside_foreign::trials(),
        protected::trials(),
        source_ports::trials(),
        arp::trials(),
        traffic_metrics::trials(),
    ];
    let code = harness::run(trials.into_iter().flatten().collect(), suitable);
    matrix::print();
    packets::print();
    code
}

/// Root, IPVS, bridges whose packets the filter sees, and room for the connections of many probes.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe br_netfilter")?;
    world.tool("modprobe nf_conntrack")?;
    if e2e::image().is_some() {
        // A container has no modprobe, and this is one that the kernel does not load by itself. On a node kubelet, which
        // writes rules of its own, has done so.
        world.tool("modprobe -a ip_tables ip6_tables")?;
    }
    let room = "/proc/sys/net/netfilter/nf_conntrack_max";
    std::fs::write(room, "1000000").context(|| format!("setting {room}"))?;
    world.tables().map(drop)
}
