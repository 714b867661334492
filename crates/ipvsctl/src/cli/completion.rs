//! Arguments of `completion`.

use clap::Args;
use clap_complete::Shell;

/// Arguments of `completion`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl completion bash > /etc/bash_completion.d/ipvsctl
  ipvsctl completion zsh > \"${fpath[1]}/_ipvsctl\"
  ipvsctl completion fish > ~/.config/fish/completions/ipvsctl.fish")]
pub struct Completion {
    /// The shell.
    pub shell: Shell,
}
