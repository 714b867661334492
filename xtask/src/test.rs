//! `cargo xtask test`: runs every check and every test, one step after the other.

mod lanes;
mod steps;
mod targets;

use clap::{Args, ValueEnum};
use std::time::Instant;

use crate::error::Result;
use crate::libtest::Counts;
use crate::project::Project;
use crate::say::say;
use crate::vm::{Backend, VmSpec};

/// `cargo xtask test …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                                 everything
  cargo xtask test --only fmt --only clippy        two steps
  cargo xtask test --only vm --target contract     one VM test program
  cargo xtask test --only vm --backend qemu        the VM tests on Debian's cloud kernel
  cargo xtask test --only unit -- parse            tests whose name contains `parse`
  cargo xtask test --only instructions -- diff     workloads whose name contains `diff`

The last line is the sum of the test programs' own counts: `N passed, N failed`. A check or a program that
fails without counts is one failed.")]
pub(crate) struct Arguments {
    /// Run only this step; may be given several times
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Step>,
    /// Kernel of the VM tests
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    pub(crate) backend: Backend,
    /// Run only the VM test programs of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Vec<String>,
    /// Arguments for the test programs
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

/// A step, in the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// cargo fmt
    Fmt,
    /// Structure of the sources
    Tidy,
    /// Kustomizations, Helm chart, alerts and dashboard with the programs that read them
    Manifests,
    /// Licences, sources and duplicates of dependencies
    Deny,
    /// cargo clippy, warnings are errors
    Clippy,
    /// Unit, property and conformance tests, and examples in documents
    Unit,
    /// Instructions of the pure parts' workloads, compared with the baseline
    Instructions,
    /// Tests that need a kernel with IPVS
    Vm,
    /// Some of the VM tests on other kernels, with the other packet filter
    Smoke,
    /// Run of the benchmark; no time is asserted
    Bench,
}

/// Result of a step.
pub(crate) enum Outcome {
    /// A check without its own tests that found nothing.
    Clean,
    /// A check that found something, or a step that could not complete.
    Failed(String),
    /// Tests ran.
    Tests(Counts),
    /// Could not run on this machine; neither passed nor failed.
    NotRun(String),
}

/// Runs the steps. The exit status is 1 if anything failed.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let steps: Vec<Step> = Step::value_variants()
        .iter()
        .copied()
        .filter(|step| arguments.only.is_empty() || arguments.only.contains(step))
        .collect();
    let (mut sum, mut remarks) = (Counts::default(), Vec::new());
    for (n, step) in steps.iter().enumerate() {
        let (started, name) = (Instant::now(), title(*step));
        say(format_args!("[{}/{}] {name}", n + 1, steps.len()));
        let outcome = steps::run(project, arguments, *step)
            .unwrap_or_else(|error| Outcome::Failed(error.to_string()));
        let end = match outcome {
            Outcome::Clean => "nothing to complain about".to_owned(),
            Outcome::Failed(why) => {
                sum.failed += 1;
                remarks.push(format!("{name}: {why}"));
                format!("FAILED: {why}")
            }
            Outcome::Tests(counts) => {
                let end = format!("{} passed, {} failed", counts.passed, counts.failed);
                if counts.failed > 0 {
                    remarks.push(format!("{name}: {} failed", counts.failed));
                }
                remarks.extend(counts.reasons.iter().map(|why| format!("FAILED: {why}")));
                sum += counts;
                end
            }
            Outcome::NotRun(why) => {
                remarks.push(format!("{name}: not run, {why}"));
                format!("NOT RUN: {why}")
            }
        };
        say(format_args!(
            "{end} ({:.1} s)",
            started.elapsed().as_secs_f64()
        ));
    }
    if sum.ignored > 0 {
        remarks.push(format!("{} tests are marked to be ignored", sum.ignored));
    }
    for remark in remarks {
        say(remark);
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    Ok(u8::from(sum.failed > 0))
}

/// Runs the VM tests of these names, or all without names, in VMs as `spec` describes.
pub(crate) fn vm_targets(
    project: &Project,
    spec: &VmSpec,
    names: &[String],
    arguments: &[String],
) -> Result<u8> {
    let counts = steps::vm(project, spec, names, arguments)?;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    Ok(u8::from(counts.failed > 0))
}

fn title(step: Step) -> &'static str {
    match step {
        Step::Fmt => "formatting",
        Step::Tidy => "shape of the sources",
        Step::Manifests => "manifests with kustomize, Helm and promtool",
        Step::Deny => "licences and sources of dependencies",
        Step::Clippy => "clippy",
        Step::Unit => "unit, property and conformance tests",
        Step::Instructions => "instructions of the pure parts",
        Step::Vm => "tests in the VM",
        Step::Smoke => "some of these on Debian's kernels, with iptables-nft",
        Step::Bench => "the benchmark, small",
    }
}
