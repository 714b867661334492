//! Names of the Services to which virtual servers belong.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ipvs::VirtualServerKey;
use kernel::linux;
use model::{ObjectName, ServicePortName};
use sources::proxy;

use super::node::{self, Fallback};
use super::{Input, cluster, daemon};
use crate::cli::{Named, Select};
use crate::error::Error;
use crate::style;

/// Service ports by the virtual servers that they own.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    owners: BTreeMap<VirtualServerKey, Arc<ServicePortName>>,
    /// Reason why no name is known.
    unknown: Option<String>,
    /// Metrics address of the kube-ipvsd that reported the owners.
    daemon: Option<SocketAddr>,
}

impl Owners {
    /// Reads the owners: from the objects that `args` names, else from the running kube-ipvsd.
    /// `saved` is true if the tables may be from another node.
    ///
    /// A failure is not an error, since names only help to read the tables.
    #[must_use]
    pub fn read(args: &Named, saved: bool) -> Self {
        let Named {
            source,
            node,
            metrics_address,
        } = args;
        let has_objects = !source.paths.is_empty()
            || source.kubeconfig.is_some()
            || source.context.is_some()
            || node.config.is_some();
        if has_objects {
            return Self::of_objects(args, saved).unwrap_or_else(|error| {
                let problem = model::chain(&error);
                style::warning(&format!("the names of Services are unknown: {problem}"));
                Self::unknown(problem)
            });
        }
        match (metrics_address, saved) {
            (None, true) => Self::unknown("give -f or --kubeconfig".to_owned()),
            (address, _) => Self::of_daemon(address.unwrap_or(proxy::METRICS)),
        }
    }

    fn of_daemon(address: SocketAddr) -> Self {
        let owners = daemon::owners(address).map(Self::of);
        let owners = owners.unwrap_or_else(|problem| {
            tracing::info!(
                "the names of Services are unknown: kube-ipvsd at {address}: {problem}"
            );
            Self::unknown(format!(
                "kube-ipvsd at {address} does not report them ({problem}); give --metrics-address, -f or \
                 --kubeconfig"
            ))
        });
        Self {
            daemon: Some(address),
            ..owners
        }
    }

    /// Reads the owners again if a kube-ipvsd is their source. They stay as they are if it does not
    /// answer.
    pub fn refresh(&mut self) {
        if let Some(address) = self.daemon {
            let owners = Self::of_daemon(address);
            if owners.unknown.is_none() {
                *self = owners;
            }
        }
    }

    fn of_objects(args: &Named, saved: bool) -> Result<Self, Error> {
        let mut node = node::read(&args.node, Fallback::Host)?;
        let cluster = cluster::from_source(&args.source, &node, None)?;
        if node.state.is_none() && !saved {
            node.state = linux::node_state().ok();
        }
        Ok(Self::of(
            Input::compile(cluster, node).desired.owners.virtual_servers,
        ))
    }

    /// Returns known owners.
    #[must_use]
    pub fn of(owners: BTreeMap<VirtualServerKey, Arc<ServicePortName>>) -> Self {
        Self {
            owners,
            ..Self::default()
        }
    }

    fn unknown(reason: String) -> Self {
        Self {
            unknown: Some(reason),
            ..Self::default()
        }
    }

    /// Returns the Service port that owns the virtual server `key`, if known.
    #[must_use]
    pub fn get(&self, key: &VirtualServerKey) -> Option<&ServicePortName> {
        self.owners.get(key).map(Arc::as_ref)
    }

    /// Fails if `select` needs names and none is known.
    ///
    /// # Errors
    ///
    /// The reason why the names are unknown.
    pub fn check(&self, select: &Select) -> Result<(), Error> {
        match &self.unknown {
            Some(reason) if select.needs_names() => Err(Error::NamesUnknown(reason.clone())),
            _ => Ok(()),
        }
    }

    /// Returns true if `select` selects the virtual server `key`.
    #[must_use]
    pub fn selects(&self, select: &Select, key: &VirtualServerKey) -> bool {
        let owner = self.get(key).map(|owner| &owner.service);
        selects(select, key, owner)
    }
}

/// Returns true if `select` selects the virtual server `key` of `owner`.
#[must_use]
pub fn selects(select: &Select, key: &VirtualServerKey, owner: Option<&ObjectName>) -> bool {
    let Select {
        namespace,
        service,
        vip,
        protocol,
    } = select;
    let (address, used) = match key {
        VirtualServerKey::Address {
            address, protocol, ..
        } => (Some(*address), Some(*protocol)),
        VirtualServerKey::Fwmark { .. } => (None, None),
    };
    (vip.is_none() || *vip == address)
        && (protocol.is_none() || *protocol == used)
        && (namespace.as_deref())
            .is_none_or(|wanted| owner.is_some_and(|owner| &*owner.namespace == wanted))
        && (service.is_empty() || owner.is_some_and(|owner| service.contains(owner)))
}

/// Returns true if both are standard input, which can be read only once.
#[must_use]
pub fn share_stdin(named: &Named, live: Option<&Path>) -> bool {
    let stdin = Path::new("-");
    live == Some(stdin) && named.source.paths.iter().any(|path| path == stdin)
}
