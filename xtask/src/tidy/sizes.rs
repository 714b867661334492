//! No source file is too long to be read in one go.

#[cfg(test)]
mod tests;

use std::fs;
use std::process::Command;

use crate::error::{Context, Error, Result};
use crate::project::Project;

/// Lines above which a file is to be split.
const LIMIT: usize = 600;

/// The files that are too long.
pub(crate) fn complaints(project: &Project) -> Result<Vec<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(&project.root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .args(["--", "*.rs", "*.sh"])
        .output()
        .context(|| "starting git")?;
    if !output.status.success() {
        return Err(Error::new("`git ls-files` failed"));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut all = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // A file that is deleted but still in the index has no length.
        if let Ok(bytes) = fs::read(project.root.join(name)) {
            all.extend(complaint(name, &bytes));
        }
    }
    Ok(all)
}

fn complaint(name: &str, bytes: &[u8]) -> Option<String> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
    (lines > LIMIT).then(|| format!("{name} has {lines} lines, more than {LIMIT}: split it"))
}
