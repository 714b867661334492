//! Cases are a file, or flags, with the lines that follow: `error: PATH: MESSAGE`, or else
//! `warning: PATH: MESSAGE` and `PATH = VALUE`, perhaps with `(ORIGIN)`.

mod extract;
mod fields;
mod files;
mod flags;
mod page;
mod policies;
mod sync;
mod timeouts;

use std::time::Duration;

use super::*;

/// A file of our own kind with these fields.
fn ours(fields: &str) -> String {
    format!("apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n{fields}")
}

fn resolve(text: &str) -> Result<Resolved, ConfigErrors> {
    parse("c.yaml", text)?.resolve(&NodeOverrides::default(), "Host ")
}

#[track_caller]
fn resolved(text: &str) -> Resolved {
    resolve(text).expect("a configuration")
}

/// The flags of a command line.
fn command_line(args: &[&str]) -> ConfigFlags {
    use clap::{Args as _, Command, FromArgMatches as _};
    let command = ConfigFlags::augment_args(Command::new("x"));
    let args = ["x"].iter().chain(args);
    let matches = command.try_get_matches_from(args).expect("flags");
    ConfigFlags::from_arg_matches(&matches).expect("flags")
}

fn by_flags(args: &[&str]) -> Result<Resolved, ConfigErrors> {
    let overrides = NodeOverrides {
        flags: command_line(args),
        ..NodeOverrides::default()
    };
    load(None, &overrides, "host")
}

/// Checks a file: all errors, or else all warnings and these values.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(lines(resolve(text), expected), expected, "{text}");
}

/// Checks a file of our own kind with these fields.
#[track_caller]
fn check_ours(fields: &str, expected: &[&str]) {
    check(&ours(fields), expected);
}

/// Checks flags without a file.
#[track_caller]
fn check_flags(args: &[&str], expected: &[&str]) {
    assert_eq!(lines(by_flags(args), expected), expected, "{args:?}");
}

fn lines(found: Result<Resolved, ConfigErrors>, expected: &[&str]) -> Vec<String> {
    let resolved = match found {
        Ok(resolved) => resolved,
        Err(ConfigErrors(errors)) => {
            return errors
                .iter()
                .map(|error| format!("error: {error}"))
                .collect();
        }
    };
    let warnings = (resolved.warnings.iter()).map(|warning| format!("warning: {warning}"));
    let values = resolved.values();
    let values = values.iter().filter_map(|value| {
        let start = format!("{} = ", value.path);
        let wanted = expected.iter().find(|line| line.starts_with(&start))?;
        let line = format!("{start}{}", value.text());
        match wanted.ends_with(')') {
            true => Some(format!("{line} ({})", value.origin)),
            false => Some(line),
        }
    });
    warnings.chain(values).collect()
}
