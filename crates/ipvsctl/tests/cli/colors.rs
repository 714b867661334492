//! Colours of the output.

use crate::desk::{Desk, SHOP};

const ESCAPE: char = '\u{1b}';

fn check(args: &str, environment: &[(&str, &str)], colored: bool) {
    let desk = Desk::new()
        .with("shop.yaml", SHOP)
        .with("live.txt", "# ipvs\n# addresses\n");
    let args = format!("{args} diff -f shop.yaml --node node1 --live live.txt");
    let ran = desk
        .run_with(&args, |command| {
            command.envs(environment.iter().copied());
        })
        .exits(1);
    assert_eq!(
        ran.out.contains(ESCAPE),
        colored,
        "{args} {environment:?}:\n{}",
        ran.out
    );
}

#[test]
fn no_colours_in_a_pipe() {
    check("", &[], false);
}

#[test]
fn colours_on_demand() {
    check("--color always", &[], true);
    check("--color=always", &[("NO_COLOR", "1")], true);
    check("", &[("CLICOLOR_FORCE", "1")], true);
}

#[test]
fn colours_can_be_disabled() {
    check("--no-color", &[("CLICOLOR_FORCE", "1")], false);
    check("--color never", &[("CLICOLOR_FORCE", "1")], false);
    check("--color always --no-color", &[], false);
    check("", &[("NO_COLOR", "1")], false);
}

#[test]
fn help_and_errors_have_colours_too() {
    let desk = Desk::new();
    assert!(
        desk.run("--color always --help")
            .exits(0)
            .out
            .contains(ESCAPE)
    );
    assert!(!desk.run("--help").exits(0).out.contains(ESCAPE));
    assert!(
        desk.run("--color always render -f a --node n")
            .exits(2)
            .err
            .contains(ESCAPE)
    );
    assert!(
        !desk
            .run("render -f a --node n")
            .exits(2)
            .err
            .contains(ESCAPE)
    );
}

/// `script` provides the terminal.
#[test]
fn colours_on_a_terminal() {
    let desk = Desk::new()
        .with("shop.yaml", SHOP)
        .with("live.txt", "# ipvs\n# addresses\n");
    let terminal = |no_color: Option<&str>| {
        let ipvsctl = env!("CARGO_BIN_EXE_ipvsctl");
        let line = format!("{ipvsctl} diff -f shop.yaml --node node1 --live live.txt");
        let mut command = std::process::Command::new("script");
        command
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(desk.path())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(std::process::Stdio::null());
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let output = command.output().expect("script of util-linux runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let colored = terminal(None);
    assert!(
        colored.contains("Plan: 13 to add") && colored.contains(ESCAPE),
        "{colored}"
    );
    let plain = terminal(Some("1"));
    assert!(
        plain.contains("Plan: 13 to add") && !plain.contains(ESCAPE),
        "{plain}"
    );
}
