//! Arguments of `migrate`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::{Compared, Format, NODE, socket_address};

/// Arguments of `migrate`.
#[derive(Args, Debug)]
pub struct Migrate {
    /// The command.
    #[command(subcommand)]
    pub command: MigrateCommand,
}

/// Subcommand of `migrate`.
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Show the effects of a take-over of this node by kube-ipvsd.
    ///
    /// Shows the plan as diff does, the deviation from kube-proxy that causes each change,
    /// blockers, leftovers of kube-proxy's other modes, and the steps of a rollback. Changes
    /// nothing and does not load IPVS.
    Check(MigrateCheck),
}

/// Arguments of `migrate check`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Blockers are:
  - kube-proxy or another kube-ipvsd that answers at the metrics address
  - virtual servers of another program at the address and port of a Service
  - open connections to real servers that would be deleted without a drain
  - a table that changes while it is read

Examples:
  sudo ipvsctl migrate check --kubeconfig ~/.kube/config --config /var/lib/kube-proxy/config.conf
  kubectl get svc,endpointslices,nodes -A -o yaml | sudo ipvsctl migrate check -f - --force
  ipvsctl migrate check -f manifests/ --node node1 --live saved.txt   # saved by ipvsctl get tables -o text

Exit status: 0 no blockers, 1 blockers, 2 an error or input that could not be read completely.")]
pub struct MigrateCheck {
    /// The tables to compare. Leftovers and connections are unknown for saved tables.
    #[command(flatten)]
    pub compared: Compared,
    /// Metrics address of the node's proxy [default: metricsBindAddress of --config, else
    /// 127.0.0.1:10249; with --live: no proxy is asked].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// Do not count a running proxy as a blocker, because it will be stopped.
    #[arg(long)]
    pub force: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
