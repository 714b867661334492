//! Changes by others: programs that write the tables behind the reader's back, and clients.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{AddressFamily, Connections, RealServer, RealServerKey, Timeouts, VirtualServerKey};
use model::rules::ChainKey;
use model::{NodeState, Op};

use super::MemoryKernel;
use model::kernel::OpErrorKind;

impl MemoryKernel {
    /// Another program makes a change. It is refused as ours would be, counted nowhere, and no fault
    /// happens to it.
    ///
    /// # Errors
    ///
    /// As the kernel refuses it.
    pub fn foreign(&self, op: &Op) -> Result<(), OpErrorKind> {
        self.state().do_op(op)
    }

    /// Another program makes a device of another kind, for example `bridge`, with the dummy device's
    /// name, in place of what has it now.
    pub fn set_foreign_device(&self, kind: &str) {
        self.state().addresses.set_foreign_device(kind);
    }

    /// The node's other interfaces become these.
    pub fn set_node(&self, node: NodeState) {
        self.state().addresses.set_node(node);
    }

    /// The idle timeouts become these.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.state().timeouts = timeouts;
    }

    /// A rule of another chain goes to this one of ours, which so cannot be deleted.
    pub fn hold_chain(&self, family: AddressFamily, chain: ChainKey) {
        self.state().filter_state.hold(family, chain);
    }

    /// The kernel has, or can load, these schedulers and no other.
    pub fn set_schedulers<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: BTreeSet<Arc<str>> = names.into_iter().map(Arc::from).collect();
        self.state().virtual_servers.set_schedulers(names);
    }

    /// A real server has this many connections. Counts of a deleted one are kept until it is added
    /// again, as long as they are not zero.
    pub fn set_connections(
        &self,
        key: VirtualServerKey,
        real: RealServerKey,
        connections: Connections,
    ) {
        let mut state = self.state();
        state
            .virtual_servers
            .set_connections((key, real), connections);
    }

    /// A real server as it is now, and its connections. Not counted as a reading.
    #[must_use]
    pub fn real_server(
        &self,
        key: VirtualServerKey,
        real: RealServerKey,
    ) -> Option<(RealServer, Connections)> {
        self.state().virtual_servers.real_server((key, real))
    }

    /// A client sends the first packet of a flow; answers which real server gets it. The real server
    /// counts an inactive connection more.
    #[must_use]
    pub fn connect(&self, key: VirtualServerKey) -> Option<RealServerKey> {
        self.state().virtual_servers.connect(key)
    }

    /// Returns true if `address` is on the dummy device.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.snapshot().tables.addresses.contains(&address)
    }
}
