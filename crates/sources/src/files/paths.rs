//! Files of a path.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::FileError;

/// Path that stands for standard input.
pub(super) const STDIN: &str = "-";

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Returns the files of `path`, ordered by name.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>, Box<FileError>> {
    if path == Path::new(STDIN) {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |action, cause| Box::new(FileError::read(path, action, &cause));
    let metadata = fs::metadata(path).map_err(|cause| failed("cannot be read", cause))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |cause| failed("the directory cannot be listed", cause);
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_manifest(&file) && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn is_manifest(file: &Path) -> bool {
    let hidden =
        (file.file_name().and_then(OsStr::to_str)).is_none_or(|name| name.starts_with('.'));
    let extension = file.extension().and_then(OsStr::to_str);
    !hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}
