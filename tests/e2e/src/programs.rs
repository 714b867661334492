//! Where the programs under test are.

use std::path::PathBuf;

/// The programs, and the packages they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ("kube-ipvsd", "node"),
    ("ipvsctl", "ipvsctl"),
    ("kube-ipvs-test-apiserver", "apiserver"),
];

/// The path of a program: in the directory `$VM_BIN`, else beside this program, or above it where this
/// is a test that cargo put into `deps`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    directory().join(name)
}

/// Returns a text for a person about missing programs; none if all are there.
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
