//! `cargo xtask bench`: the daemon's operations beside other programs and the kernel's limit, in a VM.

mod measured;
mod table;

use clap::Args;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::project::{Project, cargo};
use crate::say::say;
use crate::vm::{self, Backend, VmSpec, shell};
use measured::Measured;

/// Sizes that are measured if none are given.
const SIZES: &str =
    "100x2,100x10,1000x2,1000x10,1000x250,10000x2,10000x10,10000x10-dual,45000x2,45000x10";

/// At which of them the daemon is measured as a process: that takes seven minutes and more for each, five of them churn.
const DAEMON_SIZES: &str = "100x10,10000x10,45000x2";

/// Sizes that show that all of it works.
const QUICK_SIZES: &str = "20x2,100x3-dual";

/// Packages that other programs are measured with, besides those of every guest.
const PACKAGES: [&str; 1] = ["keepalived"];

/// `cargo xtask bench …`
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                              everything; long, since the others take long
  cargo xtask bench --quick                      that it runs; a minute
  cargo xtask bench --sizes 10000x10 --runs 5    one size, more often
  cargo xtask bench --daemon-sizes 45000x2       the daemon as a process, and nothing else
  cargo xtask bench --backend qemu --sizes 1000x10

It prints a table and writes target/bench/results.json, table.md, plot.svg and plot.png. Times depend on the machine
and on the kind of VM; compare them within one run.")]
pub(crate) struct Arguments {
    /// Small sizes, once: shows that it runs
    #[arg(long)]
    quick: bool,
    /// The kernel
    #[arg(long, value_enum, default_value_t = Backend::Uml)]
    backend: Backend,
    /// Sizes, Services x endpoints of each; the daemon is measured at them too unless --daemon-sizes says otherwise
    #[arg(long, value_name = "LIST", conflicts_with = "quick")]
    sizes: Option<String>,
    /// Sizes at which the daemon is measured as a process; without --sizes nothing else is
    #[arg(long, value_name = "LIST", conflicts_with = "quick")]
    daemon_sizes: Option<String>,
    /// Number of runs of each
    #[arg(long, value_name = "NUMBER", conflicts_with = "quick")]
    runs: Option<NonZeroU32>,
    /// Passed to the program in the VM
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Arguments {
    /// The sizes of which every part is measured, and those at which the daemon is.
    fn sizes(&self) -> (Option<&str>, Option<&str>) {
        match (self.sizes.as_deref(), self.daemon_sizes.as_deref()) {
            (None, None) if self.quick => (Some(QUICK_SIZES), Some(QUICK_SIZES)),
            (None, None) => (Some(SIZES), Some(DAEMON_SIZES)),
            (Some(sizes), None) => (Some(sizes), Some(sizes)),
            (sizes, daemon_sizes) => (sizes, daemon_sizes),
        }
    }

    /// Returns the script of the guest's shell: one program measures part by part, the other the daemon as a process.
    fn script(&self, project: &Project) -> String {
        let runs = if self.quick { 1 } else { 3 };
        let runs = self.runs.map_or(runs, NonZeroU32::get).to_string();
        let mut options = vec!["--runs".to_owned(), runs];
        if self.quick {
            options.extend(["--idle", "1", "--churn", "1"].map(str::to_owned));
        }
        options.extend_from_slice(&self.arguments);
        let (sizes, daemon_sizes) = self.sizes();
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
        let lines: Vec<String> = parts.into_iter().chain(daemon).collect();
        lines.join("\n")
    }
}

/// Measures and prints.
pub(crate) fn command(project: &Project, arguments: &Arguments) -> Result<u8> {
    let measured = measure(project, arguments)?;
    println!("{}", report(project, &measured)?);
    Ok(0)
}

/// Shows that all of it works: asserts no time. Answers how many operations were measured.
pub(crate) fn quick(project: &Project) -> Result<usize> {
    let arguments = Arguments {
        quick: true,
        backend: Backend::Uml,
        sizes: None,
        daemon_sizes: None,
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

/// Writes the results, the table and the plot, and answers the table.
fn report(project: &Project, measured: &Measured) -> Result<String> {
    let folder = project.target.join("bench");
    fs::create_dir_all(&folder).context(|| format!("creating {}", folder.display()))?;
    let table = table::print(measured);
    write(&folder.join("results.json"), &measured.to_json())?;
    write(&folder.join("table.md"), &table)?;
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

/// Runs the program in the VM.
pub(crate) fn measure(project: &Project, arguments: &Arguments) -> Result<Measured> {
    let status = cargo()
        .args(["build", "--release", "--bins"])
        .args(["-p", "bench", "-p", "node", "-p", "ipvsctl"])
        .current_dir(&project.root)
        .status()
        .context(|| "starting cargo")?;
    if !status.success() {
        return Err(Error::new("the programs cannot be built"));
    }
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

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).context(|| format!("writing {}", path.display()))
}
