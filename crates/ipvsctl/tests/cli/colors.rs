//! Colours of the output.

use crate::folder::Folder;

const ESCAPE: char = '\u{1b}';

#[test]
fn flags_and_environment_choose_colours() {
    let folder = Folder::with_live("# ipvs\n# addresses\n");
    let (force, forbid) = (Some(("CLICOLOR_FORCE", "1")), Some(("NO_COLOR", "1")));
    for (args, environment, colored) in [
        // The output is a pipe.
        ("", None, false),
        ("--color always", None, true),
        ("--color=always", forbid, true),
        ("", force, true),
        ("--no-color", force, false),
        ("--color never", force, false),
        ("--color always --no-color", None, false),
        ("", forbid, false),
    ] {
        let args = format!("{args} diff -f shop.yaml --node node1 --live live.txt");
        let ran = folder.run_with(&args, |command| {
            command.envs(environment);
        });
        let out = ran.exits(1).out;
        assert_eq!(
            out.contains(ESCAPE),
            colored,
            "{args} {environment:?}:\n{out}"
        );
    }
}

#[test]
fn help_and_errors_have_colours_too() {
    let folder = Folder::new();
    for (color, colored) in [("--color always ", true), ("", false)] {
        let help = folder.run(&format!("{color}--help")).exits(0).out;
        assert_eq!(help.contains(ESCAPE), colored, "{help}");
        let error = folder.run(&format!("{color}render -f a --node n"));
        let error = error.exits(2).err;
        assert_eq!(error.contains(ESCAPE), colored, "{error}");
    }
}

#[test]
fn levels_of_findings_have_colours() {
    let odd = "apiVersion: v1\nkind: Service\nmetadata: {name: odd, namespace: default}\n\
               spec: {clusterIP: 10.96.0.300, ports: [{port: 80}]}\n";
    let folder = Folder::new().with("odd.yaml", odd);
    let analyzed = |color: &str| {
        let ran = folder.run(&format!("{color} analyze -f odd.yaml --node node1"));
        ran.exits(1).out
    };
    let (plain, colored) = (analyzed("--color never"), analyzed("--color always"));
    assert!(
        plain.starts_with("KIV0101 error Service default/odd: "),
        "{plain}"
    );
    let styled = "KIV0101 \u{1b}[1m\u{1b}[31merror\u{1b}[0m Service default/odd: ";
    assert!(colored.starts_with(styled), "{colored:?}");
}

/// `script` provides the terminal.
#[test]
fn colours_on_a_terminal() {
    let folder = Folder::with_live("# ipvs\n# addresses\n");
    let terminal = |no_color: Option<&str>| {
        let ipvsctl = env!("CARGO_BIN_EXE_ipvsctl");
        let line = format!("{ipvsctl} diff -f shop.yaml --node node1 --live live.txt");
        let mut command = std::process::Command::new("script");
        command
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(folder.path())
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
