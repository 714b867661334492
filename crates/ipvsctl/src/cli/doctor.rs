//! Arguments of `doctor`.

use std::net::SocketAddr;

use clap::Args;

use super::{LineFormat, NODE, NodeArgs};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Checks: IPVS and its modules; kernel settings and bridges; how full the connection tracker and the sets \
are; idle timeouts against keepalive; the device kube-ipvs0, its addresses and the virtual servers; real \
servers that drain; the packet filter, in both variants; leftovers of kube-proxy's other modes; which \
proxies answer, and what kube-ipvsd says of itself.

Examples:
  sudo ipvsctl doctor --config /etc/kube-ipvs/config.yaml
  sudo ipvsctl doctor -o json | jq '.checks[] | select(.severity != \"ok\")'

Exit status: 0 all is well, 1 there are warnings or problems, 2 an error: it could not be looked.")]
pub struct Doctor {
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Where the node's proxy serves its metrics [default: metricsBindAddress of --config, else
    /// 127.0.0.1:10249].
    #[arg(long, value_name = "ADDRESS", help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: LineFormat,
}
