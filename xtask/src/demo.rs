//! `cargo xtask demo`: runs the demo in a VM.

use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::image;
use crate::project::{self, Project};
use crate::say::say;
use crate::vm::{self, Backend, VmSpec};

/// Programs of the demo, and their packages.
const PROGRAMS: [(&str, &str); 4] = [
    ("kube-ipvs-demo", "e2e"),
    ("kube-ipvsd", "node"),
    ("ipvsctl", "ipvsctl"),
    ("kube-ipvs-test-apiserver", "apiserver"),
];

/// `cargo xtask demo …`
#[derive(Args)]
#[command(after_help = "\
It builds the programs and the container image, boots a VM and reports each step: a shop of Services
on one node, kube-ipvsd from its image, requests that are spread over pods, a node port and a load balancer, endpoints
that are added and removed, a deletion by hand that is repaired, a broken node that `ipvsctl`
explains, and a cleanup. Debian packages
that are missing are installed if you are root, else named. The exit status is 0 if every check holds.")]
pub(crate) struct Arguments {
    /// Kernel of the VM
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    backend: Backend,
}

/// Runs the demo. The exit status is that of the demo.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let began = Instant::now();
    say("building kube-ipvsd, ipvsctl, an API server and the demo (some minutes the first time)");
    build(project)?;
    let built = began.elapsed();
    say(format_args!(
        "built in {:.1} s; booting a VM",
        built.as_secs_f64()
    ));
    let files: Vec<PathBuf> = PROGRAMS
        .iter()
        .map(|(name, _)| project.target.join("debug").join(name))
        .collect();
    let program = files[0].to_string_lossy().into_owned();
    let env = match arguments.backend {
        // crun needs the bundle's directory, which only a UML guest sees.
        Backend::Uml => {
            let bundle = image::test_bundle(project)?;
            vec![(
                "E2E_IMAGE".to_owned(),
                bundle.to_string_lossy().into_owned(),
            )]
        }
        Backend::Qemu => Vec::new(),
    };
    let spec = VmSpec {
        backend: arguments.backend,
        env,
        timeout: Duration::from_secs(300),
        files,
        ..VmSpec::new("demo", vec![program])
    };
    let run = vm::run(project, &spec)?;
    say(format_args!(
        "the VM booted in {:.1} s; all took {:.1} s",
        run.boot.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ));
    Ok(run.status)
}

fn build(project: &Project) -> Result {
    let packages = PROGRAMS.iter().flat_map(|(_, package)| ["-p", package]);
    let mut command = project.cargo();
    command.args(["build", "--quiet", "--bins"]).args(packages);
    project::build(&mut command, "the programs")
}
