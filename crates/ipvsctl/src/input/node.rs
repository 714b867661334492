//! Reads the name and the configuration of the node.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use kernel::linux::IptablesBackend;
use model::cluster::StaticServer;
use model::policy::PolicyField;
use model::{ClusterState, NodeConfig, NodeState};
use planner::EndpointStates;
use sources::config::{self, NodeOverrides, Resolved};
use sources::kube::ServerHost;
use sources::node_state;

use super::daemon;
use crate::cli::NodeArgs;
use crate::error::Error;
use crate::style;

/// Name of the node if none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The name of this host.
    Host,
    /// No name, since the result must not depend on this machine.
    Nothing,
}

/// A node as the command line describes it.
#[derive(Debug)]
pub struct Node {
    /// Configuration of the node, with the kubeconfig of the API server.
    pub config: Resolved,
    /// Interfaces and machine of the node, from the file of `--node-state`.
    pub state: Option<NodeState>,
    /// State of endpoints that kube-ipvsd knows, as far as it was asked for.
    pub endpoints: EndpointStates,
}

impl Node {
    /// Asks the running kube-ipvsd for the state of endpoints, from which its tables follow: the
    /// targets of health checks that fail, if its configuration allows health checks of Services or
    /// a VirtualServer of `cluster` has one, and the slow starts, if a Service may have one.
    /// `metrics` wins over the configured address.
    pub fn ask_endpoint_states(&mut self, cluster: &ClusterState, metrics: Option<SocketAddr>) {
        let address = metrics.or(self.config.settings.metrics_bind_address);
        let address = address.map(on_loopback);
        let address = address.ok_or_else(|| "metricsBindAddress is disabled".to_owned());
        if has_checks(cluster, &self.config.node) {
            match address.clone().and_then(daemon::failed_targets) {
                Ok(failed) => self.endpoints.failed = failed,
                Err(problem) => style::note(&format!(
                    "kube-ipvsd does not report its health checks: {problem}; all endpoints count as healthy"
                )),
            }
        }
        if has_slow_start(cluster, &self.config.node) {
            match address.and_then(daemon::slow_starts) {
                Ok(found) => self.endpoints.ramps = found.ramps(),
                Err(problem) => style::note(&format!(
                    "kube-ipvsd does not report its slow starts: {problem}; all endpoints count with their full weights"
                )),
            }
        }
    }

    /// Returns the configured packet filter.
    #[must_use]
    pub fn backend(&self) -> IptablesBackend {
        match self.config.settings.iptables_backend {
            config::IptablesBackend::Auto => IptablesBackend::Auto,
            config::IptablesBackend::Nft => IptablesBackend::Nft,
            config::IptablesBackend::Legacy => IptablesBackend::Legacy,
        }
    }
}

/// Returns true if a Service may have a health check, or a VirtualServer has one.
fn has_checks(cluster: &ClusterState, config: &NodeConfig) -> bool {
    let is_checked = |server: &StaticServer| {
        let policy = server.policy.as_ref();
        policy.is_some_and(|policy| policy.health_check.is_some())
    };
    !config.health_check_networks.is_empty() || cluster.virtual_servers().any(is_checked)
}

/// Returns true if the policy of a Service may have slow start.
fn has_slow_start(cluster: &ClusterState, config: &NodeConfig) -> bool {
    let field = PolicyField::SlowStart;
    let rules = &config.service_policies;
    let sets = |name| {
        let service = cluster.service(name);
        let annotations = service
            .map(|service| service.annotations)
            .unwrap_or_default();
        (annotations.iter()).any(|annotation| *annotation.name == *field.annotation())
    };
    rules.iter().any(|rule| rule.policy.slow_start.is_some())
        || config.allowed_annotations.contains(&field) && cluster.service_names().any(sets)
}

/// Returns the address to reach a listener at `address`: for an unspecified address that of
/// loopback.
#[must_use]
pub fn on_loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Reads the files of `args`. Reports fields without effect on standard error.
///
/// # Errors
///
/// A file has mistakes, or no node is named.
pub fn read(args: &NodeArgs, fallback: Fallback) -> Result<Node, Error> {
    let NodeArgs {
        node,
        config,
        strict_config,
        lenient: _,
        node_state,
    } = args;
    let state = (node_state.as_deref().map(node_state::read))
        .transpose()
        .map_err(Error::NodeState)?;
    let named = state.as_ref().and_then(|state| state.node_name.as_deref());
    let name = match (named, fallback) {
        (Some(name), _) => name.to_owned(),
        (None, Fallback::Host) => sources::node_state::hostname(),
        (None, Fallback::Nothing) => String::new(),
    };
    if node.as_deref().unwrap_or_default().is_empty() && config.is_none() && name.is_empty() {
        return Err(Error::NoNode);
    }
    let overrides = NodeOverrides {
        node_name: node.clone(),
        strict: *strict_config,
        ..NodeOverrides::default()
    };
    let mut config = config::load(config.as_deref(), &overrides, &name).map_err(Error::Config)?;
    if let Some(path) = config.kubeconfig.as_deref() {
        config.node.api_server = api_server(path, fallback);
    }
    report(&config);
    Ok(Node {
        config,
        state: state.map(|state| state.state),
        endpoints: EndpointStates::default(),
    })
}

/// Prints the warnings about a configuration on standard error, and the part of its file that was
/// read.
pub fn report(config: &Resolved) {
    if let Some(place) = &config.taken_from {
        style::note(&format!("reading {place}"));
    }
    for warning in &config.warnings {
        style::warning(&warning.to_string());
    }
}

/// Returns the addresses of the API server in the kubeconfig at `path`. A host name is resolved
/// only if the result may depend on this machine.
fn api_server(path: &Path, fallback: Fallback) -> BTreeSet<SocketAddr> {
    let problem = match ServerHost::of_kubeconfig(path) {
        Ok(Some(host)) if fallback == Fallback::Nothing && !host.is_address() => {
            format!("the server is {host}, and this command does not resolve names")
        }
        Ok(Some(host)) => match host.addresses() {
            Ok(addresses) => return addresses.into_iter().collect(),
            Err(error) => format!("{host}: {error}"),
        },
        Ok(None) => "the current context names no server".to_owned(),
        Err(error) => model::chain(&error),
    };
    style::warning(&format!(
        "kubeconfig {}: {problem}; Services at an address of the API server (KIV0116) are not detected",
        path.display()
    ));
    BTreeSet::new()
}
