//! Arguments of `completion`.

use clap::Args;

/// Arguments of `completion`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl completion bash > /etc/bash_completion.d/ipvsctl
  ipvsctl completion zsh > \"${fpath[1]}/_ipvsctl\"
  ipvsctl completion fish > ~/.config/fish/completions/ipvsctl.fish")]
pub struct Completion {
    /// The shell.
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    pub shell: String,
}
