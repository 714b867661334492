//! The command line.

mod analyze;
mod doctor;
mod migrate;
mod spelling;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sources::ConfigFlags;

pub use self::analyze::{Analyze, LeastLevel};
pub use self::doctor::Doctor;
pub use self::migrate::{Migrate, MigrateCheck, MigrateCommand};
pub(crate) use self::spelling::as_declared;

const INPUT: &str = "Input";
const NODE: &str = "Node";
const GLOBAL: &str = "Global options";

const EXIT_STATUS: &str = "\
Exit status:
  0  success; for diff: no difference
  1  diff: there are differences; config check: the file has mistakes;
     analyze: there are findings of level error; doctor: there are warnings or problems
  2  error: wrong arguments, no access to the kernel or the cluster, or a part of the input could
     not be read (the result covers the rest)
  3  apply: some changes failed
  migrate check differs: 0 no blockers, 1 an error, 2 blockers or wrong arguments";

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
#[command(name = "ipvsctl", version, after_help = EXIT_STATUS, after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
#[command(disable_help_subcommand = true, subcommand_required = true)]
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
    /// Without -f the objects come from a cluster. Its kubeconfig is the first of: --kubeconfig,
    /// the kubeconfig of the configuration file, the environment variable KUBECONFIG, the service
    /// account of the pod, ~/.kube/config.
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
    /// Without -f the objects come from a cluster, as with diff.
    Analyze(Analyze),
    /// Check a node before kube-ipvsd takes it over from kube-proxy.
    Migrate(Migrate),
    /// Check this node: problems, why they matter and what to do.
    ///
    /// Checks the kernel, the tables, the packet filter and the running proxies. Each check is ok,
    /// a warning or a problem. Changes nothing and does not load IPVS.
    Doctor(Doctor),
    /// Print the kernel's tables.
    Get(Get),
    /// Check a configuration file, or show the effective configuration.
    Config(Config),
    /// Print the versions of ipvsctl and of the kernel's IPVS.
    Version(Version),
    /// Print a completion script for a shell.
    Completion(Completion),
}

/// Arguments of `render`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Text has a section for each table: '# ipvs' with the lines of ipvsadm-save -n, '# addresses' with the \
addresses of the device kube-ipvs0, then sets, rules, kernel settings and health checks. JSON is an \
object of kind NodeTables.

Examples:
  ipvsctl render -f manifests/ --node node1
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl render -f - --node node1 -o json

Exit status: 0 rendered, 2 an error or a file that could not be read completely.")]
pub struct Render {
    /// Source of the objects.
    #[command(flatten)]
    pub files: Files,
    /// The node. Node ports are served at the addresses of --node-state, else at those of the
    /// Node's status.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Print only this section; may be given several times. For text only.
    #[arg(long = "section", value_name = "SECTION")]
    pub sections: Vec<Section>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
}

/// The sections that `render` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Virtual and real servers, as `ipvsadm-save -n`.
    Ipvs,
    /// Addresses of kube-ipvs0.
    Addresses,
    /// Sets and their entries, as `ipset save`.
    Ipset,
    /// Rules for IPv4, as `iptables-save`.
    Rules4,
    /// Rules for IPv6, as `ip6tables-save`.
    Rules6,
    /// Kernel settings, as `sysctl`.
    Sysctl,
    /// Health-check node ports, with the number of ready endpoints on the node.
    HealthChecks,
}

impl Section {
    /// Returns the heading of the section in text output.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Ipvs => "ipvs",
            Self::Addresses => "addresses",
            Self::Ipset => "ipset",
            Self::Rules4 => "rules4",
            Self::Rules6 => "rules6",
            Self::Sysctl => "sysctl",
            Self::HealthChecks => "health-checks",
        }
    }
}

/// Arguments of `diff`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
A line begins with + for an addition, ~ for a change and - for a deletion. The entry follows in the syntax \
of ipvsadm, then the reason. Lines are grouped by Service port; the last line counts them.

Virtual servers of other programs (their address is not on kube-ipvs0) are never changed. If a part of \
the input cannot be read, nothing is deleted and the withheld deletions are counted.

Examples:
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/
  ipvsctl diff -f manifests/ --node node1 --live saved.txt   # saved by ipvsctl get tables -o text

Exit status: 0 no difference, 1 differences, 2 an error or input that could not be read completely.")]
pub struct Diff {
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Compare with the saved tables in this file instead of the kernel: output of get tables or of
    /// ipvsadm-save -n; - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
If kube-ipvsd runs on the node, it undoes changes that its own source does not ask for.

Examples:
  sudo ipvsctl apply -f manifests/
  sudo ipvsctl apply -f manifests/ --yes      # in a script

Exit status: 0 applied or nothing to do, 2 an error, or input that could not be read completely (nothing \
is deleted then), 3 some changes failed.")]
pub struct Apply {
    /// Source of the objects.
    #[command(flatten)]
    pub files: Files,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Apply without asking for confirmation.
    #[arg(short, long)]
    pub yes: bool,
}

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
    pub output: GetFormat,
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
    /// Servers and addresses together, for diff --live.
    Tables,
    /// A file for --node-state: interfaces, addresses, kernel and processors of this machine. Needs
    /// no privileges.
    #[value(alias = "nodestate")]
    NodeState,
    /// Real servers that get no new connections and keep their open ones.
    #[value(alias = "drain")]
    Drains,
}

/// Output format of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GetFormat {
    /// Columns.
    Table,
    /// Columns with flags, thresholds and connections.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Lines of ipvsadm-save -n; one address a line.
    Text,
}

/// Output format of a plan or tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Lines in the syntax of ipvsadm.
    Text,
    /// JSON.
    Json,
}

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
    ipvsctl config check /dev/stdin

Exit status: 0 the file is valid, 1 it has mistakes, 2 it cannot be read.")]
pub struct ConfigCheck {
    /// File with a KubeProxyConfiguration or a KubeIpvsConfiguration.
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
    pub output: ConfigFormat,
    /// Flags of kube-proxy.
    #[command(flatten)]
    pub flags: ConfigFlags,
}

/// Output format of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// Columns.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Output format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LineFormat {
    /// Lines.
    Text,
    /// JSON.
    Json,
}

/// Arguments of `version`.
#[derive(Args, Debug)]
pub struct Version {
    /// Print only the version of ipvsctl.
    #[arg(long)]
    pub client: bool,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: LineFormat,
}

/// Arguments of `completion`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl completion bash > /etc/bash_completion.d/ipvsctl
  ipvsctl completion zsh > \"${fpath[1]}/_ipvsctl\"
  ipvsctl completion fish > ~/.config/fish/completions/ipvsctl.fish")]
pub struct Completion {
    /// The shell.
    pub shell: Shell,
}

/// Parses an address with a port.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address with a port, such as 127.0.0.1:10249".to_owned())
}

/// Objects in files.
#[derive(Args, Debug)]
pub struct Files {
    /// File or directory with Services, EndpointSlices and Nodes in YAML or JSON; - for standard
    /// input; may be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH", num_args = 1.., required = true, help_heading = INPUT)]
    pub paths: Vec<PathBuf>,
    /// Treat unknown kinds and fields in the files as errors, not as warnings.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
}

/// Objects in files or in a cluster.
#[derive(Args, Debug)]
pub struct Source {
    /// File or directory with Services, EndpointSlices and Nodes in YAML or JSON; - for standard
    /// input; may be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH", num_args = 1.., help_heading = INPUT)]
    pub paths: Vec<PathBuf>,
    /// Treat unknown kinds and fields in the files as errors, not as warnings.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
    /// Kubeconfig of a cluster to read instead of files.
    #[arg(long, value_name = "FILE", conflicts_with = "paths", help_heading = INPUT)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one.
    #[arg(long, value_name = "NAME", conflicts_with = "paths", help_heading = INPUT)]
    pub context: Option<String>,
}

/// The node and its configuration.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Name of the node in Kubernetes. Default: hostnameOverride of --config, else nodeName of
    /// --node-state, else (but not for render) the name of this host.
    #[arg(long, value_name = "NAME", help_heading = NODE)]
    pub node: Option<String>,
    /// Configuration file: kube-proxy's (KubeProxyConfiguration) or kube-ipvsd's
    /// (KubeIpvsConfiguration).
    #[arg(long, value_name = "FILE", help_heading = NODE)]
    pub config: Option<PathBuf>,
    /// Treat unknown and removed fields of kube-proxy's --config as mistakes, not as warnings.
    #[arg(long, help_heading = NODE)]
    pub strict_config: bool,
    /// Has no effect: kube-proxy's file is read leniently by default.
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// Description of the node, as get node-state prints it: name, interfaces with their addresses,
    /// families. Default: this node if the kernel is read, else status.addresses of its Node.
    #[arg(long, value_name = "FILE", help_heading = NODE)]
    pub node_state: Option<PathBuf>,
}
