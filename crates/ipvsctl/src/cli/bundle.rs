//! Arguments of `bundle`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{INPUT, NODE, NodeArgs, Source, socket_address};

/// Arguments of `bundle`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Without -f and --kubeconfig the objects and the configuration are those of the running kube-ipvsd, as with \
doctor.

The first file of the archive, CONTENTS.txt, lists all files, and those that could not be had with the reason. \
Tokens, passwords, keys and certificates are removed from configuration and logs. Names and addresses of \
Services, endpoints and clients stay: look through the archive before you pass it on.

Examples:
  sudo ipvsctl bundle
  sudo ipvsctl bundle --config /etc/kube-ipvs/config.yaml
  sudo ipvsctl bundle --file - | tar -tv

Exit status: 0 the archive is written, 2 it could not be written.")]
pub struct Bundle {
    /// Source of the objects, for the difference and the findings.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Metrics address of kube-ipvsd [default: metricsBindAddress of the configuration, else
    /// 127.0.0.1:10249].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// File to write, which must not exist; - for standard output [default:
    /// kube-ipvs-bundle-NODE-TIME.tar].
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Directory with log files of kube-ipvsd, besides journald and the logs of pods.
    #[arg(long, value_name = "DIRECTORY", help_heading = INPUT)]
    pub logs: Option<PathBuf>,
}
