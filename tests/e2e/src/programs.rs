//! Paths of the programs under test.

use std::path::PathBuf;

/// Programs and their packages.
const PROGRAMS: [(&str, &str); 3] = [
    ("kube-ipvsd", "node"),
    ("ipvsctl", "ipvsctl"),
    ("kube-ipvs-test-apiserver", "apiserver"),
];

/// Returns the path of a program: in the directory `$VM_BIN`, else in that of this program, or in
/// its parent if this is a test in `deps`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    directory().join(name)
}

/// Returns a text about missing programs; `None` if all exist.
#[must_use]
pub fn missing() -> Option<String> {
    let absent: Vec<_> = PROGRAMS
        .iter()
        .filter(|(name, _)| !program(name).is_file())
        .collect();
    if absent.is_empty() {
        return None;
    }
    let names: Vec<_> = absent.iter().map(|(name, _)| *name).collect();
    let packages: Vec<_> = absent
        .iter()
        .map(|(_, package)| format!("-p {package}"))
        .collect();
    Some(format!(
        "{} not found in {}: cargo build --bins {}",
        names.join(", "),
        directory().display(),
        packages.join(" ")
    ))
}

fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("VM_BIN") {
        return directory.into();
    }
    let here = std::env::current_exe().unwrap_or_default();
    let directory = here.parent().map(PathBuf::from).unwrap_or_default();
    if directory.ends_with("deps") {
        directory.parent().map(PathBuf::from).unwrap_or_default()
    } else {
        directory
    }
}
