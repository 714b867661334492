//! Arguments of `man`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `man`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl man diff | man -l -
  ipvsctl man --directory /usr/local/share/man/man1

Exit status: 0 printed or written, 2 no such command, or a file that cannot be written.")]
pub struct Man {
    /// Print the page of this command, for example `get` or `migrate check`, instead of the page of
    /// ipvsctl.
    pub command: Vec<String>,
    /// Write the pages of all commands to this directory, which must exist.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    pub directory: Option<PathBuf>,
}
