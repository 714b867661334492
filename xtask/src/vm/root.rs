//! Builds the guest's root directory from installed Debian packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{cache, closure, packages, shell};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;

/// The guest's first process, the same for both backends.
const INIT: &str = include_str!("init.sh");

/// Version of the layout. Increase it when this file builds a different root from the same
/// packages.
const LAYOUT: u32 = 1;

/// Small files of /etc.
const ETC: &[(&str, &str)] = &[
    ("group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("hostname", "vm\n"),
    (
        "hosts",
        "127.0.0.1 localhost vm\n::1 localhost ip6-localhost\n",
    ),
    (
        "nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    ),
];

/// Libraries that a Rust program may load although no tool of the guest does.
const LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
];

/// Returns the root directory with the packages of every guest and `more`, built unless a root for
/// the same package versions is cached. It has an empty `usr/lib/modules`. No run writes to it.
pub(crate) fn root(project: &Project, more: &[String]) -> Result<PathBuf> {
    let names: Vec<&str> = (packages::GUEST.iter().copied())
        .chain(more.iter().map(String::as_str))
        .collect();
    let mut versions = packages::ensure(&names)?;
    versions.append(&mut packages::ensure(&["libc6"])?);
    let description = format!("{LAYOUT} {versions:?}\n{INIT}{ETC:?}");
    cache::directory(project, "root", &description, |root| build(root, &names))
}

fn build(root: &Path, names: &[&str]) -> Result {
    for directory in [
        "dev",
        "etc",
        "new",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr/bin",
        "usr/lib",
        "usr/lib/modules",
        "usr/lib64",
        "usr/sbin",
        "var",
        "vm",
    ] {
        files::create(&root.join(directory))?;
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        link(&format!("usr/{name}"), &root.join(name))?;
    }
    let programs = copy_packages(root, names)?;
    let mut libraries = closure::libraries(&programs)?;
    libraries.append(&mut closure::libraries(&[
        std::env::current_exe().context(|| "finding this program")?
    ])?);
    copy_libraries(root, &libraries)?;
    // Not busybox's shell, which runs its own small `ip` and `modprobe` instead of the guest's
    // programs.
    link("dash", &root.join("usr/bin/sh"))?;
    applets(root)?;
    legacy_iptables(root)?;
    for (name, text) in ETC {
        write(&root.join("etc").join(name), text, 0o644)?;
    }
    write(&root.join("init"), INIT, 0o755)
}

/// Copies the files of the packages and returns the programs and plug-ins among them.
fn copy_packages(root: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut programs = BTreeMap::new();
    for file in shell::output("dpkg", &[&["-L"], names].concat())?.lines() {
        let host = Path::new(file);
        let Some(inside) = closure::guest_path(host) else {
            continue;
        };
        // A package's file may have been removed from the host, as path filters of containers do.
        let Ok(about) = fs::symlink_metadata(host) else {
            continue;
        };
        let guest = root.join(inside);
        // /bin and similar directories are links on the host.
        if host.is_dir() {
            files::create(&guest)?;
        } else if about.is_symlink() {
            let to = fs::read_link(host).context(|| format!("reading the link {file}"))?;
            link(&to.to_string_lossy(), &guest)?;
        } else {
            files::copy(host, &guest)?;
            programs.insert(guest, host.to_path_buf());
        }
    }
    let is_program = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "so")
            || fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
    };
    Ok(programs.into_values().filter(is_program).collect())
}

fn copy_libraries(root: &Path, libraries: &BTreeSet<PathBuf>) -> Result {
    for library in libraries {
        if let Some(guest) = closure::guest_path(library) {
            files::copy(library, &root.join(guest))?;
        }
    }
    let libc = libraries
        .iter()
        .find(|path| path.ends_with("libc.so.6"))
        .and_then(|path| path.parent())
        .ok_or_else(|| Error::new("ldd names no libc.so.6: the host's C library must be glibc"))?;
    for name in LIBRARIES {
        let host = libc.join(name);
        let Some(guest) = closure::guest_path(&host) else {
            continue;
        };
        if host.exists() && !root.join(&guest).exists() {
            files::copy(&host, &root.join(guest))?;
        }
    }
    Ok(())
}

/// Creates one link for each busybox applet that the guest lacks as a program.
fn applets(root: &Path) -> Result {
    for applet in shell::output("busybox", &["--list"])?.lines() {
        let taken = ["usr/bin", "usr/sbin"]
            .iter()
            .any(|place| fs::symlink_metadata(root.join(place).join(applet)).is_ok());
        if !taken {
            link("busybox", &root.join("usr/bin").join(applet))?;
        }
    }
    Ok(())
}

/// Makes `iptables` the legacy one: User-Mode Linux has no nf_tables for IPv4 and IPv6.
fn legacy_iptables(root: &Path) -> Result {
    for family in ["iptables", "ip6tables"] {
        for end in ["", "-save", "-restore"] {
            link(
                "xtables-legacy-multi",
                &root.join(format!("usr/sbin/{family}{end}")),
            )?;
        }
    }
    Ok(())
}

fn link(to: &str, path: &Path) -> Result {
    files::create_parent(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context(|| format!("replacing {}", path.display()));
        }
        _ => {}
    }
    symlink(to, path).context(|| format!("linking {}", path.display()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result {
    files::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .context(|| format!("setting the mode of {}", path.display()))
}
