//! `cargo xtask vm`: boots a real kernel for one command.
//!
//! Other project commands call [`run`].

mod arguments;
pub(crate) mod cache;
pub(crate) mod closure;
mod cpio;
mod guard;
mod job;
mod modules;
pub(crate) mod next_kernel;
pub(crate) mod output;
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
    /// Names the log `target/vm/log/NAME.log` and the exchange directory `target/vm/out/NAME`. VMs
    /// that run at the same time need different names.
    pub(crate) name: String,
    /// Kind of kernel.
    pub(crate) backend: Backend,
    /// The guest's memory, in MiB.
    pub(crate) memory_mib: u64,
    /// Time limit of the whole run, after which it is killed.
    pub(crate) timeout: Duration,
    /// Additional environment variables of the command.
    pub(crate) env: Vec<(String, String)>,
    /// Modules that the guest's kernel lacks.
    pub(crate) without_modules: Vec<String>,
    /// Debian packages of this guest, in addition to those of every guest.
    pub(crate) packages: Vec<String>,
    /// A Debian kernel package to boot in QEMU in place of the current cloud kernel.
    pub(crate) kernel: Option<PathBuf>,
    /// Built files that the command needs in addition to those it names. A UML guest sees the whole
    /// project anyway.
    pub(crate) files: Vec<PathBuf>,
    /// Working directory of the command: the project's root, or a directory in it.
    pub(crate) directory: PathBuf,
    /// The command and its arguments, found by the guest's PATH or relative to its directory.
    pub(crate) command: Vec<String>,
    /// Number of the guest among those that this process runs at the same time. UML guests of
    /// consecutive lanes run on different processors; one without a lane runs on the current
    /// processor.
    pub(crate) lane: Option<usize>,
}

impl VmSpec {
    /// Returns the specification of a UML guest of 1 GiB for `command`.
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

/// A completed run.
#[derive(Debug)]
pub(crate) struct VmRun {
    /// Exit status of the command, 128+n if signal n ended it.
    pub(crate) status: u8,
    /// Standard output of the command.
    pub(crate) stdout: Vec<u8>,
    /// Time from the start of the kernel to the start of the command.
    pub(crate) boot: Duration,
}

/// Boots the VM, runs the command and powers off. Forwards the command's output to this process's
/// standard output and standard error.
///
/// # Errors
/// When packages are missing, the guest cannot be built, or the kernel does not boot, stops early
/// or exceeds the time limit. The error has the end of the console and the path of its log.
pub(crate) fn run(project: &Project, spec: &VmSpec) -> Result<VmRun> {
    run_into(project, spec, &Output::Streamed)
}

/// Like [`run`], but collects the command's standard output and standard error in one buffer.
pub(crate) fn run_collected(project: &Project, spec: &VmSpec) -> (Result<VmRun>, Vec<u8>) {
    let output = Output::collected();
    let run = run_into(project, spec, &output);
    (run, output.take())
}

/// Serializes the preparation of machines, which share packages, the root and modules.
static MAKING: Mutex<()> = Mutex::new(());

/// Installs, downloads and builds what a guest of `spec` needs, so that [`run`] finds it.
///
/// # Errors
/// When packages are missing, or the guest cannot be built.
pub(crate) fn prepare(project: &Project, spec: &VmSpec) -> Result {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    match spec.backend {
        Backend::Uml => uml::prepare(project, spec).map(drop),
        Backend::Qemu => qemu::prepare(project, spec).map(drop),
    }
}

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
