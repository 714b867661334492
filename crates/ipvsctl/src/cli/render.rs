//! Arguments of `render`.

use clap::{Args, ValueEnum};

use super::{Files, Format, NodeArgs};

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
    pub output: Format,
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
