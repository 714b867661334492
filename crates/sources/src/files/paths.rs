//! Files of a path.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::FileError;

/// Path that stands for standard input.
pub(super) const STDIN: &str = "-";

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Files of a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files to read, ordered by name.
    pub(super) files: Vec<PathBuf>,
    /// Subdirectories with manifests, ordered by name. They are not read.
    pub(super) left_out: Vec<PathBuf>,
}

/// Returns the files of `path`: itself, or the manifests in the directory.
pub(super) fn files_of(path: &Path) -> Result<Found, Box<FileError>> {
    let itself = || Found {
        files: vec![path.to_owned()],
        ..Found::default()
    };
    if path == Path::new(STDIN) {
        return Ok(itself());
    }
    let failed = |action, cause| Box::new(FileError::read(path, action, &cause));
    let metadata = fs::metadata(path).map_err(|cause| failed("cannot be read", cause))?;
    if !metadata.is_dir() {
        return Ok(itself());
    }
    let unreadable = |cause| failed("the directory cannot be listed", cause);
    let mut found = Found::default();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.is_dir() {
            if has_manifests(&file) {
                found.left_out.push(file);
            }
        } else if is_manifest(&file) {
            found.files.push(file);
        }
    }
    found.files.sort();
    found.left_out.sort();
    Ok(found)
}

fn has_manifests(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    !is_hidden(directory)
        && entries
            .map(|entry| entry.path())
            .any(|file| is_manifest(&file))
}

fn is_hidden(file: &Path) -> bool {
    (file.file_name().and_then(OsStr::to_str)).is_none_or(|name| name.starts_with('.'))
}

fn is_manifest(file: &Path) -> bool {
    let extension = file.extension().and_then(OsStr::to_str);
    !is_hidden(file) && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}
