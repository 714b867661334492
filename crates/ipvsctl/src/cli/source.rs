//! Arguments that several commands share: objects, node, output format.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use model::ObjectName;
use sources::proxy;

use super::{INPUT, NODE};
use crate::input::daemon;

/// Parses an address with a port.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address with a port, such as 127.0.0.1:10249".to_owned())
}

/// Parses the name of a Service, `shop/web`; the namespace of `web` is `default`.
pub(super) fn service_name(text: &str) -> Result<ObjectName, String> {
    let name = ObjectName::parse_owner(text).filter(|name| !name.is_virtual_server());
    name.ok_or_else(|| "expected NAMESPACE/NAME, such as shop/web".to_owned())
}

/// Parses the name of a Service, or of a VirtualServer as it prints: `VirtualServer shop/web`.
pub(super) fn owner_name(text: &str) -> Result<ObjectName, String> {
    ObjectName::parse_owner(text).ok_or_else(|| {
        "expected NAMESPACE/NAME, such as shop/web, or \"VirtualServer NAMESPACE/NAME\"".to_owned()
    })
}

/// Returns the names of Services that a shell may complete: those that kube-ipvsd serves on this
/// node, by its default metrics address.
pub(super) fn service_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|name| !name.is_virtual_server()))
}

/// Returns the names of Services and VirtualServers that a shell may complete.
pub(super) fn owner_names() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|_| true))
}

fn candidates(is_wanted: impl Fn(&ObjectName) -> bool) -> Vec<CompletionCandidate> {
    let owners = daemon::owners(proxy::METRICS).unwrap_or_default();
    let names: BTreeSet<&ObjectName> = (owners.values())
        .map(|owner| &owner.service)
        .filter(|name| is_wanted(name))
        .collect();
    (names.into_iter())
        .map(|name| CompletionCandidate::new(name.to_string()))
        .collect()
}

/// Objects in files.
#[derive(Args, Debug)]
pub struct Files {
    /// File or directory with Services, EndpointSlices, Nodes and VirtualServers in YAML or JSON; -
    /// for standard input; may be given several times.
    #[arg(short = 'f', long = "filename", value_name = "PATH", num_args = 1.., required = true, help_heading = INPUT)]
    pub paths: Vec<PathBuf>,
    /// Treat unknown kinds and fields in the files as errors, not as warnings.
    #[arg(long, help_heading = INPUT)]
    pub strict: bool,
}

/// Objects in files or in a cluster.
#[derive(Args, Debug)]
pub struct Source {
    /// File or directory with Services, EndpointSlices, Nodes and VirtualServers in YAML or JSON; -
    /// for standard input; may be given several times.
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

/// The desired tables of a node, and the live ones to compare them with.
#[derive(Args, Debug)]
pub struct Compared {
    /// Source of the objects.
    #[command(flatten)]
    pub source: Source,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
    /// Read the saved tables in this file instead of the kernel: output of get tables or of
    /// ipvsadm-save -n; - for standard input.
    #[arg(long, value_name = "FILE", help_heading = INPUT)]
    pub live: Option<PathBuf>,
}

/// Output format, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns; the same as text if the output has none.
    Table,
    /// All columns, nothing shortened.
    Wide,
    /// Lines, in the syntax of ipvsadm, ipset, iptables, ip and sysctl where they describe tables.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::{owner_name, service_name};

    #[test]
    fn a_name_without_namespace_is_one_of_default() {
        let parsed = |text| service_name(text).map(|name| name.to_string()).ok();
        assert_eq!(parsed("shop/web").as_deref(), Some("shop/web"));
        assert_eq!(parsed("web").as_deref(), Some("default/web"));
        for text in [
            "",
            "/web",
            "shop/",
            "a/b/c",
            "VirtualServer shop/web",
            "Service shop/web",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn an_owner_is_named_as_it_prints() {
        let web = ["shop/web", "VirtualServer shop/web"];
        let parsed = web.map(|text| owner_name(text).expect("a name"));
        assert_eq!(parsed.each_ref().map(ToString::to_string), web);
        assert_ne!(parsed[0], parsed[1]);
        assert!(owner_name("VirtualServer").is_ok_and(|name| !name.is_virtual_server()));
        for text in [
            "VirtualServer ",
            "VirtualServer /web",
            "VirtualServer a/b/c",
        ] {
            assert!(owner_name(text).is_err(), "{text}");
        }
    }
}
