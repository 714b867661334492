//! Arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{INPUT, NodeArgs, Source};

/// Arguments of `export`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  # Input of ipvsadm-restore for the objects in files.
  ipvsctl export -f /etc/kube-ipvs/servers.yaml --node lb1 | sudo ipvsadm-restore

  # Manifests of the virtual servers in the kernel.
  sudo ipvsctl export --kernel -o yaml > servers.yaml

Exit status: 0 exported, 2 an error or input that could not be read completely.")]
pub struct Export {
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Export the saved tables in this file instead of objects: output of get tables or of
    /// ipvsadm-save -n; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "kubeconfig", "context"], help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Export the kernel's virtual servers instead of objects.
    #[arg(long, conflicts_with_all = ["paths", "kubeconfig", "context", "live"], help_heading = INPUT)]
    pub kernel: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "ipvsadm")]
    pub output: ExportFormat,
}

/// Output format of `export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Input of ipvsadm-restore.
    Ipvsadm,
    /// VirtualServers in YAML.
    Yaml,
    /// VirtualServers in JSON.
    Json,
}
