//! Arguments of `import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::INPUT;
use crate::import::Origin;

/// Arguments of `import`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The result is a file for kube-ipvsd --manifests and for -f of the other commands. TCP_CHECK and HTTP_GET of \
keepalived become a healthCheck if all real servers of a virtual server have the same. Other checks, sorry \
servers, VRRP and scripts have no equivalent: each is listed on standard error with its file and line. An \
address that keepalived adds by VRRP gets bind: false.

Examples:
  ipvsadm-save -n | ipvsctl import - > /etc/kube-ipvs/servers.yaml
  ipvsctl import /etc/keepalived/keepalived.conf > /etc/kube-ipvs/servers.yaml
  ipvsctl import keepalived.conf --strict -o json

Exit status: 0 imported, 1 a part has no equivalent (with --strict), 2 an error or a mistake in the input.")]
pub struct Import {
    /// File to read; - for standard input.
    #[arg(value_name = "FILE", help_heading = INPUT)]
    pub path: PathBuf,
    /// Kind of input. Default: detected by the first line.
    #[arg(long, value_name = "KIND", help_heading = INPUT)]
    pub from: Option<Origin>,
    /// Use lines of keepalived that begin with @NAME, as its own --config-id does.
    #[arg(long, value_name = "NAME", help_heading = INPUT)]
    pub config_id: Option<String>,
    /// Exit with status 1 if a part of the input has no equivalent.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub output: ManifestFormat,
}

/// Output format of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ManifestFormat {
    /// One YAML document for each VirtualServer.
    Yaml,
    /// JSON: an object of kind List.
    Json,
}
