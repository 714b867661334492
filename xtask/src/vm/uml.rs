//! Boots User-Mode Linux: a kernel that is a process of the host, with the host's files as its
//! disk.

use std::fmt::Write as _;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::job::Job;
use super::session::{CONTROL, Machine, STDERR, STDOUT};
use super::{VmSpec, cache, modules, packages, root, shell};
use crate::error::{Error, Result};
use crate::files;
use crate::project::Project;

const MODULES: &str = "/usr/lib/uml/modules";

/// Bytes of processor state that User-Mode Linux keeps for each of its processes.
const KEPT_STATE: u32 = 2696;

/// Source of a small library that handles processors with more state.
const XSTATE: &str = include_str!("uml/xstate.rs");

/// Returns the guest's root and the tree of its modules, built unless they are cached.
pub(super) fn prepare(project: &Project, spec: &VmSpec) -> Result<[PathBuf; 2]> {
    packages::ensure(&["user-mode-linux"])?;
    let root = root::root(project, &spec.packages)?;
    let modules = modules::tree(project, &release()?, &spec.without_modules)?;
    Ok([root, modules])
}

/// Returns the kernel process that will run the job.
pub(super) fn machine(project: &Project, spec: &VmSpec, job: &Job) -> Result<Machine> {
    let [root, modules] = prepare(project, spec)?;
    job.settings(&settings(project, job, &modules))?;
    let mut command = Command::new("linux.uml");
    command
        .arg(format!("mem={}M", spec.memory_mib))
        .args(["root=/dev/root", "rootfstype=hostfs", "ro", "init=/init"])
        .arg(format!("rootflags={}", root.display()))
        .arg(format!("vm_job={}", job.directory.display()))
        .arg(format!("umid={}", spec.name))
        .arg(format!("uml_dir={}", project.vm("uml").display()))
        .args(["con=null", "con0=null,fd:1", "panic=-1"])
        .arg(format!("con1=null,fd:{STDOUT}"))
        .arg(format!("con2=null,fd:{STDERR}"))
        .arg(format!("con3=null,fd:{CONTROL}"));
    if processor_state() > KEPT_STATE {
        command.env("LD_PRELOAD", xstate(project)?);
    }
    let lane = spec.lane;
    // SAFETY: the function allocates nothing and takes no lock, so it may run between fork and
    // exec.
    unsafe { command.pre_exec(move || stay_on_one_processor(lane)) };
    Ok(Machine {
        command,
        archive: None,
    })
}

/// Binds the caller and its children to one processor: that of the lane, or the current one.
///
/// The guest has one processor but is many processes. One of them runs at a time: the kernel and
/// each program hand over to each other at every system call and page fault. If the host runs them
/// on two processors, every handover wakes a sleeping processor. That is four times as slow on a
/// virtual host, and depends on the choices of the host's scheduler.
fn stay_on_one_processor(lane: Option<usize>) -> io::Result<()> {
    const SIZE: usize = size_of::<libc::cpu_set_t>();
    // SAFETY: a cpu_set_t is a bit field, for which zero is a valid value. CPU_SET and CPU_ISSET
    // stay within it, and the calls read and write no more than its size.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, SIZE, &raw mut allowed) < 0 {
            return Err(io::Error::last_os_error());
        }
        let count = usize::try_from(libc::CPU_COUNT(&allowed)).unwrap_or(1);
        let mut processors = (0..SIZE * 8).filter(|cpu| libc::CPU_ISSET(*cpu, &allowed));
        let chosen = match lane {
            Some(lane) => processors.nth(lane % count.max(1)),
            None => usize::try_from(libc::sched_getcpu()).ok(),
        };
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(chosen.ok_or(io::ErrorKind::NotFound)?, &mut set);
        if libc::sched_setaffinity(0, SIZE, &raw const set) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Returns the directory of the installed kernel's modules.
fn release() -> Result<PathBuf> {
    files::entries(Path::new(MODULES))?
        .into_iter()
        .filter(|path| path.join("modules.builtin").exists())
        .max()
        .ok_or_else(|| Error::new(format!("no kernel modules in {MODULES}")))
}

fn settings(project: &Project, job: &Job, modules: &Path) -> String {
    let mut text = String::from(
        "vm_stdout=/dev/tty1 vm_stderr=/dev/tty2 vm_control=/dev/tty3 vm_archive=\n\
         vm_terminals=yes vm_modules=ipv6\nvm_mounts() {\n",
    );
    let mut mount = |host: &Path, guest: &str, mode: &str| {
        let (host, guest) = (shell::quote(&host.to_string_lossy()), shell::quote(guest));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "hostfs {host} {guest} {mode}");
    };
    mount(modules, "/usr/lib/modules", "ro");
    mount(&project.root, &project.root.to_string_lossy(), "ro");
    if !project.target.starts_with(&project.root) {
        mount(&project.target, &project.target.to_string_lossy(), "ro");
    }
    mount(&job.out, "/vm/out", "rw");
    text.push_str("}\n");
    text
}

/// Returns the size in bytes of the processor's state with the features that the host's kernel has
/// enabled.
#[cfg(target_arch = "x86_64")]
fn processor_state() -> u32 {
    // Leaf 13, subleaf 0: EBX is the size of the area for the features now in XCR0.
    std::arch::x86_64::__cpuid_count(13, 0).ebx
}

/// Returns 0: User-Mode Linux exists only for x86. On other processors the error is its missing
/// package.
#[cfg(not(target_arch = "x86_64"))]
fn processor_state() -> u32 {
    0
}

/// Builds the library for `LD_PRELOAD`.
fn xstate(project: &Project) -> Result<PathBuf> {
    let directory = cache::directory(project, "xstate", XSTATE, |directory| {
        let source = directory.join("xstate.rs");
        files::write(&source, XSTATE)?;
        let library = directory.join("libxstate.so");
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let arguments = [
            "--edition=2024",
            "--crate-type=cdylib",
            "-Copt-level=2",
            "-Cpanic=abort",
            "-o",
            &library.to_string_lossy(),
            &source.to_string_lossy(),
        ];
        shell::output(&rustc, &arguments).map(|_| ())
    })?;
    Ok(directory.join("libxstate.so"))
}
