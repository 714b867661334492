//! Caches built directories under `target/vm`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::files;
use crate::project::Project;
use crate::say::say;

/// Returns the directory `target/vm/KIND-HASH`, built by `build` unless it exists. `description`
/// has everything that the content depends on; its hash is in the name.
///
/// Two processes may build the same directory at once: each builds its own and the first to finish
/// wins.
pub(crate) fn directory(
    project: &Project,
    kind: &str,
    description: &str,
    build: impl FnOnce(&Path) -> Result,
) -> Result<PathBuf> {
    let hash = fnv(description.as_bytes());
    let done = project.vm(format!("{kind}-{hash:016x}"));
    if done.is_dir() {
        return Ok(done);
    }
    say(format_args!("making {kind} (kept for the next time)"));
    let working = project.vm(format!("tmp-{kind}-{}", std::process::id()));
    files::remove(&working)?;
    files::create(&working)?;
    let built = build(&working).and_then(|()| match fs::rename(&working, &done) {
        Err(_) if done.is_dir() => Ok(()),
        other => other.context(|| format!("renaming to {}", done.display())),
    });
    files::remove(&working)?;
    built.map(|()| done)
}

/// Computes FNV-1a, 64 bits: the same on every machine and in every version of this tool.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
