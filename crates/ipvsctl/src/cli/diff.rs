//! Arguments of `diff`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use model::ObjectName;

use super::{Compared, Format, owner_name, owner_names};
use crate::grouping::Kind;

const SHOWN: &str = "Output";

/// Arguments of `diff`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
A summary by kind of entry comes first. Then the changes follow, grouped by the Service port that asks for \
the entry. (node) groups entries of all Services, (no Service) entries that no Service asks for. A line \
begins with + for an addition, ~ for a change and - for a deletion. The entry follows in the syntax of \
ipvsadm, ip, ipset or sysctl. A note follows only if it says more than the mark: the settings that differ, \
an unusual reason, other Services that share the entry. Rules are a diff of each chain.

Virtual servers of other programs (their address is not on kube-ipvs0) are never changed. If a part of \
the input cannot be read, nothing is deleted and the withheld deletions are counted.

With two files, diff compares saved tables of two nodes or of two times. It shows the changes that turn the \
first tables into the second, by kind of entry. No objects are needed.

Examples:
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/ --stat
  sudo ipvsctl diff -f manifests/ --service shop/web --kind real-server
  ipvsctl diff -f manifests/ --node node1 --live saved.txt   # saved by ipvsctl get tables -o text
  ipvsctl diff before.txt after.txt

Exit status: 0 no difference, 1 differences among those that --service and --kind select, 2 an error or \
input that could not be read completely.")]
pub struct Diff {
    /// Compare the saved tables in these two files; - for standard input.
    #[arg(
        value_names = ["TABLES", "TABLES"],
        num_args = 2,
        conflicts_with_all = [
            "paths", "strict", "kubeconfig", "context", "node", "config", "strict_config", "node_state",
            "live", "services"
        ]
    )]
    pub tables: Vec<PathBuf>,
    /// The tables to compare.
    #[command(flatten)]
    pub compared: Compared,
    /// Show only the changes of this Service, or of this VirtualServer if it is written as
    /// "VirtualServer NAMESPACE/NAME"; may be given several times.
    #[arg(long = "service", value_name = "NAMESPACE/NAME", value_parser = owner_name, add = owner_names(), help_heading = SHOWN)]
    pub services: Vec<ObjectName>,
    /// Show only changes of this kind of entry; may be given several times.
    #[arg(long = "kind", value_name = "KIND", help_heading = SHOWN)]
    pub kinds: Vec<Kind>,
    /// Show the summary, and one line for each Service with its numbers of changes, the largest
    /// first. For text only.
    #[arg(long, help_heading = SHOWN)]
    pub stat: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", help_heading = SHOWN)]
    pub output: DiffFormat,
}

/// Output format of `diff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Same as text.
    Table,
    /// Same as text.
    Wide,
    /// Lines, in the syntax of ipvsadm, ipset, iptables, ip and sysctl.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// A shell script that makes the changes with ipvsadm, ipset, iptables-restore, ip and sysctl,
    /// for review.
    Patch,
}

impl DiffFormat {
    /// Returns the format that every command has; `None` for a patch.
    #[must_use]
    pub fn common(self) -> Option<Format> {
        Some(match self {
            Self::Table => Format::Table,
            Self::Wide => Format::Wide,
            Self::Text => Format::Text,
            Self::Json => Format::Json,
            Self::Yaml => Format::Yaml,
            Self::Patch => return None,
        })
    }
}
