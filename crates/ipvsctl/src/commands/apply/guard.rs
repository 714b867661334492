//! Checks that a plan is safe to apply.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ipvs::VirtualServerKey;
use model::{Op, Snapshot};
use sources::proxy::Running;

use crate::input::running::{ProcessFacts, Proxies};
use crate::input::view::View;

/// Permissions of the operator for an `apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Apply although a service proxy runs on the node.
    pub force: bool,
    /// Apply although no virtual server of a Service would remain.
    pub allow_empty: bool,
    /// Virtual servers to delete, whoever made them.
    pub delete: BTreeSet<VirtualServerKey>,
}

/// Reason why nothing is applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A service proxy runs on the node.
    #[error(
        "nothing was changed: {running} answers at {address} and writes the same tables. It would undo these \
         changes at its next audit; until then connections to the changed Services fail. Change its source \
         instead, or stop it; --force applies the changes all the same"
    )]
    Proxy {
        /// The proxy.
        running: Running,
        /// Its metrics address.
        address: SocketAddr,
    },
    /// A service proxy is among the processes of the node.
    #[error(
        "nothing was changed: {name} (process {pid}) runs on this node and writes the same tables. It would undo \
         these changes at its next audit. Change its source instead, or stop it; --force applies the changes all \
         the same"
    )]
    Process {
        /// Name of the program.
        name: String,
        /// Process id.
        pid: u32,
    },
    /// The input has no Services or VirtualServers, but the node serves some.
    #[error(
        "nothing was changed: the input has no Services or VirtualServers, and {deleted} of the {ours} virtual servers of Services \
         on this node would be deleted. Check the paths of -f; --allow-empty deletes them all the same"
    )]
    NoServices {
        /// Number of virtual servers that would be deleted.
        deleted: usize,
        /// Number of virtual servers of Services in the kernel.
        ours: usize,
    },
    /// The plan deletes every virtual server of a Service.
    #[error(
        "nothing was changed: all {ours} virtual servers of Services on this node would be deleted. Check -f, \
         --node and --config; --allow-empty deletes them all the same"
    )]
    DeletesAll {
        /// Number of virtual servers of Services in the kernel.
        ours: usize,
    },
    /// A virtual server to delete does not exist.
    #[error(
        "nothing was changed: --delete {0}: the node has no such virtual server; ipvsctl get servers lists them"
    )]
    NotThere(VirtualServerKey),
}

impl Guard {
    /// Checks that the virtual servers to delete exist.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotThere`].
    pub fn check_named(&self, live: &Snapshot) -> Result<(), Refusal> {
        let there = &live.tables.virtual_servers;
        match self.delete.iter().find(|key| !there.contains_key(key)) {
            Some(key) => Err(Refusal::NotThere(*key)),
            None => Ok(()),
        }
    }

    /// Checks that the plan leaves virtual servers of Services on the node.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoServices`] and [`Refusal::DeletesAll`], unless an empty table is allowed.
    pub fn check_plan(&self, view: &View) -> Result<(), Refusal> {
        let View {
            input, live, plan, ..
        } = view;
        let is_ours =
            |key: &VirtualServerKey| !self.delete.contains(key) && planner::is_marked(live, *key);
        let ours = (live.tables.virtual_servers.keys())
            .filter(|key| is_ours(key))
            .count();
        let deletes = |op: &Op| matches!(op, Op::DelVirtualServer(key) if is_ours(key));
        let deleted = (plan.ops()).filter(|planned| deletes(&planned.op)).count();
        if self.allow_empty || deleted == 0 {
            Ok(())
        } else if input.services == 0 && input.cluster.virtual_servers().next().is_none() {
            Err(Refusal::NoServices { deleted, ours })
        } else if deleted == ours {
            Err(Refusal::DeletesAll { ours })
        } else {
            Ok(())
        }
    }

    /// Checks that no service proxy runs on the node. `proxies` asks for them, which takes a few
    /// seconds at most.
    ///
    /// # Errors
    ///
    /// [`Refusal::Proxy`], unless the changes are forced.
    pub fn check_proxies(
        &self,
        proxies: impl FnOnce() -> Vec<(SocketAddr, Running)>,
    ) -> Result<(), Refusal> {
        if self.force {
            return Ok(());
        }
        match proxies().into_iter().next() {
            Some((address, running)) => Err(Refusal::Proxy { running, address }),
            None => Ok(()),
        }
    }

    /// Checks that no service proxy is among the processes of the node. One that serves no metrics,
    /// serves them elsewhere, or is stopped does not answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::Process`], unless the changes are forced.
    pub fn check_processes(&self, processes: impl FnOnce() -> Proxies) -> Result<(), Refusal> {
        if self.force {
            return Ok(());
        }
        let Proxies {
            daemons,
            kube_proxies,
        } = processes();
        let daemons = daemons.into_iter().map(|daemon| daemon.process);
        match daemons.chain(kube_proxies).next() {
            Some(ProcessFacts { name, pid, .. }) => Err(Refusal::Process { name, pid }),
            None => Ok(()),
        }
    }
}
