//! Tests of the whole node with packets: the daemon gets objects, and clients and servers of every
//! protocol check the result. To be run by `cargo xtask vm`.
//!
//! - [`packets`]: every probe that was recorded on a node with a real kube-proxy is sent again. It
//!   must end as recorded, or as a listed deviation defines.
//! - [`matrix`]: every kind of address, policy, origin, protocol and family, with expectations that
//!   the test itself states.
//! - The other modules change objects, pods, addresses and the daemon itself while clients send
//!   requests.
//!
//! With `E2E_PROXY=loaded`, cases without changes load the tables that `ipvsctl render` prints
//! instead of running the daemon. With `E2E_IMAGE=DIRECTORY`, `crun` runs the daemon from a bundle
//! of its image, as `cargo xtask image --unpack DIRECTORY` writes it.

mod affinity;
mod arp;
mod beside_foreign;
mod drains;
mod failover;
mod filters;
mod flows;
#[path = "../harness/mod.rs"]
mod harness;
mod health_check_faults;
mod health_checks;
mod health_servers;
mod idle;
mod input;
mod leftovers;
mod matrix;
mod nodes;
mod packets;
mod policy;
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
mod virtual_servers;

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
        health_checks::trials(),
        health_check_faults::trials(),
        udp_drains::trials(),
        policy::trials(),
        idle::trials(),
        leftovers::trials(),
        nodes::trials(),
        beside_foreign::trials(),
        protected::trials(),
        source_ports::trials(),
        arp::trials(),
        failover::trials(),
        traffic_metrics::trials(),
        virtual_servers::trials(),
    ];
    let code = harness::run(trials.into_iter().flatten().collect(), suitable);
    matrix::print();
    packets::print();
    code
}

/// Fails unless there are root privileges, IPVS, and bridge filtering. Makes room for the
/// connections of many probes.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe br_netfilter")?;
    world.tool("modprobe nf_conntrack")?;
    if e2e::image().is_some() {
        // A container has no modprobe, and the kernel does not load these modules by itself. On a
        // node, kubelet loads them for its own rules.
        world.tool("modprobe -a ip_tables ip6_tables")?;
    }
    let room = "/proc/sys/net/netfilter/nf_conntrack_max";
    std::fs::write(room, "1000000").context(|| format!("setting {room}"))?;
    world.tables().map(drop)
}
