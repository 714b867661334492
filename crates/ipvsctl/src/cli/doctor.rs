//! Arguments of `doctor`.

use std::net::SocketAddr;

use clap::Args;

use super::{Format, NODE, NodeArgs, socket_address};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Checks:
  - IPVS, kernel modules, kernel settings, bridges
  - fill levels of the connection tracker and of the sets
  - idle timeouts against TCP keepalive
  - the device kube-ipvs0, its addresses, virtual servers, draining real servers
  - the packet filter (iptables-nft and iptables-legacy), leftovers of kube-proxy's other modes
  - running proxies, and the status of kube-ipvsd

Examples:
  sudo ipvsctl doctor --config /etc/kube-ipvs/config.yaml
  sudo ipvsctl doctor -o json | jq '.checks[] | select(.severity != \"ok\")'

Exit status: 0 every check is ok, 1 there are warnings or problems, 2 an error: the node could not be checked.")]
pub struct Doctor {
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Metrics address of the node's proxy [default: metricsBindAddress of --config, else
    /// 127.0.0.1:10249].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
