//! Arguments of `migrate`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{INPUT, NODE, NodeArgs, PlanFormat, Source};

/// Arguments of `migrate`.
#[derive(Args, Debug)]
pub struct Migrate {
    /// The command.
    #[command(subcommand)]
    pub command: MigrateCommand,
}

/// Command about a take-over.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Say beforehand what happens when kube-ipvsd takes this node over.
    ///
    /// Shows the plan as diff does, which of our deviations from kube-proxy each change comes from, what
    /// stands in the way, what kube-proxy's other modes left behind, and the way back. It changes nothing
    /// and does not load IPVS.
    Check(MigrateCheck),
}

/// Arguments of `migrate check`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
In the way are: kube-proxy or another kube-ipvsd that answers at the metrics address; virtual servers \
of another program that a Service needs; open connections to real servers that would be deleted at once; \
a table that changes while it is read.

Examples:
  sudo ipvsctl migrate check --kubeconfig ~/.kube/config --config /var/lib/kube-proxy/config.conf
  kubectl get svc,endpointslices,nodes -A -o yaml | sudo ipvsctl migrate check -f - --force
  ipvsctl migrate check -f manifests/ --node node1 --live saved.txt   # by ipvsctl get tables -o text

Exit status: 0 nothing is in the way, 2 something has to be done first (or the arguments are wrong), \
1 an error or input that could not be read in whole.")]
pub struct MigrateCheck {
    /// Where the objects come from.
    #[command(flatten)]
    pub source: Source,
    /// For which node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Look at these saved tables in place of the kernel: what get tables printed, - for standard
    /// input. Neither leftovers nor connections are known then.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Where the node's proxy serves its metrics [default: metricsBindAddress of --config, else
    /// 127.0.0.1:10249; with --live: no program is asked].
    #[arg(long, value_name = "ADDRESS", help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// A proxy that runs is not in the way: it will be stopped.
    #[arg(long)]
    pub force: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
}
