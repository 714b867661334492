//! Arguments of `config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sources::ConfigFlags;

use super::Format;

/// Arguments of `config`.
#[derive(Args, Debug)]
pub struct Config {
    /// The command.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Subcommand of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file.
    ///
    /// Prints all mistakes at once, each with the path of its field. Warnings are about accepted
    /// fields that have no effect; they do not change the exit status.
    Check(ConfigCheck),
    /// Print every effective setting and its source.
    ///
    /// Give the configuration file and the flags of kube-ipvsd, or those of kube-proxy.
    Show(ConfigShow),
}

/// Arguments of `config check`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl config check /var/lib/kube-proxy/config.conf
  kubectl -n kube-system get configmap kube-proxy -o jsonpath='{.data.config\\.conf}' |
    ipvsctl config check -

Exit status: 0 the file is valid, 1 it has mistakes, 2 it cannot be read.")]
pub struct ConfigCheck {
    /// File with a KubeProxyConfiguration or a KubeIpvsConfiguration; - for standard input.
    pub file: PathBuf,
    /// Treat unknown and removed fields of kube-proxy's file as mistakes, not as warnings.
    #[arg(long)]
    pub strict_config: bool,
    /// Has no effect: kube-proxy's file is read leniently by default.
    #[arg(long, hide = true)]
    pub lenient: bool,
}

/// Arguments of `config show`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl config show --config /var/lib/kube-proxy/config.conf
  ipvsctl config show --ipvs-scheduler wrr --masquerade-all -o yaml

Exit status: 0 printed, 2 the configuration has mistakes.")]
pub struct ConfigShow {
    /// Configuration file; without it the flags of kube-proxy decide.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Treat unknown and removed fields of kube-proxy's file as mistakes, not as warnings.
    #[arg(long)]
    pub strict_config: bool,
    /// Has no effect: kube-proxy's file is read leniently by default.
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// Name of the node in Kubernetes; overrides the file.
    #[arg(long, value_name = "NAME", aliases = ["hostname-override", "node-name"])]
    pub node: Option<String>,
    /// Kubeconfig of the API server; overrides the file.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// Flags of kube-proxy.
    #[command(flatten)]
    pub flags: ConfigFlags,
}
