//! The node's name and configuration.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use kernel::linux::IptablesBackend;
use model::NodeState;
use sources::config::{self, NodeOverrides, Resolved};
use sources::kube::ServerHost;
use sources::node_state;

use crate::cli::NodeArgs;
use crate::error::Error;
use crate::style;

/// Where a node's name comes from if nobody gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The name of this host.
    Host,
    /// No machine: the answer must not depend on this one.
    Nothing,
}

/// A node as the command line describes it.
#[derive(Debug)]
pub struct Node {
    /// Its configuration, and the way to the API server.
    pub config: Resolved,
    /// Its interfaces, where a file describes them.
    pub state: Option<NodeState>,
}

impl Node {
    /// Returns the packet filter that holds its rules.
    #[must_use]
    pub fn backend(&self) -> IptablesBackend {
        match self.config.settings.iptables_backend {
            config::IptablesBackend::Auto => IptablesBackend::Auto,
            config::IptablesBackend::Nft => IptablesBackend::Nft,
            config::IptablesBackend::Legacy => IptablesBackend::Legacy,
        }
    }
}

/// Where to ask whoever listens at `address`: every address is also that of loopback.
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

/// Reads the files that `args` name; fields without effect are told on standard error.
///
/// # Errors
///
/// A file is wrong, or no node is named.
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
    if node.is_none() && config.is_none() && name.is_empty() {
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
    tell(&config);
    Ok(Node {
        config,
        state: state.map(|state| state.state),
    })
}

/// Tells on standard error what is odd about a configuration, and the part of its file that was read.
pub fn tell(config: &Resolved) {
    if let Some(place) = &config.taken_from {
        style::note(&format!("{place} is read"));
    }
    for warning in &config.warnings {
        style::warning(&warning.to_string());
    }
}

/// Returns the addresses of the API server that the kubeconfig at `path` names. A name is resolved only where the answer may depend
/// on this machine.
fn api_server(path: &Path, fallback: Fallback) -> BTreeSet<SocketAddr> {
    let problem = match ServerHost::of_kubeconfig(path) {
        Ok(Some(host)) if fallback == Fallback::Nothing && !host.is_address() => {
            format!("names are not resolved here, and the server is {host}")
        }
        Ok(Some(host)) => match host.addresses() {
            Ok(addresses) => return addresses.into_iter().collect(),
            Err(error) => format!("{host}: {error}"),
        },
        Ok(None) => "its current context names no server".to_owned(),
        Err(error) => model::chain(&error),
    };
    style::warning(&format!(
        "{}: {problem}; Services that ask for the API server's address are not found",
        path.display()
    ));
    BTreeSet::new()
}
