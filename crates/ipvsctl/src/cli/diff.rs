//! Arguments of `diff`.

use clap::Args;

use super::{Compared, Format};

/// Arguments of `diff`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
A line begins with + for an addition, ~ for a change and - for a deletion. The entry follows in the syntax \
of ipvsadm, then the reason. Lines are grouped by Service port; the last line counts them.

Virtual servers of other programs (their address is not on kube-ipvs0) are never changed. If a part of \
the input cannot be read, nothing is deleted and the withheld deletions are counted.

Examples:
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/
  ipvsctl diff -f manifests/ --node node1 --live saved.txt   # saved by ipvsctl get tables -o text

Exit status: 0 no difference, 1 differences, 2 an error or input that could not be read completely.")]
pub struct Diff {
    /// The tables to compare.
    #[command(flatten)]
    pub compared: Compared,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
