//! `cargo xtask`: every project command, in Rust.

mod bench;
mod bless;
mod demo;
mod e2e;
mod error;
mod files;
mod image;
mod instructions;
mod libtest;
mod manifests;
mod markdown;
mod passthrough;
mod project;
mod say;
mod site;
mod test;
mod tidy;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

use crate::error::Result;
use crate::project::Project;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Every project command"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a shop of Services served by kube-ipvsd in a VM
    Demo(demo::Arguments),
    /// Boot a real kernel and run a command, or the VM tests, inside it as root
    Vm(vm::Arguments),
    /// Run every check and every test, the VM included
    Test(test::Arguments),
    /// Run the tests that send packets, on a chosen kernel
    E2e(e2e::Arguments),
    /// Time the daemon beside other programs and the kernel's limit, in a VM
    Bench(bench::Arguments),
    /// Write the container image, without a container engine
    Image(image::Arguments),
    /// Write the files of a release: archive, image, bill of materials, checksums
    Dist(image::dist::Arguments),
    /// Simulate a node with faults and check the laws of its loop
    Simulate(passthrough::Arguments),
    /// Pass mutated inputs to the decoders and parsers
    Fuzz(passthrough::Arguments),
    /// Check the structure of the sources, the manifests and the pages
    Tidy,
    /// Build the documentation as a website, in target/site
    Site,
    /// Write the results of the conformance scenarios into them, or the counted instructions
    Bless(bless::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(command: Command) -> Result<u8> {
    let project = Project::find()?;
    match command {
        Command::Demo(arguments) => demo::command(&project, &arguments),
        Command::Vm(arguments) => {
            let spec = arguments.spec();
            match spec.command.is_empty() {
                true => test::vm_targets(&project, &spec, &[], &[]),
                false => Ok(vm::run(&project, &spec)?.status),
            }
        }
        Command::Test(arguments) => test::command(&project, &arguments),
        Command::E2e(arguments) => e2e::command(&project, &arguments),
        Command::Bench(arguments) => bench::command(&project, &arguments),
        Command::Image(arguments) => image::command(&project, &arguments),
        Command::Dist(arguments) => image::dist::command(&project, &arguments),
        Command::Simulate(arguments) => {
            passthrough::command(&project, passthrough::SIMULATE, &arguments)
        }
        Command::Fuzz(arguments) => passthrough::command(&project, passthrough::FUZZ, &arguments),
        Command::Tidy => tidy::command(&project),
        Command::Site => site::command(&project),
        Command::Bless(arguments) => bless::command(&project, &arguments),
    }
}
