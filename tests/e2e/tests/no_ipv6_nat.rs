//! A kernel without the table `nat` of IPv6: to be run by `cargo xtask vm`, which boots one for this program.

mod harness;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use e2e::{Outcome, World, ensure, get_text};
use harness::case;

fn main() -> ExitCode {
    let trials = vec![case("ipv4_is_served_and_the_rest_is_reported_once", served)];
    harness::run(trials, suitable)
}

/// Root, IPVS, and no such table.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tables()?;
    ensure(
        world.tool("ip6tables -t nat -S").is_err(),
        || "this kernel has the table nat of IPv6",
    )
}

fn served() -> Outcome {
    let world = World::build(2)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&["syncPeriod: 2s"])?;
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    world.serves_ipv4(&manifests, &config)?;
    let rules = world.tool("iptables-save -t nat")?;
    ensure(rules.contains("-A KUBE-SERVICES"), || rules.clone())?;
    // Several lists and attempts.
    thread::sleep(Duration::from_secs(15));
    let health = SocketAddr::from(([127, 0, 0, 1], 10256));
    for path in ["/livez", "/readyz", "/healthz"] {
        get_text(&world.node, health, path)?;
    }
    let told = (daemon.log()).matches("no packet filter for IPv6").count();
    ensure(told == 1, || format!("it was reported {told} times"))
}
