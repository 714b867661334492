//! Unpacks the image and writes the configuration for an OCI runtime such as `crun`.
//!
//! Source: OCI runtime-spec 1.0, `config.md` and `config-linux.md`.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use super::layer;
use super::{Content, Profile, VERSION, oci, programs};
use crate::error::{Context, Error, Result};
use crate::project::Project;

/// Rights of the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rights {
    /// All rights, as in a privileged container.
    #[default]
    All,
    /// Rights of the DaemonSet's daemon: two capabilities, and read-only kernel settings.
    DaemonSet,
}

/// The capabilities of the DaemonSet's daemon: netlink of IPVS, sets, addresses and packet filters;
/// and raw sockets, which `iptables-legacy` uses.
pub(crate) const CAPABILITIES: [&str; 2] = ["NET_ADMIN", "NET_RAW"];

/// All capabilities up to Linux 5.9.
const ALL_CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A file or directory of the host that the container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Path on the host.
    pub(crate) from: PathBuf,
    /// Path in the container.
    pub(crate) to: PathBuf,
    /// True for a read-only mount.
    pub(crate) read_only: bool,
}

/// Parses `FROM:TO` and `FROM:TO:rw`.
pub(crate) fn parse_mount(text: &str) -> std::result::Result<Mount, String> {
    let (text, read_only) = match text.strip_suffix(":rw") {
        Some(rest) => (rest, false),
        None => (text, true),
    };
    let (from, to) = text.split_once(':').ok_or("it has no `:`")?;
    let (from, to) = (PathBuf::from(from), PathBuf::from(to));
    match from.is_absolute() && to.is_absolute() {
        true => Ok(Mount {
            from,
            to,
            read_only,
        }),
        false => Err("both paths begin with `/`".to_owned()),
    }
}

/// Settings of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BundleSpec {
    /// Arguments of the entrypoint.
    pub(crate) arguments: Vec<String>,
    /// Rights of the container.
    pub(crate) rights: Rights,
    /// Network namespace; `None` is the host's.
    pub(crate) network_namespace: Option<PathBuf>,
    /// Additional files of the host.
    pub(crate) mounts: Vec<Mount>,
}

/// Writes `DIRECTORY/rootfs` and `DIRECTORY/config.json`, for `crun run --bundle DIRECTORY NAME`.
///
/// # Errors
/// When the directory is not empty, or the image cannot be built.
pub(crate) fn bundle(
    project: &Project,
    profile: Profile,
    directory: &Path,
    spec: &BundleSpec,
) -> Result {
    let writing = || format!("writing {}", directory.display());
    fs::create_dir_all(directory).context(writing)?;
    if fs::read_dir(directory).context(writing)?.next().is_some() {
        return Err(Error::new(format!("{} is not empty", directory.display())));
    }
    let root = directory.join("rootfs");
    let built = programs::build(project, profile, VERSION)?;
    for tree in Content::new(project, built, VERSION)?.trees() {
        unpack(&layer::archive(tree, 0)?, &root)?;
    }
    // The runtime mounts the host's lock here and may not be able to create the file.
    fs::write(root.join("run/xtables.lock"), "").context(writing)?;
    let text = format!("{:#}\n", configuration(spec));
    fs::write(directory.join("config.json"), text).context(writing)
}

fn unpack(archive: &[u8], root: &Path) -> Result {
    fs::create_dir_all(root)
        .and_then(|()| {
            let mut archive = tar::Archive::new(archive);
            archive.set_preserve_permissions(true);
            archive.unpack(root)
        })
        .context(|| format!("unpacking to {}", root.display()))
}

/// Returns `config.json`.
fn configuration(spec: &BundleSpec) -> Value {
    let mut arguments = vec![oci::ENTRYPOINT.to_owned()];
    arguments.extend(spec.arguments.iter().cloned());
    let mut linux = json!({ "namespaces": namespaces(spec) });
    if spec.rights == Rights::DaemonSet {
        linux["maskedPaths"] = json!([
            "/proc/kcore",
            "/proc/keys",
            "/proc/timer_list",
            "/sys/firmware"
        ]);
        linux["readonlyPaths"] = json!([
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger"
        ]);
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": arguments,
            "env": [format!("PATH={}", oci::PATH)],
            "cwd": "/",
            "capabilities": capabilities(spec.rights),
            "noNewPrivileges": spec.rights == Rights::DaemonSet,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": mounts(spec),
        "linux": linux,
    })
}

fn capabilities(rights: Rights) -> Value {
    let names: &[&str] = match rights {
        Rights::All => &ALL_CAPABILITIES,
        Rights::DaemonSet => &CAPABILITIES,
    };
    let names: Vec<String> = names.iter().map(|name| format!("CAP_{name}")).collect();
    json!({ "bounding": names, "effective": names, "permitted": names })
}

/// Returns the namespaces: the host's network and processes, and separate mounts.
fn namespaces(spec: &BundleSpec) -> Value {
    let mut namespaces = vec![json!({ "type": "mount" })];
    if let Some(path) = &spec.network_namespace {
        namespaces.push(json!({ "type": "network", "path": path }));
    }
    json!(namespaces)
}

fn mounts(spec: &BundleSpec) -> Value {
    let write = |read_only| if read_only { "ro" } else { "rw" };
    let bind = |from: &Path, to: &Path, read_only| {
        json!({
            "type": "bind", "source": from, "destination": to,
            "options": ["rbind", "rprivate", write(read_only)],
        })
    };
    let mut mounts = vec![
        json!({ "type": "proc", "source": "proc", "destination": "/proc" }),
        json!({
            "type": "tmpfs", "source": "tmpfs", "destination": "/dev",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        }),
        json!({
            "type": "sysfs", "source": "sysfs", "destination": "/sys",
            "options": ["nosuid", "noexec", "nodev", write(spec.rights == Rights::DaemonSet)],
        }),
        bind(
            Path::new("/lib/modules"),
            Path::new("/usr/lib/modules"),
            true,
        ),
        bind(
            Path::new("/run/xtables.lock"),
            Path::new("/run/xtables.lock"),
            false,
        ),
    ];
    let more = spec.mounts.iter();
    mounts.extend(more.map(|mount| bind(&mount.from, &mount.to, mount.read_only)));
    json!(mounts)
}
