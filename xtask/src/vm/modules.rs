//! The kernel modules that a guest can load.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{cache, shell};
use crate::error::{Context, Error, Result};
use crate::files;
use crate::project::Project;

/// Modules that a network guest may need. Disks, sound and real network cards are left out.
const WANTED: &[&str] = &[
    "arch",
    "crypto",
    "drivers/char/virtio_console",
    "drivers/net",
    "drivers/virtio",
    "fs/configfs",
    "fs/fuse",
    "fs/overlayfs",
    "kernel",
    "lib",
    "net",
];
const UNWANTED: &[&str] = &["drivers/net/ethernet", "drivers/net/wireless"];

/// Returns a directory for `/usr/lib/modules`: a copy of the wanted modules of `source` (a
/// directory named by the kernel's release) without `without`, indexed by depmod. For modprobe and
/// the kernel's own loading, a module that is left out is missing exactly as on a kernel built
/// without it.
pub(crate) fn tree(project: &Project, source: &Path, without: &[String]) -> Result<PathBuf> {
    let release = source
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Error::new(format!("no kernel release in {}", source.display())))?;
    let without: BTreeSet<&str> = without.iter().map(String::as_str).collect();
    let stamp = fs::metadata(source.join("modules.builtin"))
        .and_then(|about| about.modified())
        .context(|| format!("reading {}", source.join("modules.builtin").display()))?;
    let description = format!("{release} {stamp:?} {WANTED:?} {UNWANTED:?} {without:?}");
    cache::directory(project, "modules", &description, |directory| {
        let mut missing = without.clone();
        let target = directory.join("lib/modules").join(release);
        copy(
            &source.join("kernel"),
            Path::new(""),
            &target.join("kernel"),
            &mut |path| {
                let name = module_name(path);
                missing.remove(name.as_str());
                wanted(path) && !without.contains(name.as_str())
            },
        )?;
        if let Some(name) = missing.first() {
            return Err(Error::new(format!(
                "kernel {release} has no module {name} to be without"
            )));
        }
        for list in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            if source.join(list).exists() {
                files::copy(&source.join(list), &target.join(list))?;
            }
        }
        depmod(directory, release)?;
        let (from, to) = (
            directory.join("lib/modules").join(release),
            directory.join(release),
        );
        fs::rename(&from, &to).context(|| format!("moving {}", from.display()))?;
        files::remove(&directory.join("lib"))
    })
}

/// Returns the module's name: the file's stem with underscores.
fn module_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

fn wanted(path: &Path) -> bool {
    let under = |parts: &[&str]| {
        parts
            .iter()
            .any(|part| path.starts_with(part) || path.with_extension("") == Path::new(part))
    };
    under(WANTED) && !under(UNWANTED)
}

fn copy(from: &Path, inside: &Path, to: &Path, keep: &mut dyn FnMut(&Path) -> bool) -> Result {
    for entry in files::entries(&from.join(inside))? {
        let path = inside.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() && !entry.is_symlink() {
            copy(from, &path, to, keep)?;
        } else if keep(&path) {
            files::copy(&entry, &to.join(&path))?;
        }
    }
    Ok(())
}

fn depmod(base: &Path, release: &str) -> Result {
    // Warnings about a module that is left out on purpose are ignored.
    let (program, base) = (program("depmod"), base.to_string_lossy());
    shell::output(&program.to_string_lossy(), &["-b", &base, release]).map(|_| ())
}

/// Returns the path of a system program, which may not be in a user's `PATH`.
fn program(name: &str) -> PathBuf {
    ["/usr/sbin", "/sbin"]
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}
