//! `cargo xtask demo`: runs the demo in a VM.

use clap::Args;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::image::{self, Built, Profile, Program};
use crate::project::Project;
use crate::say::say;
use crate::vm::{self, Backend, VmSpec};

/// Programs of the demo that the image has not. The first one is the demo.
const OTHERS: [Program; 2] = [
    ("e2e", "kube-ipvs-demo"),
    ("apiserver", "kube-ipvs-test-apiserver"),
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
    let mut spec = VmSpec {
        backend: arguments.backend,
        timeout: Duration::from_secs(300),
        ..VmSpec::new("demo", Vec::new())
    };
    let built = build_and_prepare(project, &spec)?;
    say(format_args!(
        "[2/3] all is built ({:.1} s); the image and the VM take some seconds",
        began.elapsed().as_secs_f64()
    ));
    spec.files = built.into_iter().map(|(_, path)| path).collect();
    spec.command = vec![spec.files[0].to_string_lossy().into_owned()];
    // crun needs the bundle's directory, which only a UML guest sees.
    if arguments.backend == Backend::Uml {
        let bundle = image::test_bundle(project, Profile::Dev)?;
        let bundle = bundle.to_string_lossy().into_owned();
        spec.env.push(("E2E_IMAGE".to_owned(), bundle));
    }
    say("[3/3] the demo, about half a minute");
    let run = vm::run(project, &spec)?;
    say(format_args!(
        "the VM booted in {:.1} s; all took {:.1} s",
        run.boot.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ));
    Ok(run.status)
}

/// Compiles the programs once, as static ones of the dev profile, while packages are installed and the
/// guest is built. Returns the demo first.
fn build_and_prepare(project: &Project, spec: &VmSpec) -> Result<Vec<Built>> {
    say("[1/3] compiling kube-ipvsd, ipvsctl, an API server and the demo, and preparing the VM");
    say("      (some minutes the first time)");
    let programs = [&OTHERS[..], &image::PROGRAMS].concat();
    thread::scope(|scope| {
        let preparing = scope.spawn(|| vm::prepare(project, spec));
        let built = image::compile(project, Profile::Dev, &programs, image::VERSION, &[]);
        let prepared = preparing.join();
        prepared.map_err(|_| Error::new("the VM could not be prepared"))??;
        built
    })
}
