//! Kernel modules of IPVS.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::child::{self, ChildError};
use super::stop::StopSignal;
use crate::error::ModprobeError;

#[cfg(test)]
mod tests;

/// Module that provides the generic-netlink family `IPVS`.
pub(super) const MODULE: &str = "ip_vs";

/// Paths of `modprobe`, for a search path without system folders.
const PROGRAMS: [&str; 3] = ["modprobe", "/usr/sbin/modprobe", "/sbin/modprobe"];

/// Time limit of `modprobe`, which normally takes milliseconds to read some files and initialise a
/// module. A longer run waits for a module that never finishes.
const LIMIT: Duration = Duration::from_secs(10);

/// Policy for missing modules: `ip_vs` when the kernel is opened, and the module of a scheduler
/// before a virtual server first uses it.
///
/// Regardless of this policy, the kernel itself loads two modules if it can run `modprobe` in the
/// file system of the host:
/// - `ip_vs` when the family is requested (`ctrl_getfamily`, `net/netlink/genetlink.c`, Linux 6.1)
/// - the module of a scheduler when a virtual server uses it (`ip_vs_scheduler_get`,
///   `net/netfilter/ipvs/ip_vs_sched.c`)
///
/// The kernel loads a scheduler's module with the mutex of IPVS locked. The modules `ip_vs_lblc`
/// and `ip_vs_lblcr` wait for network namespaces that are being deleted, and these wait for the
/// mutex. This deadlock blocks all network configuration of the node (seen on Debian's Linux
/// 6.1.192). Therefore the module of a scheduler is loaded beforehand if the policy allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModulePolicy {
    /// Run `modprobe` for missing modules.
    Load,
    /// Run no program.
    DoNotLoad,
}

/// Presence of a module of the running kernel, according to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// The module is loaded or built in.
    Loaded,
    /// The module can be loaded.
    Loadable,
    /// The module does not exist.
    Missing,
    /// The files are not visible, for example in a container without `/lib/modules`.
    Unknown,
}

/// Returns the presence of `module` in the running kernel. Loads nothing.
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
    // Lines of `modules.builtin` are paths. Lines of `modules.dep` contain a path, a colon, and the
    // paths of dependencies.
    let names = |list: &str| list.lines().any(|line| is_of(line, module));
    match (list("modules.builtin"), list("modules.dep")) {
        (Some(list), _) if names(&list) => Presence::Loaded,
        (_, Some(list)) if names(&list) => Presence::Loadable,
        (Some(_), Some(_)) => Presence::Missing,
        _ => Presence::Unknown,
    }
}

/// Returns true if `line` starts with the path of `module`, for example
/// `kernel/net/netfilter/xt_set.ko.xz`. File names may contain `-` for `_`.
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

/// Returns the release of the running kernel, for example `6.1.0-40-cloud-amd64`.
pub(super) fn kernel_release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "this kernel".to_owned(), |text| text.trim().to_owned())
}
