//! The resolved configuration: complete, validated, every field with a value.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{Scheduler, ServiceFlags, Timeouts};

use crate::names::Name;

/// Settings that decide, besides the cluster and the node itself, about the content of a node's tables and
/// their upkeep. `sources::config` has a row for each field, which documents its values; the defaults are
/// those of [`NodeConfig::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name in Kubernetes, lower case.
    pub node_name: Name,
    /// Replaces the node's primary address in its family; `None` if it is unspecified.
    pub bind_address: Option<std::net::IpAddr>,
    /// Scheduler of every virtual server whose Service names no other.
    pub scheduler: Scheduler,
    /// Flags of that scheduler, [`ServiceFlags::SCHED_1`] and [`ServiceFlags::SCHED_2`] alone.
    pub scheduler_flags: ServiceFlags,
    /// Virtual servers and addresses inside these are never deleted.
    pub exclude_cidrs: Vec<IpNetwork>,
    /// Interval between comparisons of all tables with the kernel's, even if nothing changed.
    pub sync_period: Duration,
    /// Time for which changes are gathered before they are applied; zero applies at once.
    pub min_sync_period: Duration,
    /// Packets that get an address of this node as their source.
    pub masquerade: Masquerade,
    /// Way in which traffic from this node's pods is recognised.
    pub detect_local: DetectLocal,
    /// Addresses of this node at which node ports are served.
    pub node_port_addresses: NodePortAddresses,
    /// External addresses of a Service that are served (deviation D9).
    pub external_ips: ExternalIpPolicy,
    /// External and load-balancer addresses inside these are not served (deviation D8).
    pub protected_cidrs: Vec<IpNetwork>,
    /// Addresses of the API server in the daemon's connection; no field holds them. Only
    /// `default/kubernetes` is served there (deviation D22).
    pub api_server: BTreeSet<SocketAddr>,
    /// Ports on which the daemon serves health and metrics. No Service is served at them on the node's own
    /// addresses (deviation D22).
    pub listener_ports: BTreeSet<u16>,
    /// Ports of other programs on the node, protected in the same way (deviation D22).
    pub protected_host_ports: BTreeSet<u16>,
    /// Limits of one Service (deviation D23).
    pub service_limits: ServiceLimits,
    /// True if the rules accept packets that are served, once source ranges admitted them, so that other
    /// rules of INPUT do not drop them.
    pub accept_served_traffic: bool,
    /// Time for which a real server that left may keep its connections; zero is without end (deviation D6).
    pub drain_timeout: Duration,
    /// Time for which a UDP real server keeps its flows while its endpoint terminates and still serves;
    /// zero deletes it at once (deviation D26).
    pub udp_drain_timeout: Duration,
    /// True if an endpoint that disappears without having been terminating is cut off at once (deviation
    /// D6).
    pub cut_lost_endpoints: bool,
    /// True if the node answers ARP for an address only at the interface that has it.
    pub strict_arp: bool,
    /// Timeouts and limits of the kernel.
    pub kernel_settings: KernelSettings,
}

impl NodeConfig {
    /// Returns the defaults of kube-proxy's ipvs mode for the node `node_name`.
    #[must_use]
    pub fn new(node_name: impl Into<Name>) -> Self {
        Self {
            node_name: node_name.into(),
            bind_address: None,
            scheduler: Scheduler("rr".into()),
            scheduler_flags: ServiceFlags::empty(),
            exclude_cidrs: Vec::new(),
            sync_period: Duration::from_secs(30),
            min_sync_period: Duration::ZERO,
            masquerade: Masquerade::default(),
            detect_local: DetectLocal::ClusterCidr(Vec::new()),
            node_port_addresses: NodePortAddresses::default(),
            external_ips: ExternalIpPolicy::Allow,
            protected_cidrs: Vec::new(),
            api_server: BTreeSet::new(),
            listener_ports: [METRICS_PORT, HEALTHZ_PORT].into(),
            protected_host_ports: [22].into(),
            service_limits: ServiceLimits::default(),
            accept_served_traffic: false,
            drain_timeout: Duration::from_secs(15 * 60),
            udp_drain_timeout: Duration::from_secs(5),
            cut_lost_endpoints: false,
            strict_arp: false,
            kernel_settings: KernelSettings::default(),
        }
    }
}

/// The default port of the daemon's health, as of kube-proxy's (`pkg/cluster/ports/ports.go`, Kubernetes
/// 1.30).
pub const HEALTHZ_PORT: u16 = 10256;
/// The default port of the daemon's metrics, as of kube-proxy's.
pub const METRICS_PORT: u16 = 10249;

/// Schedulers of Linux up to 6.12, `net/netfilter/ipvs/Kconfig`. A Service may choose one of these. Only
/// the administrator may choose another one ([`NodeConfig::scheduler`]), because its name becomes that of a
/// kernel module to load.
pub const SCHEDULERS: [&str; 14] = [
    "dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "twos", "wlc", "wrr",
];

/// Limits of one Service, so that no single object fills the node's tables. All are above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Number of external and load-balancer addresses that are served.
    pub addresses: usize,
    /// Number of source ranges that admit clients.
    pub source_ranges: usize,
    /// Number of virtual servers and of entries for source ranges, together.
    pub entries: usize,
    /// Number of real servers of all virtual servers, together.
    pub real_servers: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            addresses: 256,
            source_ranges: 1_000,
            entries: 8_192,
            real_servers: 131_072,
        }
    }
}

/// Returns the default flags of a scheduler: `mh` hashes the source port too, or one client would never
/// leave its first real server (k/k#115527); the others have none.
#[must_use]
pub fn default_scheduler_flags(scheduler: &str) -> ServiceFlags {
    match scheduler {
        "mh" => ServiceFlags::SCHED_2,
        _ => ServiceFlags::empty(),
    }
}

/// Timeouts and limits of the kernel that the node sets. Zero leaves the kernel's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSettings {
    /// Times for which connections in the IPVS table may be idle.
    pub timeouts: Timeouts,
    /// The connection tracker.
    pub conntrack: ConntrackSettings,
}

/// Settings of the connection tracker in kube-proxy's section `conntrack`. Zero leaves the kernel's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConntrackSettings {
    /// Connections for each processor.
    pub max_per_core: u32,
    /// Minimum number of connections; without meaning while `max_per_core` is zero.
    pub min: u32,
    /// Time for which an established TCP connection may be idle.
    pub tcp_established_timeout: Duration,
    /// Time for which a TCP connection that one side has closed may be idle.
    pub tcp_close_wait_timeout: Duration,
    /// True if packets outside the TCP window are valid.
    pub tcp_be_liberal: bool,
    /// Time for which a UDP flow without an answer may be idle.
    pub udp_timeout: Duration,
    /// Time for which a UDP flow with answers may be idle.
    pub udp_stream_timeout: Duration,
}

/// kube-proxy's defaults.
impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            conntrack: ConntrackSettings {
                max_per_core: 32_768,
                min: 131_072,
                tcp_established_timeout: Duration::from_secs(24 * 60 * 60),
                tcp_close_wait_timeout: Duration::from_secs(60 * 60),
                tcp_be_liberal: false,
                udp_timeout: Duration::ZERO,
                udp_stream_timeout: Duration::ZERO,
            },
        }
    }
}

/// Packets that get an address of this node as their source, and the bits that mark them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masquerade {
    /// Every packet to a cluster address, not only those from outside.
    pub all: bool,
    /// The bit of the packet mark for packets to be masqueraded, 0 to 31.
    pub mark_bit: u8,
    /// The bit for packets of this node to be dropped, where a Service's source ranges leave the node out;
    /// 0 to 31, another one than `mark_bit`.
    pub drop_bit: u8,
}

impl Default for Masquerade {
    fn default() -> Self {
        Self {
            all: false,
            mark_bit: 14,
            drop_bit: 15,
        }
    }
}

/// Way in which traffic from this node's pods is recognised: `detectLocalMode` and its parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    /// By source: the first of these networks in each family. Without a network of a family its pods are
    /// unknown.
    ClusterCidr(Vec<IpNetwork>),
    /// By source: the first of the Node's `podCIDRs` in each family.
    NodeCidr,
    /// By this bridge, at which the pods are.
    BridgeInterface(Name),
    /// By the beginning of the names of the interfaces to the pods.
    InterfaceNamePrefix(Name),
}

/// Addresses of this node at which node ports are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// Addresses inside these networks. In a family without a network, or with one of length 0: every
    /// address except loopback and link-local ones. Loopback addresses are never served.
    Within(Vec<IpNetwork>),
    /// The Node's first address of each family, and addresses inside these networks.
    PrimaryAnd(Vec<IpNetwork>),
}

impl Default for NodePortAddresses {
    fn default() -> Self {
        Self::Within(Vec::new())
    }
}

/// `externalIPs` of a Service that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternalIpPolicy {
    /// All, as in kube-proxy.
    Allow,
    /// Addresses inside these networks.
    AllowList(Vec<IpNetwork>),
    /// No address.
    Deny,
}
