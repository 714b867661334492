//! The command line.

mod analyze;
mod apply;
mod bundle;
mod completion;
mod config;
mod diff;
mod doctor;
mod explain;
mod export;
mod get;
mod import;
mod man;
mod migrate;
mod monitor;
mod render;
mod select;
mod source;
mod spelling;
mod top;
mod trace;
mod version;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::analyze::{Analyze, LeastLevel};
pub use self::apply::Apply;
pub use self::bundle::Bundle;
pub use self::completion::Completion;
pub use self::config::{Config, ConfigCheck, ConfigCommand, ConfigShow};
pub use self::diff::{Diff, DiffFormat};
pub use self::doctor::Doctor;
pub use self::explain::{
    AddressArgument, Explain, ExplainAddress, ExplainInput, ExplainPod, ExplainService,
    PodArgument, Subject,
};
pub use self::export::{Export, ExportFormat};
pub use self::get::{Get, What};
pub use self::import::{Import, ManifestFormat};
pub use self::man::Man;
pub use self::migrate::{Migrate, MigrateCheck, MigrateCommand};
pub use self::monitor::Monitor;
pub use self::render::{Render, Section};
pub use self::select::{ConnectionArgs, Named, Select, ServerAddress, ServerArgs, SortBy};
pub use self::source::{Compared, Files, Format, NodeArgs, Source};
use self::source::{owner_name, owner_names, service_name, service_names, socket_address};
pub(crate) use self::spelling::as_declared;
pub use self::top::{Top, TopOrder};
pub use self::trace::{Destination, SenderArgument, Trace};
pub use self::version::Version;

const INPUT: &str = "Input";
const NODE: &str = "Node";
const GLOBAL: &str = "Global options";

const EXIT_STATUS: &str = "\
Exit status, the same for every command:
  0  success; nothing to report
  1  a difference, a problem or a mistake was found
  2  the command could not do its work: wrong arguments, no access to the kernel or the cluster, a
     part of the input that could not be read (the result covers the rest), or a change that failed";

const EXAMPLES: &str = "\
Examples:
  # Print the tables of a node. Needs no privileges and no kernel with IPVS.
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl render -f - --node node1

  # Compare this node with a cluster, or with files.
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/

  # Print the kernel's virtual servers.
  sudo ipvsctl get servers -o wide";

/// Show and change a node's IPVS tables with the rules of kube-ipvsd.
///
/// ipvsctl turns Services and EndpointSlices into virtual servers, real servers and addresses as
/// the daemon kube-ipvsd does. It compares them with the kernel's tables and can apply the
/// difference. Lines are printed in the syntax of ipvsadm.
#[derive(Debug, Parser)]
#[command(name = "ipvsctl", version = crate::VERSION, after_help = EXIT_STATUS, after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
#[command(subcommand_required = true)]
pub struct Cli {
    /// When to use colours.
    #[command(flatten)]
    pub colors: Colors,
    /// Print log lines on standard error; -vv and -vvv print more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Args, Clone, Copy, Debug)]
pub struct Colors {
    /// When to use colours: auto, always or never. With auto, on a terminal unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = GLOBAL
    )]
    pub color: ColorWhen,
    /// Same as --color never.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_color: bool,
}

impl Colors {
    /// Returns the choice that the two options make together.
    #[must_use]
    pub fn when(self) -> ColorWhen {
        if self.no_color {
            ColorWhen::Never
        } else {
            self.color
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the tables for the objects in files, offline.
    ///
    /// Needs no privileges, no kernel with IPVS and no cluster; the result is the same on every
    /// machine. Findings about the objects go to standard error. An invalid object does not stop
    /// the others from being rendered.
    Render(Render),
    /// Show what apply would change, without changing anything.
    ///
    /// Compares the tables for the objects of a cluster or of files with the kernel's tables, or
    /// with a file of saved tables. The kernel is opened read-only.
    ///
    /// Without -f and --kubeconfig the objects and the configuration are those of the running
    /// kube-ipvsd, found among the processes of this node. Without one the objects come from a
    /// cluster. Its kubeconfig is the first of: --kubeconfig, the kubeconfig of the configuration
    /// file, the environment variable KUBECONFIG, the service account of the pod, ~/.kube/config.
    Diff(Diff),
    /// Show the changes, ask for confirmation, and apply them.
    ///
    /// Shows the plan as diff does and applies it after confirmation. A failed change is reported
    /// with its cause. Changes that depend on it are skipped; all others are applied.
    Apply(Apply),
    /// Report problems of the objects of a cluster.
    ///
    /// Checks Services, EndpointSlices and Nodes as the daemon does. Prints which of them cannot be
    /// served, which are served in another way than their author may expect, and why. Changes
    /// nothing and does not read the kernel.
    ///
    /// Without -f the objects come from a cluster: that of --kubeconfig, else as with diff on a node
    /// without kube-ipvsd.
    Analyze(Analyze),
    /// Check a node before kube-ipvsd takes it over from kube-proxy.
    Migrate(Migrate),
    /// Check this node: problems, the Services affected, what their users see, and what to do.
    ///
    /// Compares the tables of the kernel with those that the cluster asks for, and checks the kernel,
    /// the packet filter and the running proxies. Each check is ok, a warning or a problem. Changes
    /// nothing and does not load IPVS.
    Doctor(Doctor),
    /// Show the path of a packet: each hook, the rules that match, the real servers, the source they
    /// see.
    Trace(Trace),
    /// Explain why a Service, an address or a pod is served on this node as it is.
    ///
    /// Follows the path from the objects to the kernel and names the reason for each decision.
    /// Changes nothing. The last line is a verdict.
    Explain(Explain),
    /// Print the kernel's tables.
    Get(Get),
    /// Convert virtual servers of ipvsadm or keepalived to VirtualServers.
    ///
    /// Reads the output of ipvsadm-save -n or ipvsadm -Ln, or a configuration of keepalived with
    /// the files that it includes. Prints a manifest for each virtual server. Changes nothing.
    Import(Import),
    /// Print virtual servers as input of ipvsadm-restore, or as VirtualServers.
    ///
    /// Exports the tables for the objects of files or of a cluster, saved tables, or the kernel's
    /// virtual servers. Changes nothing.
    Export(Export),
    /// Show the traffic of Services, live.
    ///
    /// Shows connections, packets and bytes each second, active and inactive connections and
    /// draining endpoints. Enter opens a Service with its virtual servers and endpoints.
    Top(Top),
    /// Print what changes in the kernel's tables, as it happens, and who changed it.
    Monitor(Monitor),
    /// Check a configuration file, or show the effective configuration.
    Config(Config),
    /// Collect what a bug report needs into one archive.
    ///
    /// The archive has versions, the configuration, the tables, the difference, the findings, the
    /// checks of doctor, status and metrics of kube-ipvsd, and its logs. Changes nothing.
    Bundle(Bundle),
    /// Print the versions of ipvsctl and of the kernel's IPVS.
    Version(Version),
    /// Print a completion script for a shell.
    Completion(Completion),
    /// Print a manual page, or write the pages of all commands.
    Man(Man),
}
