//! Files of the host that a guest program needs.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Result};

/// Returns the libraries that `programs` are linked with, the loader included, as paths on the
/// host. Programs that are static or not ELF need none.
pub(crate) fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    if programs.is_empty() {
        return Ok(BTreeSet::new());
    }
    // ldd exits with 1 if any file is static, so its status is ignored.
    let output = Command::new("ldd")
        .args(programs)
        .env("LC_ALL", "C")
        .output()
        .context(|| "starting ldd")?;
    Ok(parse_ldd(&String::from_utf8_lossy(&output.stdout)))
}

/// Parses `name => /path (0x…)` and `/path (0x…)` lines.
fn parse_ldd(text: &str) -> BTreeSet<PathBuf> {
    text.lines()
        .filter(|line| line.starts_with(char::is_whitespace))
        .filter_map(|line| {
            let line = line.trim();
            let path = line.split_once(" => ").map_or(line, |(_, path)| path);
            let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

/// Returns the path of a host's file in the guest, whose /bin, /sbin, /lib and /lib64 are links
/// into /usr; none for files that a guest does not need, such as documentation and units.
pub(crate) fn guest_path(host: &Path) -> Option<PathBuf> {
    let inside = host.strip_prefix("/").ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let path = match first {
        "bin" | "sbin" | "lib" | "lib64" => Path::new("usr").join(inside),
        "usr" | "etc" => inside.to_path_buf(),
        _ => return None,
    };
    const UNNEEDED: &[&str] = &[
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/lintian",
        "usr/share/bash-completion",
        "usr/share/initramfs-tools",
        "usr/lib/systemd",
        "etc/init.d",
        "etc/default",
    ];
    (!UNNEEDED.iter().any(|part| path.starts_with(part))).then_some(path)
}
