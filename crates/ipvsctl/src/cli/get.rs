//! Arguments of `get`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ConnectionArgs, Format, INPUT, Named, Select, ServerArgs};

/// Arguments of `get`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo ipvsctl get servers
  sudo ipvsctl get servers -o text | ipvsadm-restore    # on another machine
  sudo ipvsctl get tables -o text > saved.txt           # for ipvsctl diff --live
  ipvsctl get servers -o wide --live saved.txt
  sudo ipvsctl get servers --stats --sort-by bytes | head -20
  sudo ipvsctl get servers -n shop --rate --watch=5
  sudo ipvsctl get connections --service shop/web --summary
  sudo ipvsctl get connections --client 192.0.2.0/24
  sudo ipvsctl get drains
  ipvsctl get node-state > node1.yaml                   # for --node-state, on another machine

The column SERVICE has names if -f, --kubeconfig, --context or --config names a source of objects, or if \
kube-ipvsd runs on this node. Servers and connections are printed while they are read.

Drains are read from kube-ipvsd and from the kernel, where they are real servers of weight 0 of our \
virtual servers. Service and times of a drain that only the kernel reports are shown as unknown.")]
pub struct Get {
    /// Tables to print.
    pub what: What,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Print the saved tables in this file instead of the kernel's; - for standard input. For
    /// connections: a copy of /proc/net/ip_vs_conn.
    #[arg(long, value_name = "FILE", conflicts_with = "watch", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Selection of servers and connections.
    #[command(flatten)]
    pub select: Select,
    /// Options for servers.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// Options for connections.
    #[command(flatten)]
    pub connections: ConnectionArgs,
    /// Source of the names of Services, for servers and connections.
    #[command(flatten)]
    pub named: Named,
}

/// Tables to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Virtual servers and their real servers.
    #[value(alias = "server")]
    Servers,
    /// Connections, and the clients that persistence keeps at a real server.
    #[value(alias = "connection")]
    Connections,
    /// Addresses of the device kube-ipvs0.
    #[value(alias = "address")]
    Addresses,
    /// Idle timeouts of connections.
    #[value(alias = "timeout")]
    Timeouts,
    /// All tables, with the interfaces and connections of the node: all that diff --live and diff
    /// TABLES TABLES need.
    Tables,
    /// A file for --node-state: interfaces, addresses, kernel, processors and TCP keepalive of this
    /// machine. Needs no privileges.
    #[value(alias = "nodestate")]
    NodeState,
    /// Real servers that get no new connections and keep their open ones.
    #[value(alias = "drain")]
    Drains,
}
