//! A kernel without IPVS. To be run by `cargo xtask vm`, which boots such a kernel for this
//! program.

mod harness;

use std::path::Path;
use std::process::ExitCode;

use e2e::{Failure, Outcome, World, ensure};
use harness::case;

fn main() -> ExitCode {
    let trials = vec![
        case("daemon_names_the_missing_module", daemon),
        case("ipvsctl_names_the_missing_module", ipvsctl),
        case("render_needs_no_kernel", render),
    ];
    harness::run(trials, suitable)
}

/// Fails unless the text names the module and `modprobe`.
fn names_module(text: &str) -> Outcome {
    for word in ["ip_vs", "modprobe"] {
        if !text.contains(word) {
            return Err(Failure::new(format!("{word} is missing in: {text}")));
        }
    }
    Ok(())
}

/// Fails unless there are root privileges and no IPVS.
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
    names_module(&ran.err)?;
    let ran = world
        .run_daemon(&[&"--manifests", &manifests, &"--no-modprobe"])?
        .exits(1)?;
    names_module(&ran.err)
}

fn ipvsctl() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    names_module(&world.ipvsctl(&[&"get", &"servers"])?.exits(2)?.err)?;
    names_module(&world.ipvsctl(&[&"diff", &"-f", &manifests])?.exits(2)?.err)
}

fn render() -> Outcome {
    let world = World::build(0)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let rendered = world.rendered(&manifests, &world.config(&[])?)?;
    // Two families of three protocols; no pods.
    ensure(rendered.ipvs.len() == 6, || format!("{rendered}"))
}
