//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use sources::config::as_declared;
use sources::{ConfigFlags, NodeOverrides};

use crate::http::flagz::Flags;
use crate::logging::LogFormat;

mod shown;
#[cfg(test)]
mod tests;

/// Programs this node's IPVS tables for the Services of a cluster.
///
/// Reads Services, EndpointSlices and the own Node from a Kubernetes API server or from files,
/// computes the tables that they require, compares them with the kernel's tables, and applies the
/// difference. Entries of other programs are never changed. When kube-ipvsd stops, the tables stay
/// and traffic continues.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-ipvsd", version = crate::VERSION, after_help = EXAMPLES)]
pub struct Args {
    /// kubeconfig file. Default: $KUBECONFIG, then the pod's service account, then ~/.kube/config
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub kubeconfig: Option<PathBuf>,
    /// Files or directories with Services and EndpointSlices, in place of an API server. They are
    /// watched for changes. `-` is standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub manifests: Vec<PathBuf>,
    /// Name of the Node object. Default: the host's name
    #[arg(
        long,
        value_name = "NAME",
        alias = "hostname-override",
        env = "NODE_NAME",
        hide_env_values = true
    )]
    pub node_name: Option<String>,
    /// Configuration file: kube-proxy's KubeProxyConfiguration v1alpha1, or KubeIpvsConfiguration.
    /// With a file, kube-proxy's flags below are ignored, except those of logging and of the metrics
    /// address
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Exit with an error, not a warning, if kube-proxy's file has unknown or removed fields
    #[arg(long)]
    pub strict_config: bool,
    /// No effect: kube-proxy's file is read leniently by default
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// Write the effective configuration with all defaults to this file, and exit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["once", "cleanup"])]
    pub write_config_to: Option<PathBuf>,
    /// Sync once and exit. The status is 1 if anything failed
    #[arg(long, conflicts_with = "cleanup")]
    pub once: bool,
    /// Delete everything that kube-ipvsd created on this node, and exit
    #[arg(long)]
    pub cleanup: bool,
    /// Write the kernel settings that differ, and exit. Writing them takes privileges; after that
    /// the daemon needs only CAP_NET_ADMIN
    #[arg(long, conflicts_with_all = ["once", "cleanup"])]
    pub init_only: bool,
    /// Delete leftovers of kube-proxy's iptables and nftables modes and of its old versions, once,
    /// after the first sync. Until that sync they may still serve traffic
    #[arg(long, conflicts_with_all = ["cleanup", "init_only", "force"])]
    pub remove_leftovers: bool,
    /// Start even if kube-proxy or another kube-ipvsd runs on this node
    #[arg(long)]
    pub force: bool,
    /// Do not run `modprobe` for IPVS and its scheduler. `ip_vs` and `ip_vs_NAME` must be loaded
    /// before
    #[arg(long)]
    pub no_modprobe: bool,
    /// Format of log lines on standard error. Default: --logging-format, then the file's
    /// logging.format, then text
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Log level: error, warn, info, debug, trace, or a filter such as `info,sources=debug`.
    /// Default: from -v, then the file's logging.verbosity, then info
    #[arg(
        long,
        value_name = "LEVEL",
        env = "KUBE_IPVS_LOG",
        hide_env_values = true
    )]
    pub log_level: Option<String>,
    /// Short form of --v
    #[arg(short = 'v', value_name = "NUMBER", hide = true)]
    pub verbosity: Option<String>,
    /// kube-proxy's flags.
    #[command(flatten)]
    pub flags: ConfigFlags,
    /// Every flag with its value, for `/flagz`.
    #[arg(skip)]
    pub shown: Flags,
}

impl Args {
    /// Reads the command line of this process. Exits if it is invalid or asks for the help or the
    /// version.
    #[must_use]
    pub fn of_process() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read(args: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(as_kube_proxy_reads_it(args))?;
        let mut args =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        args.shown = shown::flags(&command, &matches);
        Ok(args)
    }

    /// Returns the settings of the command line that are added to those of the configuration file.
    #[must_use]
    pub fn overrides(&self) -> NodeOverrides {
        let flags = self.flags.clone();
        NodeOverrides {
            node_name: self.node_name.clone(),
            kubeconfig: self.kubeconfig.clone(),
            flags: match &self.verbosity {
                Some(verbosity) => flags.with("v", verbosity),
                None => flags,
            },
            strict: self.strict_config,
        }
    }
}

/// Rewrites a command line in kube-proxy's syntax with the flags as they are declared here.
fn as_kube_proxy_reads_it(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let command = Args::command();
    let is_switch = |name: &str| {
        let declared = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name));
        let switch = declared.is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
        switch || name == "version"
    };
    as_declared(args, is_switch)
}

const EXAMPLES: &str = "\
Examples:
  In a pod, with kube-proxy's ConfigMap:
    kube-ipvsd --config=/var/lib/kube-proxy/config.conf --node-name=$(NODE_NAME)
  Without Kubernetes, from a directory that is watched:
    kube-ipvsd --manifests /etc/kube-ipvs --node-name node1
  Once, from the output of kubectl:
    kubectl get svc,endpointslices,nodes -A -o yaml | kube-ipvsd --manifests - --once
  Remove everything that kube-ipvsd created:
    kube-ipvsd --cleanup";
