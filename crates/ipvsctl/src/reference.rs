//! Renders the command line as a page of documentation.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

/// Width of a line of help on the page.
const WIDTH: usize = 100;

/// Returns the page `docs/reference/cli.md`, with the help of each command.
#[must_use]
pub fn markdown() -> String {
    let mut page = "\
# ipvsctl

<!-- Generated from the program's help by `BLESS=1 cargo test -p ipvsctl docs_are_current`. -->
"
    .to_owned();
    let mut command = Cli::command().term_width(WIDTH);
    command.build();
    describe(&mut page, &mut command, "ipvsctl");
    page
}

fn describe(page: &mut String, command: &mut Command, name: &str) {
    let help = command
        .clone()
        .bin_name(name)
        .render_long_help()
        .to_string();
    if name != "ipvsctl" {
        let _ = write!(page, "\n## {name}\n");
    }
    page.push_str("\n```text\n");
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    for child in command
        .get_subcommands_mut()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        let name = format!("{name} {}", child.get_name());
        describe(page, child, &name);
    }
}
