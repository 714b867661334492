//! Help, versions, completion.

use std::io::Read as _;

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
        assert!(help.contains("Exit status"), "{command}:\n{help}");
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
fn help_of_a_command_is_printed_by_help_too() {
    let folder = Folder::new();
    let help = folder.run("help diff").exits(0).out;
    assert_eq!(help, folder.run("diff --help").exits(0).out);
}

#[test]
fn manual_pages_are_printed_and_written() {
    let folder = Folder::new();
    let page = folder.run("man migrate check").exits(0).out;
    assert!(page.contains(".TH ipvsctl-migrate-check 1"), "{page}");
    folder.run("man --directory .").exits(0);
    let written = std::fs::read_to_string(folder.file("ipvsctl-migrate-check.1")).expect("a page");
    assert_eq!(written, page);
    let ran = folder.run("man mirgate").exits(2);
    ran.says("error: ipvsctl has no command `mirgate`: see ipvsctl help");
    folder.run("man --directory nowhere").exits(2);
}

#[test]
fn a_bundle_lists_its_content_first_and_has_no_secrets() {
    let config = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n\
                  # token: hunter2\nmetricsBindAddress: 127.0.0.1:1\n";
    let folder = (Folder::new().with("shop.yaml", SHOP)).with("config.yaml", config);
    let bundle = "bundle -f shop.yaml --node node1 --config config.yaml --file b.tar";
    let ran = folder.run(bundle).exits(0);
    let file = std::fs::File::open(folder.file("b.tar")).expect("an archive");
    let mut archive = tar::Archive::new(file);
    let mut files = Vec::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.push((path, text));
    }
    let (first, contents) = &files[0];
    assert!(first.ends_with("/CONTENTS.txt"), "{first}");
    assert_eq!(*contents, ran.out);
    let missing = |line: &&str| line.starts_with("daemon/statusz.json") && line.contains("missing");
    assert_eq!(contents.lines().filter(missing).count(), 1, "{contents}");
    let of = |name: &str| {
        files
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .expect(name)
    };
    assert!(of("/versions.json").1.contains("\"Versions\""));
    let (_, config) = of("/configuration-file.yaml");
    assert!(
        config.contains("# token: (removed)\nmetricsBindAddress"),
        "{config}"
    );
    folder.run(bundle).exits(2);
}

#[test]
fn versions_are_printed() {
    let folder = Folder::new();
    let version = ipvsctl::VERSION;
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
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.run(&format!("completion {shell}")).exits(0).out;
        assert!(script.contains("ipvsctl"), "{shell}:\n{script}");
    }
}

#[test]
fn words_of_a_command_line_are_completed() {
    let folder = Folder::new();
    let completed = |words: &str| {
        let number = words.split(' ').count() - 1;
        let mut out = Vec::new();
        let ran = folder.run_with("", |command| {
            command.arg("--").args(words.split(' '));
            command.env("COMPLETE", "bash");
            command.env("_CLAP_COMPLETE_INDEX", number.to_string());
            command.env("_CLAP_COMPLETE_COMP_TYPE", "9");
            command.env("_CLAP_COMPLETE_SPACE", "true");
            command.env("_CLAP_IFS", "\n");
        });
        out.extend(ran.exits(0).out.lines().map(ToOwned::to_owned));
        out
    };
    assert_eq!(completed("ipvsctl ana"), ["analyze"]);
    assert_eq!(
        completed("ipvsctl analyze --explain KIV012"),
        [
            "KIV0120", "KIV0121", "KIV0122", "KIV0123", "KIV0124", "KIV0125", "KIV0126", "KIV0127",
            "KIV0128", "KIV0129"
        ]
    );
    assert_eq!(completed("ipvsctl get servers -o y"), ["yaml"]);
}

#[test]
fn closed_output_is_success() {
    let folder = Folder::new().with("shop.yaml", SHOP);
    let ran = folder.run_with("render -f shop.yaml --node n", |command| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer);
    });
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

#[test]
fn each_v_prints_more_log_lines() {
    let folder = Folder::with_live("# ipvs\n# addresses\n");
    let lines = |flags: &str| {
        let ran = folder.run(&format!(
            "{flags} diff -f shop.yaml --node node1 --live live.txt"
        ));
        let err = ran.exits(1).err;
        err.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let [none, one, two] = ["", "-v", "-vv"].map(lines);
    let has = |lines: &[String], start: &str| lines.iter().any(|line| line.starts_with(start));
    for info in [
        "info: 5 objects in shop.yaml",
        "info: node node1: 2 Services, 0 findings; desired tables: 4 virtual servers, 5 real servers, 3 addresses, ",
        "info: live tables: 0 virtual servers, 0 real servers, 0 addresses, ",
    ] {
        assert!(
            has(&one, info) && has(&two, info),
            "no line {info} in {one:#?}"
        );
        assert!(!has(&none, info), "{none:#?}");
    }
    for debug in [
        "debug: read the files in ",
        "debug: compiled the objects in ",
        "debug: compared the tables in ",
    ] {
        assert!(has(&two, debug), "no line {debug} in {two:#?}");
        assert!(!has(&one, debug), "{one:#?}");
    }
}
