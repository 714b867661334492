//! Arguments of `apply`.

use clap::Args;

use super::{Files, NodeArgs};

/// Arguments of `apply`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
If kube-ipvsd runs on the node, it undoes changes that its own source does not ask for.

Examples:
  sudo ipvsctl apply -f manifests/
  sudo ipvsctl apply -f manifests/ --yes      # in a script

Exit status: 0 applied or nothing to do, 2 an error, a change that failed, or input that could not be read \
completely (nothing is deleted then).")]
pub struct Apply {
    /// Source of the objects.
    #[command(flatten)]
    pub files: Files,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Apply without asking for confirmation.
    #[arg(short, long)]
    pub yes: bool,
}
