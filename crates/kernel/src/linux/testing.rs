//! Files that tests use in place of those of the system.

use std::fs;

use tempfile::TempDir;

/// Creates a directory with these files, to be used in place of `/`.
pub(super) fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("the path has a folder"))
            .expect("the folder is created");
        fs::write(path, text).expect("the file is written");
    }
    root
}
