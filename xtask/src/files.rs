//! Files and directories, with errors that name the path.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// Creates a directory and those above it.
pub(crate) fn create(directory: &Path) -> Result {
    fs::create_dir_all(directory).context(|| format!("creating {}", directory.display()))
}

/// Returns the text of a file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(|| format!("reading {}", path.display()))
}

/// Writes a file, and creates the directories above it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result {
    create_parent(path)?;
    fs::write(path, content).context(|| format!("writing {}", path.display()))
}

/// Copies a file with its mode, and creates the directories above the copy.
pub(crate) fn copy(from: &Path, to: &Path) -> Result {
    create_parent(to)?;
    fs::copy(from, to)
        .map(|_| ())
        .context(|| format!("copying {} to {}", from.display(), to.display()))
}

/// Creates the directories above a file.
pub(crate) fn create_parent(path: &Path) -> Result {
    path.parent().map_or(Ok(()), create)
}

/// Returns the paths of the entries of a directory, sorted.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        paths.collect::<std::io::Result<BTreeSet<_>>>()
    });
    let entries = entries.context(|| format!("reading {}", directory.display()))?;
    Ok(entries.into_iter().collect())
}

/// Removes a directory tree. A missing one is not an error.
pub(crate) fn remove(path: &Path) -> Result {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
