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

/// Keeps this node's IPVS table as the cluster's Services ask.
///
/// Reads Services, EndpointSlices and the own Node from a Kubernetes API server or from files, compares
/// what they ask for with the kernel's tables, and applies the difference. Entries of others are left
/// alone. When it stops, the tables stay: traffic goes on.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-ipvsd", version, after_help = EXAMPLES)]
pub struct Args {
    /// A kubeconfig file; without it $KUBECONFIG, then the pod's service account, then ~/.kube/config
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub kubeconfig: Option<PathBuf>,
    /// Files or directories with Services and EndpointSlices instead of an API server; read again
    /// whenever they change. `-` is standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub manifests: Vec<PathBuf>,
    /// The node's name in Kubernetes, if it is not the host's
    #[arg(
        long,
        value_name = "NAME",
        alias = "hostname-override",
        env = "NODE_NAME",
        hide_env_values = true
    )]
    pub node_name: Option<String>,
    /// The configuration: kube-proxy's file, KubeProxyConfiguration v1alpha1, or ours,
    /// KubeIpvsConfiguration; it decides alone, whatever kube-proxy's flags below say
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End at fields of kube-proxy's file that it does not know or has no longer, instead of a warning
    #[arg(long)]
    pub strict_config: bool,
    /// Without meaning: kube-proxy's file is read leniently
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// Write the configuration that holds, with all defaults, to this file, and exit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["once", "cleanup"])]
    pub write_config_to: Option<PathBuf>,
    /// Synchronise once and exit; status 1 if anything failed
    #[arg(long, conflicts_with = "cleanup")]
    pub once: bool,
    /// Delete what this program made on this node, and exit
    #[arg(long)]
    pub cleanup: bool,
    /// Write the kernel settings that differ, and exit: what takes privileges, so that the daemon itself
    /// runs with CAP_NET_ADMIN alone
    #[arg(long, conflicts_with_all = ["once", "cleanup"])]
    pub init_only: bool,
    /// Delete, once, what kube-proxy's iptables and nftables modes and old versions left on this node:
    /// after the first synchronisation, since until then it may be what serves
    #[arg(long, conflicts_with_all = ["cleanup", "init_only", "force"])]
    pub remove_leftovers: bool,
    /// Start though kube-proxy, or another kube-ipvsd, runs on this node
    #[arg(long)]
    pub force: bool,
    /// Do not run `modprobe` for IPVS and its scheduler; load `ip_vs` and `ip_vs_NAME` before
    #[arg(long)]
    pub no_modprobe: bool,
    /// Format of log lines on standard error; without it --logging-format, then the file's logging.format,
    /// then text
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Log lines to write: error, warn, info, debug, trace, or a filter such as `info,sources=debug`; without
    /// it as -v or the file's logging.verbosity says, then info
    #[arg(
        long,
        value_name = "LEVEL",
        env = "KUBE_IPVS_LOG",
        hide_env_values = true
    )]
    pub log_level: Option<String>,
    /// The short form of --v
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
    /// Reads the command line of this process. Ends the process where it is wrong, and where it asks for the help or the version.
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

    /// Returns the settings of the command line, which are added to the configuration file.
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

/// Writes the flags of a command line as they are declared here.
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
  Once, from what kubectl prints:
    kubectl get svc,endpointslices,nodes -A -o yaml | kube-ipvsd --manifests - --once
  Leave the node as it was before:
    kube-ipvsd --cleanup";
