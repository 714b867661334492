use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn spec(words: &[&str]) -> Result<VmSpec, String> {
    Line::try_parse_from([&["vm"], words].concat())
        .map(|line| line.arguments.spec())
        .map_err(|error| error.to_string())
}

#[test]
fn defaults_are_uml_with_one_gib() {
    let spec = spec(&["--name", "x", "--", "ipvsadm", "-Ln"]).expect("valid");
    assert_eq!(spec, VmSpec::new("x", vec!["ipvsadm".into(), "-Ln".into()]));
}

#[test]
fn every_option_reaches_the_spec() {
    let words = "--backend qemu --memory 1536M --timeout 7 --env A=b=c --without-module ip-vs \
                 --file target/debug/x --kernel k.deb --name n -- sh -c true";
    let spec = spec(&words.split_whitespace().collect::<Vec<_>>()).expect("valid");
    assert_eq!(
        spec,
        VmSpec {
            backend: Backend::Qemu,
            memory_mib: 1536,
            timeout: Duration::from_secs(7),
            env: vec![("A".into(), "b=c".into())],
            without_modules: vec!["ip_vs".into()],
            kernel: Some(PathBuf::from("k.deb")),
            files: vec![PathBuf::from("target/debug/x")],
            ..VmSpec::new("n", ["sh", "-c", "true"].map(str::to_owned).to_vec())
        }
    );
}

#[test]
fn options_after_the_dashes_belong_to_the_command() {
    let spec = spec(&["--", "echo", "--memory", "2G"]).expect("valid");
    assert_eq!(spec.command, ["echo", "--memory", "2G"]);
    assert_eq!(spec.memory_mib, 1024);
}

#[test]
fn mistakes_are_named() {
    let check = |words: &[&str], part: &str| {
        let error = spec(words).expect_err("invalid");
        assert!(error.contains(part), "{error}");
    };
    check(&["--memory", "1T"], "unknown unit");
    check(&["--memory", "1M"], "at least 64M");
    check(&["--memory", "x"], "a number");
    check(&["--env", "A"], "NAME=VALUE");
    check(&["--env", "A B=1"], "not the name of a variable");
    check(&["--env", "1A=1"], "not the name of a variable");
    check(&["--name", "../x"], "allowed");
    check(&["--timeout", "0"], "timeout");
}
