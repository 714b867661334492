//! Arguments of `get`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Format, INPUT, socket_address};

/// Arguments of `get`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  sudo ipvsctl get servers
  sudo ipvsctl get servers -o text | ipvsadm-restore    # on another machine
  sudo ipvsctl get tables -o text > saved.txt           # for ipvsctl diff --live
  ipvsctl get servers -o wide --live saved.txt
  sudo ipvsctl get drains
  ipvsctl get node-state > node1.yaml                   # for --node-state, on another machine

Drains are read from kube-ipvsd and from the kernel, where they are real servers of weight 0 of our \
virtual servers. Service and times of a drain that only the kernel reports are shown as unknown.")]
pub struct Get {
    /// Tables to print.
    pub what: What,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Print the saved tables in this file instead of the kernel's; - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// For drains: metrics address of kube-ipvsd [default: 127.0.0.1:10249; with --live: kube-ipvsd
    /// is not asked].
    #[arg(long, value_name = "ADDRESS", value_parser = socket_address, help_heading = INPUT)]
    pub metrics_address: Option<SocketAddr>,
}

/// Tables to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Virtual servers and their real servers.
    #[value(alias = "server")]
    Servers,
    /// Addresses of the device kube-ipvs0.
    #[value(alias = "address")]
    Addresses,
    /// Idle timeouts of connections.
    #[value(alias = "timeout")]
    Timeouts,
    /// All tables, with the interfaces and connections of the node: all that diff --live and diff
    /// TABLES TABLES need.
    Tables,
    /// A file for --node-state: interfaces, addresses, kernel and processors of this machine. Needs
    /// no privileges.
    #[value(alias = "nodestate")]
    NodeState,
    /// Real servers that get no new connections and keep their open ones.
    #[value(alias = "drain")]
    Drains,
}
