//! `cargo xtask bench`: measures the daemon's operations beside other programs and the kernel's
//! limit, in a VM.

mod measured;
mod table;

use clap::Args;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::{self, Project};
use crate::say::say;
use crate::vm::{self, Backend, VmSpec, shell};
use measured::Measured;

/// Default sizes.
const SIZES: &str =
    "100x2,100x10,1000x2,1000x10,1000x250,10000x2,10000x10,10000x10-dual,45000x2,45000x10";

/// Default sizes at which the daemon is measured as a process. Each takes at least seven minutes,
/// five of them with continuous changes.
const DAEMON_SIZES: &str = "100x10,10000x10,45000x2";

/// Default sizes at which health checks are measured. Each takes about six minutes, most of them for
/// failures to be noticed.
const CHECK_SIZES: &str = "100x10";

/// Sizes of `--quick`, which only shows that every part works.
const QUICK_SIZES: &str = "20x2,100x3-dual";

/// Packages of the other programs, in addition to the packages of every guest.
const PACKAGES: [&str; 1] = ["keepalived"];

/// `cargo xtask bench …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                              everything; long, since the other programs take long
  cargo xtask bench --quick                      shows that it runs; a minute
  cargo xtask bench --sizes 10000x10 --runs 5    one size, more often
  cargo xtask bench --daemon-sizes 45000x2       only the daemon as a process
  cargo xtask bench --check-sizes 100x10         only health checks, beside keepalived
  cargo xtask bench --backend qemu --sizes 1000x10

It prints a table and writes target/bench/results.json, table.md, plot.svg and plot.png. Times depend on the machine
and on the kind of VM; compare them within one run.")]
pub(crate) struct Arguments {
    /// Measure small sizes once, to show that it runs
    #[arg(long)]
    quick: bool,
    /// Kernel of the VM
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    backend: Backend,
    /// Sizes, Services x endpoints of each; also the sizes for the daemon unless --daemon-sizes is
    /// given
    #[arg(long, value_name = "LIST", conflicts_with = "quick")]
    sizes: Option<String>,
    /// Sizes at which the daemon is measured as a process; without --sizes only these are measured
    #[arg(long, value_name = "LIST", conflicts_with = "quick")]
    daemon_sizes: Option<String>,
    /// Sizes at which health checks of endpoints are measured; with this or any other sizes only
    /// the given ones are measured
    #[arg(long, value_name = "LIST", conflicts_with = "quick")]
    check_sizes: Option<String>,
    /// Number of runs of each size; for health checks the number of failures
    #[arg(long, value_name = "NUMBER", conflicts_with = "quick")]
    runs: Option<NonZeroU32>,
    /// Passed to the program in the VM
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Arguments {
    /// Returns the sizes at which every part is measured, those at which the daemon is, and those
    /// at which health checks are. A quick run has none of these, since a failure takes long.
    fn sizes(&self) -> [Option<&str>; 3] {
        let checks = self.check_sizes.as_deref();
        match (self.sizes.as_deref(), self.daemon_sizes.as_deref()) {
            (None, None) if checks.is_some() => [None, None, checks],
            (None, None) if self.quick => [Some(QUICK_SIZES), Some(QUICK_SIZES), None],
            (None, None) => [Some(SIZES), Some(DAEMON_SIZES), Some(CHECK_SIZES)],
            (Some(sizes), None) => [Some(sizes), Some(sizes), checks],
            (sizes, daemon_sizes) => [sizes, daemon_sizes, checks],
        }
    }

    /// Returns the guest's shell script. One program measures part by part, the other the daemon as
    /// a process.
    fn script(&self, project: &Project) -> String {
        let runs = if self.quick { 1 } else { 3 };
        let runs = self.runs.map_or(runs, NonZeroU32::get).to_string();
        let mut options = vec!["--runs".to_owned(), runs];
        if self.quick {
            options.extend(["--idle", "1", "--churn", "1"].map(str::to_owned));
        }
        options.extend_from_slice(&self.arguments);
        let [sizes, daemon_sizes, check_sizes] = self.sizes();
        let line = |name: &str, option: &str, sizes: &str| {
            let program = program(project, name).to_string_lossy().into_owned();
            let words = [program, option.to_owned(), sizes.to_owned()];
            let words = words.iter().chain(&options);
            words
                .map(|word| shell::quote(word) + " ")
                .collect::<String>()
        };
        let parts = sizes.map(|sizes| line("bench", "--sizes", sizes));
        let daemon = daemon_sizes.map(|sizes| line("bench-daemon", "--daemon-sizes", sizes));
        let checks = check_sizes.map(|sizes| line("bench-daemon", "--check-sizes", sizes));
        let lines: Vec<String> = [parts, daemon, checks].into_iter().flatten().collect();
        lines.join("\n")
    }
}

/// Measures and prints the table.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let measured = measure(project, arguments)?;
    println!("{}", report(project, &measured)?);
    Ok(0)
}

/// Runs the benchmark at [`QUICK_SIZES`] without asserting times. Returns the number of measured
/// operations.
pub(crate) fn quick(project: &Project) -> Result<usize> {
    let arguments = Arguments {
        quick: true,
        backend: Backend::Uml,
        sizes: None,
        daemon_sizes: None,
        check_sizes: None,
        runs: None,
        arguments: Vec::new(),
    };
    let measured = measure(project, &arguments)?;
    report(project, &measured)?;
    match measured.cases.len() {
        0 => Err(Error::new("the benchmark measured nothing")),
        cases => Ok(cases),
    }
}

/// Writes the results, the table and the plot, and returns the table.
fn report(project: &Project, measured: &Measured) -> Result<String> {
    let folder = project.target.join("bench");
    let table = table::print(measured);
    files::write(&folder.join("results.json"), measured.to_json())?;
    files::write(&folder.join("table.md"), &table)?;
    vm::packages::ensure(&["fonts-dejavu-core"])?;
    let status = Command::new(program(project, "plot"))
        .arg(&folder)
        .status()
        .context(|| "starting the program that plots")?;
    if !status.success() {
        return Err(Error::new(format!("the program that plots: {status}")));
    }
    say(format_args!("results are in {}", folder.display()));
    Ok(table)
}

fn program(project: &Project, name: &str) -> PathBuf {
    project.target.join("release").join(name)
}

/// Runs the benchmark in the VM.
pub(crate) fn measure(project: &Project, arguments: &Arguments) -> Result<Measured> {
    let mut command = project.cargo();
    command
        .args(["build", "--release", "--bins"])
        .args(["-p", "bench", "-p", "node", "-p", "ipvsctl"]);
    project::build(&mut command, "the programs")?;
    let script = arguments.script(project);
    let mut spec = VmSpec::new("bench", ["sh", "-ec", &script].map(str::to_owned).to_vec());
    spec.backend = arguments.backend;
    spec.memory_mib = 8 * 1024;
    spec.timeout = Duration::from_secs(4 * 3600);
    spec.packages = PACKAGES.map(str::to_owned).to_vec();
    spec.files = ["bench", "bench-daemon", "kube-ipvsd", "ipvsctl"]
        .map(|name| program(project, name))
        .to_vec();
    let run = vm::run(project, &spec)?;
    if run.status != 0 {
        return Err(Error::new(format!(
            "the benchmark ended with {}",
            run.status
        )));
    }
    Measured::read(&String::from_utf8_lossy(&run.stdout))
}
