//! The modules of IPVS.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child::{self, ChildError};
use super::stop::StopSignal;
use crate::error::ModprobeError;

#[cfg(test)]
mod tests;

/// The module behind the generic-netlink family `IPVS`.
pub(super) const MODULE: &str = "ip_vs";

/// Where `modprobe` may be when the search path has no system folders.
const PROGRAMS: [&str; 3] = ["modprobe", "/usr/sbin/modprobe", "/sbin/modprobe"];

/// Time limit of `modprobe`: it reads some files and initialises a module, in milliseconds. One that waits longer waits for a
/// module that never finishes.
const LIMIT: Duration = Duration::from_secs(10);

/// Policy for missing modules: `ip_vs` when the kernel is opened, and a scheduler's before a virtual server first wants it.
///
/// Whatever this says, the kernel itself looks for `ip_vs` when the family is asked for
/// (`ctrl_getfamily`, `net/netlink/genetlink.c`, Linux 6.1), and for a scheduler's module when a virtual
/// server wants it (`ip_vs_scheduler_get`, `net/netfilter/ipvs/ip_vs_sched.c`), where it can run
/// `modprobe` in the host's file system.
///
/// The latter it does with the mutex of IPVS locked. The modules `ip_vs_lblc` and `ip_vs_lblcr` wait for
/// network namespaces that are being deleted, and these wait for the mutex: both wait for ever, and
/// with them all of the node's network configuration (seen on Debian's Linux 6.1.192). So a scheduler's
/// module is loaded beforehand where that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModulePolicy {
    /// Run `modprobe` for what is missing.
    Load,
    /// Run nothing.
    DoNotLoad,
}

/// Presence of a module of the running kernel, as far as files tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It is loaded, or a part of the kernel.
    Loaded,
    /// It can be loaded.
    Loadable,
    /// There is none.
    Missing,
    /// Its files are not to be seen, as in a container without `/lib/modules`.
    Unknown,
}

/// Returns the presence of `module` of the running kernel. Loads nothing.
#[must_use]
pub fn presence(module: &str) -> Presence {
    presence_below(Path::new("/"), &kernel_release(), module)
}

fn presence_below(root: &Path, release: &str, module: &str) -> Presence {
    if root.join("sys/module").join(module).exists() {
        return Presence::Loaded;
    }
    let folder = root.join("lib/modules").join(release);
    let list = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    // Lines of the one are paths, of the other a path, a colon, and paths that it needs.
    let names = |list: &str| list.lines().any(|line| is_of(line, module));
    match (list("modules.builtin"), list("modules.dep")) {
        (Some(list), _) if names(&list) => Presence::Loaded,
        (_, Some(list)) if names(&list) => Presence::Loadable,
        (Some(_), Some(_)) => Presence::Missing,
        _ => Presence::Unknown,
    }
}

/// Returns true if `line` begins with the path of `module`, `kernel/net/netfilter/xt_set.ko.xz`. Files may have `-` for `_`.
fn is_of(line: &str, module: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let name = file.split_once(".ko").map_or(file, |(name, _)| name);
    name.replace('-', "_") == module
}

/// Runs `modprobe` for `module`.
pub(super) fn modprobe(module: &str, stop: &StopSignal) -> Result<(), ModprobeError> {
    let mut failure = None;
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.arg(module);
        match child::run(command, &[], LIMIT, stop) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let message = match said.trim() {
                    "" => output.status.to_string(),
                    said => said.replace('\n', "; "),
                };
                return Err(ModprobeError::Failed {
                    module: module.to_owned(),
                    message,
                });
            }
            Err(ChildError::Start(source)) => {
                let is_elsewhere = source.kind() == ErrorKind::NotFound;
                failure = Some(source);
                if !is_elsewhere {
                    break;
                }
            }
            Err(error) => {
                return Err(ModprobeError::Killed {
                    module: module.to_owned(),
                    source: error.into(),
                });
            }
        }
    }
    let source = failure.unwrap_or_else(|| ErrorKind::NotFound.into());
    Err(ModprobeError::Start {
        module: module.to_owned(),
        source,
    })
}

/// The running kernel's release, for example `6.1.0-40-cloud-amd64`.
pub(super) fn kernel_release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "this kernel".to_owned(), |text| text.trim().to_owned())
}
