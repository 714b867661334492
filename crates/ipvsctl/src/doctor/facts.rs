//! Facts about a node, input of the checks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipvs::{AddressFamily, VirtualServerKey};
use kernel::linux::{Presence, Variant};
use model::{Desired, Leftovers, Name, NodeConfig, ObjectName, Plan, Snapshot, VirtualServerEntry};
use sources::proxy::Running;

use crate::input::Input;
use crate::input::running::ProcessFacts;
use crate::schema::{DaemonDrain, DaemonStatus};

/// Settings that are read in addition to those that kube-ipvsd sets.
pub const SETTINGS: [&str; 4] = [TRACKED, TRACKED_MAX, BRIDGE_V4, BRIDGE_V6];

/// Number of tracked connections.
pub const TRACKED: &str = "net.netfilter.nf_conntrack_count";
/// Maximum number of tracked connections.
pub const TRACKED_MAX: &str = "net.netfilter.nf_conntrack_max";
/// Setting that sends bridged IPv4 packets through the rules.
pub const BRIDGE_V4: &str = "net.bridge.bridge-nf-call-iptables";
/// Setting that sends bridged IPv6 packets through the rules.
pub const BRIDGE_V6: &str = "net.bridge.bridge-nf-call-ip6tables";

/// Facts about a node.
#[derive(Debug)]
pub struct NodeFacts {
    /// Configuration of kube-ipvsd on the node.
    pub config: NodeConfig,
    /// Release of the kernel, `6.1.0-42-amd64`; empty if unknown.
    pub release: String,
    /// Version of IPVS; `None` if unknown.
    pub ipvs_version: Option<String>,
    /// Tables of the kernel, without rules if these cannot be read; `None` if the kernel has no
    /// IPVS.
    pub live: Option<Snapshot>,
    /// Kind of the device `kube-ipvs0` if it is not a dummy device.
    pub foreign_device: Option<String>,
    /// Desired tables and their difference from the live ones, or the reason why they are unknown.
    pub desired: Result<Compared, String>,
    /// Addresses of `kube-ipvs0` at which the node does not accept packets.
    pub unreachable: BTreeSet<IpAddr>,
    /// Values of those [`SETTINGS`] that the kernel has.
    pub settings: BTreeMap<&'static str, String>,
    /// Modules that are needed.
    pub modules: BTreeMap<String, Presence>,
    /// Linux bridges of the node.
    pub bridges: BTreeSet<Name>,
    /// Checks of the sources of IPv4 packets, by interface other than the loopback and dummy devices.
    /// Empty if unknown.
    pub source_checks: BTreeMap<String, SourceCheck>,
    /// The packet filter.
    pub filter: FilterFacts,
    /// Service proxies that answer, each once.
    pub proxies: Vec<(SocketAddr, Running)>,
    /// Processes of kube-ipvsd. Empty if processes of the host are not visible.
    pub daemons: Vec<ProcessFacts>,
    /// Processes of kube-proxy.
    pub kube_proxies: Vec<ProcessFacts>,
    /// Answers of kube-ipvsd.
    pub daemon: DaemonFacts,
}

/// Check of the source of IPv4 packets that arrive at an interface. Each value is the one in effect,
/// from the interface's setting and that of `all` (`include/linux/inetdevice.h`, Linux 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceCheck {
    /// True if addresses of the node are accepted as sources (`accept_local`).
    pub accept_local: bool,
    /// Reverse path filter (`rp_filter`): 0 off, 1 strict, 2 loose.
    pub rp_filter: u8,
}

impl SourceCheck {
    /// Returns true if packets whose source is an address on the dummy device are accepted. The
    /// strict filter expects them from that device.
    #[must_use]
    pub fn accepts_own(self) -> bool {
        self.accept_local && self.rp_filter != 1
    }
}

/// Desired tables of a node, compared with the live ones.
#[derive(Debug)]
pub struct Compared {
    /// Objects, and the desired tables.
    pub input: Input,
    /// Changes that turn the live tables into the desired ones.
    pub plan: Plan,
}

impl Compared {
    /// Compares the desired tables of `input` with `live`.
    #[must_use]
    pub fn new(input: Input, live: &Snapshot) -> Self {
        let plan = input.plan(live, recognized(&input.desired, live));
        Self { input, plan }
    }

    /// Compares again with tables that were read later, and keeps the changes that both
    /// comparisons have.
    #[must_use]
    pub fn confirmed(self, later: &Snapshot) -> Self {
        let first: BTreeSet<String> = (self.plan.ops())
            .map(|planned| planned.op.to_string())
            .collect();
        let mut again = Self::new(self.input, later);
        for stage in &mut again.plan.stages {
            (stage.ops).retain(|planned| first.contains(&planned.op.to_string()));
        }
        again.plan.stages.retain(|stage| !stage.ops.is_empty());
        again
    }

    /// Returns the Services that the node should serve.
    #[must_use]
    pub fn services(&self) -> BTreeSet<&ObjectName> {
        let owners = self.input.desired.owners.virtual_servers.values();
        owners.map(|owner| &owner.service).collect()
    }
}

/// Returns the desired virtual servers that exist with one of their real servers. They are ours even
/// if the address or the set entry that marks them as ours was deleted.
fn recognized(desired: &Desired, live: &Snapshot) -> BTreeSet<VirtualServerKey> {
    let wanted = desired.tables.virtual_servers.iter();
    let is_there = |(key, wanted): &(&VirtualServerKey, &Arc<VirtualServerEntry>)| {
        let live = live.tables.virtual_servers.get(key);
        live.is_some_and(|live| {
            let mut reals = live.real_servers.keys();
            reals.any(|real| wanted.real_servers.contains_key(real))
        })
    };
    wanted.filter(is_there).map(|(key, _)| *key).collect()
}

/// Facts about the packet filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterFacts {
    /// Reason why the packet filter cannot be read.
    pub unreadable: Option<String>,
    /// Variant in use, and the reason for this choice as text; `None` if unknown.
    pub used: Option<(Variant, String)>,
    /// Variants and families that contain chains of ours.
    pub holders: BTreeSet<(Variant, AddressFamily)>,
    /// Leftovers of kube-proxy's other modes; `None` if they could not be read.
    pub leftovers: Option<Leftovers>,
}

/// Answers of kube-ipvsd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonFacts {
    /// Metrics address that was asked; `None` if the configuration disables it.
    pub metrics: Option<SocketAddr>,
    /// Status; `None` if kube-ipvsd does not answer.
    pub status: Option<DaemonStatus>,
    /// Reported drains; `None` if kube-ipvsd does not answer.
    pub drains: Option<Vec<DaemonDrain>>,
    /// Reported health; `None` if the configuration disables it.
    pub health: Option<HealthFacts>,
}

/// Health that a proxy reports: healthy, or a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthFacts {
    /// Health address that was asked.
    pub address: SocketAddr,
    /// Answer of `/healthz`, which tells load balancers to use the node.
    pub healthz: Result<(), String>,
    /// Answer of `/livez`, which does not depend on the state of the Node.
    pub livez: Result<(), String>,
}

impl NodeFacts {
    /// Returns true if kube-ipvsd answers.
    pub(super) fn is_kept(&self) -> bool {
        (self.proxies.iter()).any(|(_, running)| *running == Running::KubeIpvs)
    }

    /// Returns the compared tables, if they are known.
    pub(super) fn compared(&self) -> Option<&Compared> {
        self.desired.as_ref().ok()
    }

    /// Returns the Services of these virtual servers, as far as they are known.
    pub(super) fn owners(&self, servers: &[VirtualServerKey]) -> BTreeSet<ObjectName> {
        let Some(compared) = self.compared() else {
            return BTreeSet::new();
        };
        let owners = &compared.input.desired.owners.virtual_servers;
        let owners = servers.iter().filter_map(|server| owners.get(server));
        owners.map(|owner| owner.service.clone()).collect()
    }

    /// Returns the setting `name` as a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.settings.get(name)?.parse().ok()
    }
}
