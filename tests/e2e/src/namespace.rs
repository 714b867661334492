//! Network namespaces without names: they vanish with the last process and file that hold them.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use support::namespace;

use crate::failure::{Context as _, Failure, Outcome};
use crate::process::run_with_input;

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new one whose `lo` is up and which needs no time to take an IPv6 address.
    ///
    /// # Errors
    /// If this process is not root, or the kernel has no network namespaces.
    pub fn create() -> Outcome<Self> {
        let file = namespace::create().context(|| "making a network namespace (root is needed)")?;
        let namespace = Self { file };
        for interfaces in ["all", "default"] {
            namespace.sysctl(&format!("ipv6/conf/{interfaces}/accept_dad"), "0")?;
        }
        namespace.ip(&["link set lo up"])?;
        Ok(namespace)
    }

    /// Runs `work` in this namespace, on a new thread. Threads that `work` starts stay in the
    /// namespace.
    ///
    /// # Panics
    /// As `work` does, and where the namespace cannot be entered.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        namespace::within(&self.file, work)
    }

    /// A command that will run in this namespace.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = self.file.as_raw_fd();
        // SAFETY: setns is only a system call, which is allowed between fork and exec. The file is
        // open in the child as long as it is open here, and the caller that starts the command
        // holds the namespace.
        unsafe { command.pre_exec(move || namespace::enter(BorrowedFd::borrow_raw(file))) };
        command
    }

    /// Runs lines of `ip`, all in one go.
    ///
    /// # Errors
    /// At the first line that `ip` refuses.
    pub fn ip(&self, lines: &[impl AsRef<str>]) -> Outcome {
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let mut command = self.command("ip");
        command.args(["-batch", "-"]);
        let ran = run_with_input(command, &lines.join("\n"))?;
        if ran.status == 0 {
            Ok(())
        } else {
            Err(Failure::new(format!("ip: {}", ran.err.trim())))
        }
    }

    /// Sets `/proc/sys/net/NAME`.
    ///
    /// # Errors
    /// If the kernel lacks the setting or rejects the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Outcome {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| std::fs::write(&path, value))
            .context(|| format!("setting {path} to {value}"))
    }

    /// Takes the limits off ICMP: what a refusal is must not depend on how many there were before.
    ///
    /// # Errors
    /// If the kernel lacks one of the settings.
    pub fn unlimited_icmp(&self) -> Outcome {
        self.sysctl("ipv4/icmp_ratelimit", "0")?;
        self.sysctl("ipv4/icmp_ratemask", "0")?;
        self.sysctl("ipv6/icmp/ratelimit", "0")?;
        // Packet Too Big alone, which is never limited; the mask cannot be empty.
        self.sysctl("ipv6/icmp/ratemask", "2")
    }

    /// Returns the argument for `ip link … netns`, good for as long as this process lives.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}
