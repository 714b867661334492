//! One `check` for each question: what is wrong, what is odd, what holds.

mod extract;
mod fields;
mod files;
mod flags;
mod meanings;
mod page;

use std::time::Duration;

use ipnetwork::IpNetwork;

use super::*;

/// A file of our own kind with these fields.
fn ours(fields: &str) -> String {
    format!("apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n{fields}")
}

fn resolve(text: &str) -> Result<Resolved, ConfigErrors> {
    parse("c.yaml", text)?.resolve(&NodeOverrides::default(), "Host ")
}

fn by_flags(flags: ConfigFlags) -> Result<Resolved, ConfigErrors> {
    let overrides = NodeOverrides {
        flags,
        ..NodeOverrides::default()
    };
    load(None, &overrides, "host")
}

/// The flags of a command line.
fn command_line(args: &[&str]) -> ConfigFlags {
    use clap::{Args as _, Command, FromArgMatches as _};
    let command = ConfigFlags::augment_args(Command::new("x"));
    let args = ["x"].iter().chain(args);
    let matches = command.try_get_matches_from(args).expect("flags");
    ConfigFlags::from_arg_matches(&matches).expect("flags")
}

#[track_caller]
fn check_errors(text: &str, expected: &[&str]) {
    let errors = resolve(text).expect_err("mistakes");
    let found: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_warnings(text: &str, expected: &[&str]) {
    let resolved = resolve(text).expect("a configuration");
    check_lines(&resolved.warnings, expected);
}

#[track_caller]
fn check_lines(found: &[ConfigWarning], expected: &[&str]) {
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

/// Checks the values at these paths, as `path value (origin)`.
#[track_caller]
fn check_values(resolved: &Resolved, expected: &[&str]) {
    let path = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let paths: Vec<_> = expected.iter().map(|line| path(line)).collect();
    let found: Vec<_> = (resolved.values().iter())
        .filter(|value| paths.iter().any(|path| path == value.path))
        .map(|value| format!("{} {} ({})", value.path, value.text(), value.origin))
        .collect();
    assert_eq!(found, expected);
}

fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}
