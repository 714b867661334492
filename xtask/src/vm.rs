//! `cargo xtask vm`: a real kernel for one command.
//!
//! [`run`] is what other project commands call.

mod arguments;
pub(crate) mod cache;
pub(crate) mod closure;
mod cpio;
mod guard;
mod job;
mod modules;
pub(crate) mod next_kernel;
mod output;
pub(crate) mod packages;
mod qemu;
mod root;
mod session;
pub(crate) mod shell;
mod uml;

pub(crate) use arguments::Arguments;
pub(crate) use arguments::Backend;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::project::Project;
use output::Output;

/// The kernel to boot and the command to run in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VmSpec {
    /// Names the log `target/vm/log/NAME.log` and the exchange directory `target/vm/out/NAME`; two VMs
    /// that run at the same time need two names.
    pub(crate) name: String,
    /// Kind of kernel.
    pub(crate) backend: Backend,
    /// The guest's memory, in MiB.
    pub(crate) memory_mib: u64,
    /// Time limit of the whole run, after which it is killed.
    pub(crate) timeout: Duration,
    /// More environment for the command.
    pub(crate) env: Vec<(String, String)>,
    /// Modules that this guest's kernel does not have.
    pub(crate) without_modules: Vec<String>,
    /// Debian packages that this guest has besides those that every guest has.
    pub(crate) packages: Vec<String>,
    /// A Debian kernel package to boot in QEMU in place of the current cloud kernel.
    pub(crate) kernel: Option<PathBuf>,
    /// Built files that the command needs besides those it names; UML sees all of the project anyway.
    pub(crate) files: Vec<PathBuf>,
    /// Where the command starts: the project's root, or a directory in it.
    pub(crate) directory: PathBuf,
    /// The command and its arguments, found by the guest's PATH or relative to its directory.
    pub(crate) command: Vec<String>,
    /// The guest's number among those that this process runs at the same time: UML guests of two lanes run on two
    /// processors. A guest without a lane runs on the processor that started it.
    pub(crate) lane: Option<usize>,
}

impl VmSpec {
    /// A UML guest of 1 GiB for `command`.
    pub(crate) fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        VmSpec {
            name: name.into(),
            backend: Backend::Uml,
            memory_mib: 1024,
            timeout: Duration::from_secs(600),
            env: Vec::new(),
            without_modules: Vec::new(),
            packages: Vec::new(),
            kernel: None,
            files: Vec::new(),
            directory: PathBuf::new(),
            command,
            lane: None,
        }
    }
}

/// A run that came to its end.
#[derive(Debug)]
pub(crate) struct VmRun {
    /// The command's exit status, 128+n where signal n ended it.
    pub(crate) status: u8,
    /// Standard output of the command.
    pub(crate) stdout: Vec<u8>,
    /// From the start of the kernel to the start of the command.
    pub(crate) boot: Duration,
}

/// Boots, runs the command, powers off. The command's output goes to this process's own as it comes.
///
/// # Errors
/// When packages are missing, the guest cannot be built, or the kernel does not boot, stops early or
/// runs out of time; the error then holds the end of the console and the path of its log.
pub(crate) fn run(project: &Project, spec: &VmSpec) -> Result<VmRun> {
    run_into(project, spec, &Output::Streamed)
}

/// Like [`run`], and collects the command's standard output and standard error, in the order they come.
pub(crate) fn run_collected(project: &Project, spec: &VmSpec) -> (Result<VmRun>, Vec<u8>) {
    let output = Output::collected();
    let run = run_into(project, spec, &output);
    (run, output.take())
}

/// Serialises the making of machines: they share packages, the root and the modules.
static MAKING: Mutex<()> = Mutex::new(());

fn run_into(project: &Project, spec: &VmSpec, output: &Output) -> Result<VmRun> {
    let job = job::Job::create(project, spec)?;
    let machine = {
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        match spec.backend {
            Backend::Uml => uml::machine(project, spec, &job),
            Backend::Qemu => qemu::machine(project, spec, &job),
        }
    };
    let ended = machine.and_then(|machine| session::run(machine, spec, &job, output));
    job.finish(ended.as_ref().is_ok_and(|run| run.status == 0))?;
    ended
}
