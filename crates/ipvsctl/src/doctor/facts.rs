//! Facts that were found on a node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipvs::AddressFamily;
use kernel::linux::{Presence, Variant};
use model::{Leftovers, Name, NodeConfig, Snapshot};
use sources::proxy::Running;

use crate::schema::{DaemonDrain, DaemonStatus};

/// Settings that are looked at beside those that a proxy sets.
pub const SETTINGS: [&str; 4] = [TRACKED, TRACKED_MAX, BRIDGE_V4, BRIDGE_V6];

/// Number of connections that the tracker has.
pub const TRACKED: &str = "net.netfilter.nf_conntrack_count";
/// Number of connections that it takes.
pub const TRACKED_MAX: &str = "net.netfilter.nf_conntrack_max";
/// Setting by which packets that go over a bridge pass the rules of IPv4.
pub const BRIDGE_V4: &str = "net.bridge.bridge-nf-call-iptables";
/// The same of IPv6.
pub const BRIDGE_V6: &str = "net.bridge.bridge-nf-call-ip6tables";

/// Facts that were found on a node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The configuration of kube-ipvsd here.
    pub config: NodeConfig,
    /// The kernel's release, `6.1.0-42-amd64`; empty where it is not known.
    pub release: String,
    /// The version of IPVS; none where the kernel does not tell.
    pub ipvs_version: Option<String>,
    /// The kernel's tables, without the rules where these cannot be read; none where it has no IPVS.
    pub live: Option<Snapshot>,
    /// Of what kind the device `kube-ipvs0` is where it is no dummy device.
    pub foreign_device: Option<String>,
    /// The values of those [`SETTINGS`] that the kernel has.
    pub settings: BTreeMap<&'static str, String>,
    /// The modules that are wanted.
    pub modules: BTreeMap<String, Presence>,
    /// The node's Linux bridges.
    pub bridges: BTreeSet<Name>,
    /// The packet filter.
    pub filter: FilterFacts,
    /// The service proxies that answer, each once.
    pub proxies: Vec<(SocketAddr, Running)>,
    /// The answers of kube-ipvsd.
    pub daemon: DaemonFacts,
}

/// Facts about the packet filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterFacts {
    /// Why it cannot be read.
    pub unreadable: Option<String>,
    /// The one that is used and the reason, in words; none where that is not known.
    pub used: Option<(Variant, String)>,
    /// Where chains of ours are.
    pub holders: BTreeSet<(Variant, AddressFamily)>,
    /// Leftovers of kube-proxy's other modes; none where it was not possible to look for them.
    pub leftovers: Option<Leftovers>,
}

/// The answers of kube-ipvsd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonFacts {
    /// Where it was asked; none where its configuration serves metrics nowhere.
    pub metrics: Option<SocketAddr>,
    /// Its own status; none where it does not answer.
    pub status: Option<DaemonStatus>,
    /// Drains that it reports; none where it does not answer.
    pub drains: Option<Vec<DaemonDrain>>,
    /// Health that it reports; none where its configuration serves that nowhere.
    pub health: Option<HealthFacts>,
}

/// The answer about a proxy's health: yes, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthFacts {
    /// Where it was asked.
    pub address: SocketAddr,
    /// `/healthz`: whether load balancers should use the node.
    pub healthz: Result<(), String>,
    /// `/livez`: whether the proxy does its work, whatever becomes of the node.
    pub livez: Result<(), String>,
}

impl NodeFacts {
    /// Returns true if kube-ipvsd answers.
    pub(super) fn is_kept(&self) -> bool {
        (self.proxies.iter()).any(|(_, running)| *running == Running::KubeIpvs)
    }

    /// A setting that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.settings.get(name)?.parse().ok()
    }
}
