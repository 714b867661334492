//! A kernel without IPVS: to be run by `cargo xtask vm`, which boots one for this program.

mod harness;

use std::path::Path;
use std::process::ExitCode;

use e2e::{Failure, Outcome, World, ensure};
use harness::case;

fn main() -> ExitCode {
    let trials = vec![
        case("daemon_says_what_is_missing", daemon),
        case("ipvsctl_says_what_is_missing", ipvsctl),
        case("render_needs_no_kernel", render),
    ];
    harness::run(trials, suitable)
}

/// The module, and how to get it.
fn told(text: &str) -> Outcome {
    for word in ["ip_vs", "modprobe"] {
        if !text.contains(word) {
            return Err(Failure::new(format!("no {word} in {text}")));
        }
    }
    Ok(())
}

/// Root, and no IPVS.
fn suitable() -> Outcome {
    World::build(0)?;
    ensure(
        !Path::new("/proc/net/ip_vs").exists(),
        || "this kernel has IPVS",
    )
}

fn daemon() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let ran = world.run_daemon(&[&"--manifests", &manifests])?.exits(1)?;
    told(&ran.err)?;
    let ran = world
        .run_daemon(&[&"--manifests", &manifests, &"--no-modprobe"])?
        .exits(1)?;
    told(&ran.err)
}

fn ipvsctl() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    told(&world.ipvsctl(&[&"get", &"servers"])?.exits(2)?.err)?;
    told(&world.ipvsctl(&[&"diff", &"-f", &manifests])?.exits(2)?.err)
}

fn render() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let rendered = world.rendered(&manifests, &world.config(&[])?)?;
    // Two families of three protocols; no pods.
    ensure(rendered.ipvs.len() == 6, || format!("{rendered}"))
}
