//! Reads and writes kernel settings, and reads the properties of the machine.
//!
//! A file below `/proc/sys/net` belongs to the network namespace of the thread that opens it
//! (`net_ctl_root`, `net/sysctl_net.c`, Linux 6.1).

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use model::kernel::Errno;
use model::names::Name;
use model::snapshot::Machine;
use model::sysctls::KNOWN;
use model::{Keepalive, Op, Snapshot};

use model::kernel::OpOutcome;
use model::kernel::{ObserveError, OpError, OpErrorKind};

/// Setting with the number of buckets of the connection tracker's table.
const BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";

/// Returns the value of the setting `name`, with dots between its parts, or `None` if it does not
/// exist or cannot be read. For settings without a desired value, which no [`Snapshot`] contains.
#[must_use]
pub fn setting(name: &'static str) -> Option<String> {
    read_setting(name).ok().flatten()
}

/// Does the same as [`setting`], and returns `None` only if the setting does not exist.
///
/// # Errors
///
/// The setting exists and cannot be read.
pub fn read_setting(name: &'static str) -> Result<Option<String>, ObserveError> {
    if !is_name(name) {
        return Ok(None);
    }
    match std::fs::read_to_string(Sysctls::open().path(name)) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ObserveError::Failed {
            what: name,
            source: Box::new(error),
        }),
    }
}

/// The settings of the network namespace of the calling thread.
#[derive(Debug)]
pub(super) struct Sysctls {
    /// `/`, or the root of a test.
    root: PathBuf,
}

impl Sysctls {
    pub(super) fn open() -> Self {
        Self { root: "/".into() }
    }

    /// Adds the settings in [`KNOWN`] that the kernel has and the properties of the machine to
    /// `snapshot`.
    ///
    /// The settings of IPVS and of the connection tracker exist once their modules are loaded.
    pub(super) fn observe(&self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        snapshot.tables.sysctls.clear();
        for name in KNOWN {
            match std::fs::read_to_string(self.path(name)) {
                Ok(value) => {
                    let value = value.trim().into();
                    snapshot.tables.sysctls.insert(name.into(), value);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(ObserveError::Failed {
                        what: "the kernel settings",
                        source: Box::new(Unreadable { name, source }),
                    });
                }
            }
        }
        snapshot.node.machine = self.machine();
        Ok(())
    }

    pub(super) fn machine(&self) -> Machine {
        let read = |path| std::fs::read_to_string(self.root.join(path)).ok();
        let here = || std::thread::available_parallelism().ok();
        Machine {
            kernel: read("proc/sys/kernel/osrelease").and_then(|text| text.parse().ok()),
            // Counts all processors of the machine, not only those that this process may use,
            // because the settings affect the whole machine (k/k#99225).
            processors: read("sys/devices/system/cpu/online")
                .and_then(|text| count(text.trim()))
                .or_else(|| {
                    here()
                        .map(NonZeroUsize::get)
                        .and_then(|count| count.try_into().ok())
                }),
            keepalive: self.keepalive(),
        }
    }

    fn keepalive(&self) -> Option<Keepalive> {
        let values = Keepalive::SETTINGS.map(|name| std::fs::read_to_string(self.path(name)).ok());
        Keepalive::parse(values.each_ref().map(Option::as_deref))
    }

    /// Applies `op`, which sets the setting to this value.
    pub(super) fn apply(&self, op: &Op, name: &Name, value: &Name) -> OpOutcome {
        let set = self.set(name, value);
        set.map_err(|error| op_error(op, name, &error))
    }

    /// Writes the setting, whatever its current value.
    ///
    /// The number of conntrack buckets is a setting since Linux 4.8. Before, or if `/proc/sys` is
    /// read-only and `/sys` is not, it is written as kube-proxy does: as a parameter of the module
    /// (`nf_conntrack_set_hashsize`, `net/netfilter/nf_conntrack_core.c`). Both are refused outside
    /// the initial network namespace.
    fn set(&self, name: &Name, value: &Name) -> io::Result<()> {
        if !is_name(name) {
            return Err(ErrorKind::NotFound.into());
        }
        let set = write(&self.path(name), value);
        match &set {
            Err(error) if &**name == BUCKETS && error.kind() != ErrorKind::NotFound => {
                let parameter = "sys/module/nf_conntrack/parameters/hashsize";
                write(&self.root.join(parameter), value).or(set)
            }
            _ => set,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join("proc/sys").join(name.replace('.', "/"))
    }
}

/// Writes an existing file in one call, as the kernel requires.
fn write(path: &Path, value: &str) -> io::Result<()> {
    use io::Write as _;

    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())
}

/// Returns true if the name can only be that of a file below `/proc/sys`.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !part.is_empty() && part.bytes().all(plain)
    };
    name.split('.').all(part)
}

/// Returns the number of processors in ranges such as `0-3,6`.
fn count(ranges: &str) -> Option<u32> {
    let mut count = 0_u32;
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

#[derive(Debug, thiserror::Error)]
#[error("failed to read {name}")]
struct Unreadable {
    name: &'static str,
    source: io::Error,
}

fn op_error(op: &Op, name: &str, error: &io::Error) -> OpError {
    let errno = error.raw_os_error().unwrap_or(libc::ENOENT);
    let kind = match errno {
        libc::EROFS => OpErrorKind::ReadOnlySetting,
        libc::ENOENT => OpErrorKind::NoSuchSetting,
        libc::EINVAL | libc::ERANGE => OpErrorKind::Invalid,
        libc::EACCES | libc::EPERM => OpErrorKind::NotPermitted,
        other => OpErrorKind::Other(Errno(other)),
    };
    let message = match errno {
        libc::ENOENT if name.starts_with("net.ipv4.vs.") => Some("load the module ip_vs"),
        libc::ENOENT if name.starts_with("net.netfilter.nf_conntrack_") => {
            Some("load the module nf_conntrack")
        }
        libc::EACCES | libc::EPERM => {
            Some("writing needs root and, for some settings, the node's own network namespace")
        }
        _ => None,
    };
    OpError::new(op.clone(), kind, Some(Errno(errno))).with_message(message.map(str::to_owned))
}
