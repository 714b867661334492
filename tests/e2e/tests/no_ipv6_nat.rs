//! A kernel without table `nat` for IPv6. To be run by `cargo xtask vm`, which boots such a kernel
//! for this program.

mod harness;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use e2e::{Outcome, World, ensure, get_text};
use harness::case;

fn main() -> ExitCode {
    let trials = vec![case("ipv4_is_served_with_one_warning", served)];
    harness::run(trials, suitable)
}

/// Fails unless there are root privileges, IPVS, and no table `nat` for IPv6.
fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tables()?;
    ensure(
        world.tool("ip6tables -t nat -S").is_err(),
        || "this kernel has table nat for IPv6",
    )
}

fn served() -> Outcome {
    let world = World::build(2)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&["syncPeriod: 2s"])?;
    let once = world.run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?;
    once.exits(0)?;
    let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    world.serves_ipv4(&manifests, &config)?;
    let rules = world.tool("iptables-save -t nat")?;
    ensure(rules.contains("-A KUBE-SERVICES"), || rules.clone())?;
    // Time for several lists and audits.
    thread::sleep(Duration::from_secs(15));
    let health = SocketAddr::from(([127, 0, 0, 1], 10256));
    for path in ["/livez", "/readyz", "/healthz"] {
        get_text(&world.node, health, path)?;
    }
    let tables = world.tables()?;
    let of_ipv6 = tables.ipvs.iter().filter(|line| line.contains('['));
    ensure(of_ipv6.count() == 0, || format!("{tables:?}"))?;
    let log = daemon.log();
    let count = log.matches("KIV0408 warning").count();
    let reason = log.contains("the packet filter has no table nat for IPv6");
    ensure(count == 1 && reason && !log.contains("ERROR"), || {
        format!("expected one report KIV0408, found {count}; log:\n{log}")
    })?;
    let lines = log.lines().count();
    ensure(lines < 40, || format!("the log has {lines} lines:\n{log}"))?;
    world.doctor_misses_ipv6(&config)?;
    drop(daemon);
    world.cleans_up(&config)
}
