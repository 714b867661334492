//! Arguments of `doctor`.

use std::net::SocketAddr;

use clap::Args;

use super::{Format, NODE, NodeArgs, Source, socket_address};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Without -f and --kubeconfig the objects and the configuration are those of the running kube-ipvsd, found \
among the processes of this node; without one they come from a cluster, as with diff. If they cannot be \
read within 15 s, the other checks still run.

Each problem names the Services that it affects, what their users see, and what to do. The advice never \
ends connections. The last line is the verdict.

Checks:
  - the tables against those that the cluster asks for, as diff: virtual servers, real servers, \
addresses, set entries, chains and jumps, timeouts, synchronisation daemons
  - the device kube-ipvs0, local routes of its addresses, Service addresses on other devices
  - the process of kube-ipvsd, its answers, its sources, its failing entries, other proxies
  - the packet filter (iptables-nft and iptables-legacy), rules of other programs that drop packets to \
Services, leftovers of kube-proxy's other modes
  - IPVS, kernel modules, kernel settings, bridges
  - fill levels of the connection tracker and of the sets
  - idle timeouts against TCP keepalive, draining real servers
  - direct routing and tunnels: whether the kernel knows the tunnels, and whether clients on this node get \
answers

Examples:
  sudo ipvsctl doctor
  sudo ipvsctl doctor -f manifests/ --node node1
  sudo ipvsctl doctor -o json | jq '.checks[] | select(.severity != \"ok\")'

Exit status: 0 healthy, 1 there are warnings or problems, 2 the node could not be checked.")]
pub struct Doctor {
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Metrics address of the node's proxy [default: metricsBindAddress of the configuration, else
    /// 127.0.0.1:10249].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = NODE)]
    pub metrics_address: Option<SocketAddr>,
    /// Output format; wide lists the checks that are ok too.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}
