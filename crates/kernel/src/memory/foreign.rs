//! Changes that other programs and clients make.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipvs::{AddressFamily, Connections, RealServer, RealServerKey, Timeouts, VirtualServerKey};
use model::rules::ChainKey;
use model::{NodeState, Op};

use super::MemoryKernel;
use model::kernel::OpErrorKind;

impl MemoryKernel {
    /// Applies a change of another program. The kernel may refuse it as it refuses ours. It is not
    /// counted and has no injected fault.
    ///
    /// # Errors
    ///
    /// Returns the error with which the kernel refuses the change.
    pub fn foreign(&self, op: &Op) -> Result<(), OpErrorKind> {
        self.state().do_op(op)
    }

    /// Replaces the device with the name of the dummy device by a device of another kind, for
    /// example `bridge`.
    pub fn set_foreign_device(&self, kind: &str) {
        self.state().addresses.set_foreign_device(kind);
    }

    /// Replaces the node's other interfaces.
    pub fn set_node(&self, node: NodeState) {
        self.state().addresses.set_node(node);
    }

    /// Replaces the idle timeouts.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.state().timeouts = timeouts;
    }

    /// Adds a foreign rule that jumps to this chain of ours, so that the chain cannot be deleted.
    pub fn hold_chain(&self, family: AddressFamily, chain: ChainKey) {
        self.state().filter_state.hold(family, chain);
    }

    /// Sets the schedulers that the kernel has or can load.
    pub fn set_schedulers<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: BTreeSet<Arc<str>> = names.into_iter().map(Arc::from).collect();
        self.state().virtual_servers.set_schedulers(names);
    }

    /// Sets the connections of a real server. Connections of a deleted real server are kept until
    /// it is added again, unless they are zero.
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

    /// Ends every connection, including those of deleted real servers.
    pub fn end_connections(&self) {
        self.state().virtual_servers.end_connections();
    }

    /// Returns a real server and its connections. This does not count as a reading.
    #[must_use]
    pub fn real_server(
        &self,
        key: VirtualServerKey,
        real: RealServerKey,
    ) -> Option<(RealServer, Connections)> {
        self.state().virtual_servers.real_server((key, real))
    }

    /// Simulates the first packet of a flow, and returns the real server that gets it. The real
    /// server then has one more inactive connection.
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
