//! Colours, and messages on standard error.

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Reset, Style};
use model::{Finding, Level, OpEffect, escaped};

use crate::cli::ColorWhen;

/// Style of headings.
pub const HEADING: Style = Style::new().bold();
/// Style of an addition.
pub const ADD: Style = AnsiColor::Green.on_default();
/// Style of a change.
pub const CHANGE: Style = AnsiColor::Yellow.on_default();
/// Style of a deletion.
pub const DELETE: Style = AnsiColor::Red.on_default();
/// Style of an explanation.
pub const QUIET: Style = Style::new().dimmed();

/// Style of an error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of a warning.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Returns the escape sequences that begin and end the styles.
#[must_use]
pub fn sequences() -> Vec<String> {
    let styles = [HEADING, ADD, CHANGE, DELETE, QUIET, ERROR, WARNING];
    let begins = styles.iter().map(|style| style.render().to_string());
    begins.chain([Reset.render().to_string()]).collect()
}

/// Sets when to use colours for all further output. `Auto` means: on a terminal, unless `NO_COLOR`
/// is set or the terminal is dumb.
pub fn choose(when: ColorWhen) {
    choice(when).write_global();
}

/// Returns the choice of colours in the arguments before they are parsed, since the parser itself
/// prints `--help` and mistakes in the arguments.
#[must_use]
pub fn of_help(args: &[OsString]) -> clap::ColorChoice {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let has_choice = |word: &str| {
        args.iter().any(|arg| *arg == format!("--color={word}"))
            || (args.windows(2)).any(|pair| pair[0] == "--color" && pair[1] == word)
    };
    if args.iter().any(|arg| arg == "--no-color") || has_choice("never") {
        clap::ColorChoice::Never
    } else if has_choice("always") {
        clap::ColorChoice::Always
    } else {
        clap::ColorChoice::Auto
    }
}

/// Returns true if standard error has colours.
#[must_use]
pub fn colored_stderr() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Returns the style of a line of a plan.
#[must_use]
pub fn of_effect(effect: OpEffect) -> Style {
    match effect {
        OpEffect::Add => ADD,
        OpEffect::Change => CHANGE,
        OpEffect::Delete => DELETE,
    }
}

/// Prints `error: …` on standard error.
pub fn error(text: &str) {
    line(ERROR, "error", text);
}

/// Prints `note: …` on standard error.
pub fn note(text: &str) {
    line(QUIET, "note", text);
}

/// Prints `warning: …` on standard error.
pub fn warning(text: &str) {
    line(WARNING, "warning", text);
}

/// True if findings are not printed on standard error.
static FINDINGS_HIDDEN: AtomicBool = AtomicBool::new(false);

/// Keeps [`finding`] from printing, for a command that prints findings of its own choice.
pub fn hide_findings() {
    FINDINGS_HIDDEN.store(true, Ordering::Relaxed);
}

/// Prints a finding on standard error: `error: KIV0101 Service default/web: spec.clusterIPs[0]: …`.
pub fn finding(finding: &Finding) {
    if FINDINGS_HIDDEN.load(Ordering::Relaxed) {
        return;
    }
    let Finding {
        code,
        kind: _,
        object: _,
        field,
        problem,
        consequence,
    } = finding;
    let subject = finding.subject();
    let text = format!("{code} {subject}: {field}: {problem}; {consequence}");
    match code.level() {
        Level::Error => error(&text),
        Level::Warning => warning(&text),
        // Shown with -v only: the node does what the objects ask for.
        Level::Info => tracing::info!("{text}"),
    }
}

fn line(style: Style, word: &str, text: &str) {
    let mut err = anstream::stderr().lock();
    // A closed standard error leaves no place for a report.
    let _ = writeln!(err, "{style}{word}:{style:#} {}", escaped(text));
}

fn choice(when: ColorWhen) -> ColorChoice {
    match when {
        ColorWhen::Auto => ColorChoice::Auto,
        ColorWhen::Always => ColorChoice::Always,
        ColorWhen::Never => ColorChoice::Never,
    }
}
