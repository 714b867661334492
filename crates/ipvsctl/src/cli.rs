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
  0  it was done; of diff: there is no difference
  1  of diff: there are differences; of config check: there are mistakes; of
     analyze: there are findings of level error; of doctor: there are warnings or problems
  2  an error: bad arguments, no access to the kernel or the cluster, or a part of the input could
     not be read (whatever could be read is answered all the same)
  3  of apply: some of the changes failed
  migrate check has its own: 0 nothing is in the way, 2 something has to be done first, 1 an error";

const EXAMPLES: &str = "\
Examples:
  # What would this node's tables be? Needs no privileges and no kernel with IPVS.
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl render -f - --node node1

  # What would change on this node, by a cluster or by files?
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/

  # What does the kernel hold?
  sudo ipvsctl get servers -o wide";

/// See and change a node's IPVS table the way kube-ipvsd does.
///
/// ipvsctl turns Services and EndpointSlices into virtual servers, real servers and addresses with the
/// same rules as the daemon kube-ipvsd, compares them with what the kernel holds, and can apply the
/// difference. Lines are printed in the syntax of ipvsadm.
#[derive(Debug, Parser)]
#[command(name = "ipvsctl", version, after_help = EXIT_STATUS, after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
#[command(disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    /// When to use colours.
    #[command(flatten)]
    pub colors: Colors,
    /// Say more on standard error; -vv and -vvv say still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Args, Clone, Copy, Debug)]
pub struct Colors {
    /// When to use colours: auto, always or never; auto means on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = GLOBAL
    )]
    pub color: ColorWhen,
    /// The same as --color never.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_color: bool,
}

impl Colors {
    /// Returns the choice that the two options amount to.
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
    /// Print the tables that files ask for, offline.
    ///
    /// Needs no privileges, no kernel with IPVS and no cluster: the answer is the same on every machine.
    /// Findings about the objects go to standard error; one bad object does not keep the others from being
    /// rendered.
    Render(Render),
    /// Show what would change, without changing it.
    ///
    /// Compares what the cluster or the files ask for with what the kernel holds, or with a file of saved
    /// tables. It cannot change anything: it holds a kernel that refuses to.
    ///
    /// Without -f the objects come from a cluster: --kubeconfig, else the kubeconfig of the configuration
    /// file, else the environment variable KUBECONFIG, else the service account of the pod, else
    /// ~/.kube/config.
    Diff(Diff),
    /// Show what would change, ask, and change it.
    ///
    /// Shows the plan as diff does and applies it once it is confirmed. A change that fails is reported
    /// with its cause, what builds on it is left out, and all else is done.
    Apply(Apply),
    /// Say what is odd about the objects of a cluster.
    ///
    /// Looks at Services, EndpointSlices and Nodes as the daemon does and prints what cannot be served,
    /// what is served otherwise than its author may think, and why. Nothing is changed and no kernel is
    /// looked at.
    ///
    /// Without -f the objects come from a cluster, as with diff.
    Analyze(Analyze),
    /// Look before kube-ipvsd takes a node over from kube-proxy.
    Migrate(Migrate),
    /// Say what is wrong with this node, why it matters and what to do.
    ///
    /// Looks at the kernel, the tables, the packet filter and the proxies that answer, and says of each
    /// check whether it is ok, a warning or a problem. It changes nothing and does not load IPVS.
    Doctor(Doctor),
    /// Print what the kernel holds.
    Get(Get),
    /// Check a configuration file, or show the configuration that holds.
    Config(Config),
    /// Print the versions of ipvsctl and of the kernel's IPVS.
    Version(Version),
    /// Print a completion script for a shell.
    Completion(Completion),
}

/// Arguments of `render`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Text has two sections: '# ipvs' with the lines of ipvsadm-save -n, '# addresses' with the addresses \
of the device kube-ipvs0. JSON is an object of kind NodeTables.

Examples:
  ipvsctl render -f manifests/ --node node1
  kubectl get svc,endpointslices,nodes -A -o yaml | ipvsctl render -f - --node node1 -o json

Exit status: 0 rendered, 2 an error or a file that could not be read in whole.")]
pub struct Render {
    /// Where the objects come from.
    #[command(flatten)]
    pub files: Files,
    /// For which node. Node ports are served at the addresses that --node-state names, else at those of the Node's status.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Print this section alone; may be given several times. For text only.
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
    /// The rules of IPv4, as `iptables-save`.
    Rules4,
    /// The rules of IPv6, as `ip6tables-save`.
    Rules6,
    /// Kernel settings, as `sysctl`.
    Sysctl,
    /// Ports at which load balancers ask.
    HealthChecks,
}

impl Section {
    /// Its heading in the text.
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
Lines begin with + for what would be added, ~ for what would be changed and - for what would be \
deleted, in the syntax of ipvsadm, with the reason behind. They are grouped by the port of the Service \
on whose behalf the change would be made; the last line counts them.

Virtual servers that another program made (their address is not on kube-ipvs0) are left alone. While a \
part of the input cannot be read nothing is deleted, and the deletions that wait are counted.

Examples:
  sudo ipvsctl diff --kubeconfig ~/.kube/config
  sudo ipvsctl diff -f manifests/
  ipvsctl diff -f manifests/ --node node1 --live saved.txt   # by ipvsctl get tables -o text

Exit status: 0 no difference, 1 differences, 2 an error or input that could not be read in whole.")]
pub struct Diff {
    /// Where the objects come from.
    #[command(flatten)]
    pub source: Source,
    /// For which node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Compare with these saved tables in place of the kernel: what get tables or ipvsadm-save -n
    /// printed, - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Where kube-ipvsd runs on the node it will undo at once what its own source does not ask for.

Examples:
  sudo ipvsctl apply -f manifests/
  sudo ipvsctl apply -f manifests/ --yes      # in a script

Exit status: 0 applied or nothing to do, 2 an error, or input that could not be read in whole (nothing \
is deleted then), 3 some of the changes failed.")]
pub struct Apply {
    /// Where the objects come from.
    #[command(flatten)]
    pub files: Files,
    /// For which node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Apply without asking.
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

Drains are told by kube-ipvsd, and by the kernel as real servers of weight 0 behind virtual servers of \
ours. What the kernel alone knows has no Service and no times: they are shown as unknown.")]
pub struct Get {
    /// Tables to print.
    pub what: What,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: GetFormat,
    /// Print these saved tables in place of the kernel's, - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
    /// Of drains: where kube-ipvsd serves its metrics [default: 127.0.0.1:10249; with --live: nobody is
    /// asked].
    #[arg(long, value_name = "ADDRESS", help_heading = INPUT)]
    pub metrics_address: Option<SocketAddr>,
}

/// Tables to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Virtual servers and their real servers.
    #[value(alias = "server")]
    Servers,
    /// The addresses of the device kube-ipvs0.
    #[value(alias = "address")]
    Addresses,
    /// The idle timeouts of connections.
    #[value(alias = "timeout")]
    Timeouts,
    /// Servers and addresses together: what diff --live reads.
    Tables,
    /// This machine as a file for --node-state: interfaces, addresses, kernel, processors. Needs no privileges.
    #[value(alias = "nodestate")]
    NodeState,
    /// Real servers that get no new connections and keep those they have.
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
    /// The lines of ipvsadm-save -n; addresses one a line.
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

/// Command about a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what is wrong with a configuration file.
    ///
    /// All mistakes are told at once, each with the path of its field. Warnings are about what is accepted
    /// and has no effect; they change nothing about the exit status.
    Check(ConfigCheck),
    /// Print every setting that holds, and where it comes from.
    ///
    /// Give the configuration file and the flags that kube-ipvsd gets, or those of kube-proxy.
    Show(ConfigShow),
}

/// Arguments of `config check`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  ipvsctl config check /var/lib/kube-proxy/config.conf
  kubectl -n kube-system get configmap kube-proxy -o jsonpath='{.data.config\\.conf}' |
    ipvsctl config check /dev/stdin

Exit status: 0 the file is good, 1 it has mistakes, 2 it cannot be read.")]
pub struct ConfigCheck {
    /// The file: a KubeProxyConfiguration or a KubeIpvsConfiguration.
    pub file: PathBuf,
    /// Fields that kube-proxy does not know or has no longer are mistakes in its file, no warnings.
    #[arg(long)]
    pub strict_config: bool,
    /// Without meaning: kube-proxy's file is read leniently.
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
    /// The configuration file; without it the flags of kube-proxy.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Fields that kube-proxy does not know or has no longer are mistakes in its file, no warnings.
    #[arg(long)]
    pub strict_config: bool,
    /// Without meaning: kube-proxy's file is read leniently.
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// The node's name in Kubernetes; wins over the file.
    #[arg(long, value_name = "NAME", aliases = ["hostname-override", "node-name"])]
    pub node: Option<String>,
    /// Kubeconfig by which to reach the API server; wins over the file.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: ConfigFormat,
    /// kube-proxy's flags.
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
    /// Do not ask the kernel.
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

/// Objects in files.
#[derive(Args, Debug)]
pub struct Files {
    /// A file or directory with Services, EndpointSlices and Nodes in YAML or JSON, - for standard
    /// input; may be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH", num_args = 1.., required = true, help_heading = INPUT)]
    pub paths: Vec<PathBuf>,
    /// Take misspelt kinds and fields of the files for errors, not for warnings.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
}

/// Objects in files or in a cluster.
#[derive(Args, Debug)]
pub struct Source {
    /// A file or directory with Services, EndpointSlices and Nodes in YAML or JSON, - for standard
    /// input; may be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH", num_args = 1.., help_heading = INPUT)]
    pub paths: Vec<PathBuf>,
    /// Take misspelt kinds and fields of the files for errors, not for warnings.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
    /// Kubeconfig by which to reach a cluster, in place of files.
    #[arg(long, value_name = "FILE", conflicts_with = "paths", help_heading = INPUT)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, in place of its current one.
    #[arg(long, value_name = "NAME", conflicts_with = "paths", help_heading = INPUT)]
    pub context: Option<String>,
}

/// For which node.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// The node's name in Kubernetes. Default: hostnameOverride of --config, else nodeName of
    /// --node-state; then, but not for render, the name of this host.
    #[arg(long, value_name = "NAME", help_heading = NODE)]
    pub node: Option<String>,
    /// The configuration file: kube-proxy's (KubeProxyConfiguration) or ours (KubeIpvsConfiguration).
    #[arg(long, value_name = "FILE", help_heading = NODE)]
    pub config: Option<PathBuf>,
    /// Fields of --config that kube-proxy does not know or has no longer are mistakes, no warnings.
    #[arg(long, help_heading = NODE)]
    pub strict_config: bool,
    /// Without meaning: kube-proxy's file is read leniently.
    #[arg(long, hide = true)]
    pub lenient: bool,
    /// A description of the node, as get node-state writes it: its name, its interfaces and their addresses, its families.
    /// Default: status.addresses of its Node where --live or nothing live is read, else this node.
    #[arg(long, value_name = "FILE", help_heading = NODE)]
    pub node_state: Option<PathBuf>,
}
