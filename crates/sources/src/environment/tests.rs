use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

fn of(root: &TempDir, folder: &str) -> Environment {
    let variables = [("HOME".to_owned(), "/root".to_owned())];
    Environment::of_process(root.path().to_owned(), folder.into(), variables.into())
}

/// Checks that `path` in an environment with the working directory `/work` is the file `expected`
/// of its root.
#[track_caller]
fn check(root: &TempDir, path: &str, expected: &str) {
    let found = of(root, "/work").path(Path::new(path)).expect("a path");
    assert_eq!(found, root.path().join(expected));
}

#[test]
fn paths_are_below_the_root_of_the_process() {
    let root = TempDir::new().expect("a directory");
    fs::create_dir_all(root.path().join("run/secrets")).expect("a directory");
    symlink("/run", root.path().join("var")).expect("a link");
    symlink("..data/token", root.path().join("run/secrets/token")).expect("a link");
    symlink("../../../../etc/shadow", root.path().join("up")).expect("a link");
    check(&root, "/etc/config", "etc/config");
    check(&root, "config", "work/config");
    check(&root, "../config", "config");
    check(&root, "/../../config", "config");
    check(&root, "/var/secrets/token", "run/secrets/..data/token");
    check(&root, "/up", "etc/shadow");
}

#[test]
fn endless_links_are_an_error() {
    let root = TempDir::new().expect("a directory");
    symlink("/b", root.path().join("a")).expect("a link");
    symlink("/a", root.path().join("b")).expect("a link");
    let error = of(&root, "/").path(Path::new("/a")).expect_err("a loop");
    assert_eq!(error.to_string(), "/a: too many symbolic links");
}

#[test]
fn variables_are_those_of_the_process() {
    let root = TempDir::new().expect("a directory");
    let environment = of(&root, "/");
    assert_eq!(environment.home(), Path::new("/root"));
    assert_eq!(environment.variable("PATH"), None);
    assert!(!environment.has_own_files());
    assert!(Environment::own().has_own_files());
    let inside = environment.inside(&root.path().join("etc/ca.crt"));
    assert_eq!(inside, Path::new("/etc/ca.crt"));
}
