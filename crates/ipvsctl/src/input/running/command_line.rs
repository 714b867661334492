//! Command line of kube-ipvsd.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, Parser};
use sources::ConfigFlags;
use sources::config::as_declared;

/// Flags of kube-ipvsd that decide about the node's tables, and those that are accepted beside them.
#[derive(Clone, Debug, Parser)]
#[command(name = "kube-ipvsd")]
pub(super) struct CommandLine {
    #[arg(long)]
    pub(super) kubeconfig: Option<PathBuf>,
    #[arg(long, num_args = 1..)]
    pub(super) manifests: Vec<PathBuf>,
    #[arg(long, alias = "hostname-override")]
    pub(super) node_name: Option<String>,
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    #[arg(long)]
    pub(super) strict_config: bool,
    #[arg(long)]
    once: bool,
    #[arg(long)]
    cleanup: bool,
    #[arg(long)]
    init_only: bool,
    #[arg(long)]
    write_config_to: Option<PathBuf>,
    #[command(flatten)]
    pub(super) flags: ConfigFlags,
    #[command(flatten)]
    _ignored: Ignored,
}

/// Flags without a meaning for the tables.
#[derive(clap::Args, Clone, Debug)]
struct Ignored {
    #[arg(long)]
    lenient: bool,
    #[arg(long)]
    remove_leftovers: bool,
    #[arg(long)]
    force: bool,
    #[arg(long)]
    no_modprobe: bool,
    #[arg(long)]
    log_format: Option<String>,
    #[arg(long)]
    log_level: Option<String>,
    #[arg(short = 'v')]
    verbosity: Option<String>,
}

impl CommandLine {
    /// Parses the arguments of a process, with its program first. `None` if it is not a command line
    /// of this version of kube-ipvsd.
    pub(super) fn parse(arguments: Vec<OsString>) -> Option<Self> {
        let command = Self::command();
        let is_switch = |name: &str| {
            let mut declared = command.get_arguments();
            let declared = declared.find(|arg| arg.get_long() == Some(name));
            declared.is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue))
        };
        Self::try_parse_from(as_declared(arguments.into_iter(), is_switch)).ok()
    }

    /// Returns true for a run that ends by itself.
    pub(super) fn is_one_shot(&self) -> bool {
        self.once || self.cleanup || self.init_only || self.write_config_to.is_some()
    }
}
