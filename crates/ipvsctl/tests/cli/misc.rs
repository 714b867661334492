//! Help, versions, completion.

use crate::folder::{Folder, SHOP};

#[test]
fn help_has_examples_and_exit_status() {
    let folder = Folder::new();
    for command in [
        "render",
        "diff",
        "apply",
        "get",
        "migrate check",
        "completion",
    ] {
        let help = folder.run(&format!("{command} --help")).exits(0).out;
        assert!(help.contains("Examples:\n"), "{command}:\n{help}");
    }
    for command in ["", "render ", "diff ", "apply ", "migrate check "] {
        let help = folder.run(&format!("{command}--help")).exits(0).out;
        assert!(help.contains("Exit status:"), "{command}:\n{help}");
    }
}

#[test]
fn wrong_arguments_are_an_error() {
    let folder = Folder::new();
    folder.run("").exits(2);
    folder.run("diff -f a --kubeconfig b").exits(2);
    folder.run("get pods").exits(2);
}

#[test]
fn versions_are_printed() {
    let folder = Folder::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        folder.run("version --client").exits(0).out,
        format!("ipvsctl  {version}\n")
    );
    let versions = folder.run("version -o json").exits(0).json();
    assert_eq!(versions["client"], version);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    assert_eq!(versions["kernel"], release.trim());
}

#[test]
fn completion_scripts_are_printed() {
    let folder = Folder::new();
    for (shell, word) in [
        ("bash", "complete -F _ipvsctl"),
        ("zsh", "#compdef ipvsctl"),
        ("fish", "complete -c ipvsctl"),
    ] {
        let script = folder.run(&format!("completion {shell}")).exits(0).out;
        assert!(script.contains(word), "{shell}:\n{script}");
    }
}

#[test]
fn closed_output_is_not_reported() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let ran = folder.run_with("render -f shop.yaml --node n", |command| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer);
    });
    assert_eq!(ran.err, "");
}
