//! The resolved configuration: complete and validated; every field has a value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{Scheduler, ServiceFlags, SyncDaemon, SyncRole};

use crate::names::Name;
use crate::policy::{LabelSelector, PolicyField, PolicyRule};

/// Settings that decide, together with the cluster and the node, the node's tables and how they are
/// maintained. `sources::config` has a row for each field, which documents its values; the defaults
/// are those of [`NodeConfig::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name in Kubernetes, lower case.
    pub node_name: Name,
    /// Address that replaces the node's primary address in its family; `None` if it is unspecified.
    pub bind_address: Option<std::net::IpAddr>,
    /// Scheduler of every virtual server whose Service does not choose one.
    pub scheduler: Scheduler,
    /// Flags of that scheduler; only [`ServiceFlags::SCHED_1`] and [`ServiceFlags::SCHED_2`].
    pub scheduler_flags: ServiceFlags,
    /// Networks whose virtual servers and addresses are never deleted.
    pub exclude_cidrs: Vec<IpNetwork>,
    /// Interval between audits, which compare all tables with the desired ones even if nothing
    /// changed.
    pub sync_period: Duration,
    /// Minimum time between two syncs of changes; zero applies a change at once.
    pub min_sync_period: Duration,
    /// Packets that get an address of this node as their source.
    pub masquerade: Masquerade,
    /// Method to recognize traffic from this node's pods.
    pub detect_local: DetectLocal,
    /// Addresses of this node at which node ports are served.
    pub node_port_addresses: NodePortAddresses,
    /// External addresses of a Service that are served (deviation D9).
    pub external_ips: ExternalIpPolicy,
    /// Networks whose external and load-balancer addresses are not served (deviation D8).
    pub protected_cidrs: Vec<IpNetwork>,
    /// Addresses of the API server, taken from the daemon's connection; the configuration has no
    /// field for them. Only `default/kubernetes` is served there (deviation D22).
    pub api_server: BTreeSet<SocketAddr>,
    /// Ports at which the daemon serves health and metrics. No Service is served at them on the
    /// node's own addresses (deviation D22).
    pub listener_ports: BTreeSet<u16>,
    /// Ports of other programs on the node, protected like `listener_ports` (deviation D22).
    pub protected_host_ports: BTreeSet<u16>,
    /// Limits of one Service (deviation D23).
    pub service_limits: ServiceLimits,
    /// True if the rules accept packets to served addresses, after the check of source ranges,
    /// whatever other rules of INPUT do.
    pub accept_served_traffic: bool,
    /// Maximum time for which a removed real server keeps its connections; zero sets no limit
    /// (deviation D6).
    pub drain_timeout: Duration,
    /// Time for which a UDP real server keeps its flows while its endpoint terminates and still
    /// serves; zero deletes it at once (deviation D26).
    pub udp_drain_timeout: Duration,
    /// True if connections to an endpoint that disappeared without terminating first are cut at
    /// once (deviation D6).
    pub cut_lost_endpoints: bool,
    /// True if the node answers ARP requests for an address only on the interface that has the
    /// address.
    pub strict_arp: bool,
    /// Timeouts and limits of the kernel.
    pub kernel_settings: KernelSettings,
    /// Policies for the Services that they select. The first that selects a Service applies to it.
    pub service_policies: Vec<PolicyRule>,
    /// Fields of its policy that a Service may set by annotations.
    pub allowed_annotations: BTreeSet<PolicyField>,
    /// Networks of the endpoints that this node may probe for a health check; empty turns health
    /// checks off.
    pub health_check_networks: Vec<IpNetwork>,
    /// Certificate authorities by which health checks verify servers, each with its file.
    pub health_check_authorities: BTreeMap<Name, PathBuf>,
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
            service_policies: Vec::new(),
            allowed_annotations: PolicyField::allowed_by_default(),
            health_check_networks: Vec::new(),
            health_check_authorities: BTreeMap::new(),
        }
    }

    /// Returns the names of the labels of Services that policies read.
    #[must_use]
    pub fn label_keys(&self) -> BTreeSet<Name> {
        let selectors = self.service_policies.iter().map(|rule| &rule.labels);
        selectors.flat_map(LabelSelector::keys).cloned().collect()
    }
}

/// Default port of the health pages, as in kube-proxy (`pkg/cluster/ports/ports.go`, Kubernetes
/// 1.30).
pub const HEALTHZ_PORT: u16 = 10256;
/// Default port of the metrics, as in kube-proxy.
pub const METRICS_PORT: u16 = 10249;

/// Schedulers of Linux up to 6.12, `net/netfilter/ipvs/Kconfig`. A Service may choose one of these.
/// Only the administrator may choose another one ([`NodeConfig::scheduler`]), because its name
/// selects the kernel module to load.
pub const SCHEDULERS: [&str; 14] = [
    "dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "twos", "wlc", "wrr",
];

/// Limits of one Service, so that no single Service fills the node's tables. All limits are above
/// zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Number of served external and load-balancer addresses.
    pub addresses: usize,
    /// Number of source ranges.
    pub source_ranges: usize,
    /// Total number of virtual servers and set entries for source ranges.
    pub entries: usize,
    /// Total number of real servers of all virtual servers.
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

/// Returns the flags of a scheduler for which none are configured. `mh` also hashes the source
/// port, since otherwise a client would never leave its first real server (k/k#115527); the other
/// schedulers have no flags.
#[must_use]
pub fn default_scheduler_flags(scheduler: &str) -> ServiceFlags {
    match scheduler {
        "mh" => ServiceFlags::SCHED_2,
        _ => ServiceFlags::empty(),
    }
}

/// Timeouts and limits that the node sets in the kernel. Zero leaves the kernel's value unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSettings {
    /// Idle timeouts of connections in the IPVS table.
    pub timeouts: IpvsTimeouts,
    /// Settings of the connection tracker.
    pub conntrack: ConntrackSettings,
    /// Synchronisation daemons.
    pub sync: SyncSettings,
}

/// Settings of the synchronisation daemons, which the node starts with equal settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSettings {
    /// Roles of the node. The other roles are not managed.
    pub role: SyncMode,
    /// Interface for the multicast packets; not empty if there is a role.
    pub interface: String,
    /// Identifier of the group of directors. A backup ignores messages of other identifiers.
    pub sync_id: u8,
    /// Multicast group. The kernel refuses other addresses (`ip_vs_genl_new_daemon`,
    /// net/netfilter/ipvs/ip_vs_ctl.c, Linux 6.1).
    pub group: IpAddr,
    /// UDP port, above zero.
    pub port: u16,
    /// Time to live of the packets, above zero.
    pub time_to_live: u8,
    /// Maximum length of a message in bytes; zero uses the kernel's default, which depends on the
    /// MTU of the interface.
    pub maximum_length: u16,
}

/// Roles of the node in the synchronisation of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// No synchronisation daemon is managed.
    #[default]
    None,
    /// The node sends its connections.
    Master,
    /// The node receives connections.
    Backup,
    /// The node sends and receives connections.
    Both,
}

impl SyncMode {
    /// Returns the roles.
    #[must_use]
    pub fn roles(self) -> &'static [SyncRole] {
        match self {
            Self::None => &[],
            Self::Master => &[SyncRole::Master],
            Self::Backup => &[SyncRole::Backup],
            Self::Both => &[SyncRole::Master, SyncRole::Backup],
        }
    }
}

/// Returns the kernel's defaults (`start_sync_thread`, net/netfilter/ipvs/ip_vs_sync.c, Linux 6.1).
impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            role: SyncMode::None,
            interface: String::new(),
            sync_id: 0,
            group: Ipv4Addr::new(224, 0, 0, 81).into(),
            port: 8848,
            time_to_live: 1,
            maximum_length: 0,
        }
    }
}

impl SyncSettings {
    /// Returns the daemons to run.
    #[must_use]
    pub fn daemons(&self) -> BTreeMap<SyncRole, SyncDaemon> {
        let roles = self.role.roles().iter();
        roles.map(|role| (*role, self.daemon(*role))).collect()
    }

    fn daemon(&self, role: SyncRole) -> SyncDaemon {
        SyncDaemon {
            role,
            interface: self.interface.as_str().into(),
            sync_id: self.sync_id.into(),
            maximum_length: Some(self.maximum_length).filter(|length| *length > 0),
            group: Some(self.group),
            port: Some(self.port),
            time_to_live: Some(self.time_to_live),
        }
    }
}

/// Idle timeouts of connections in the IPVS table, from kube-proxy's `ipvs` section. Zero leaves
/// the kernel's value unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpvsTimeouts {
    /// Timeout of an established TCP connection.
    pub tcp: TcpTimeout,
    /// Timeout of a TCP connection after a FIN.
    pub tcp_fin: Duration,
    /// Timeout of a UDP flow.
    pub udp: Duration,
}

/// Idle timeout of an established TCP connection in the IPVS table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpTimeout {
    /// This time; zero leaves the kernel's value unchanged.
    Fixed(Duration),
    /// Long enough for TCP keepalive to find the connection alive, on the node and in a pod with
    /// the kernel's values (deviation D19). It also lengthens the connection tracker's timeout,
    /// unless that one is left to the kernel.
    MatchKeepalive,
}

impl Default for TcpTimeout {
    fn default() -> Self {
        Self::Fixed(Duration::ZERO)
    }
}

/// The longest idle timeout that every kernel takes, `INT_MAX / HZ` where a second has 1000 ticks:
/// `ip_vs_set_timeout` in net/netfilter/ipvs/ip_vs_ctl.c, and `proc_dointvec_jiffies` for the
/// settings of connection tracking (Linux 6.1).
pub const KERNEL_TIMEOUT_MAX: Duration = Duration::from_secs(i32::MAX as u64 / 1000);

/// Settings of the connection tracker, from kube-proxy's `conntrack` section. Zero leaves the
/// kernel's value unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConntrackSettings {
    /// Maximum number of connections for each processor.
    pub max_per_core: u32,
    /// Lower bound of the maximum number of connections; ignored if `max_per_core` is zero.
    pub min: u32,
    /// Idle timeout of an established TCP connection.
    pub tcp_established_timeout: Duration,
    /// Idle timeout of a TCP connection that one side has closed.
    pub tcp_close_wait_timeout: Duration,
    /// True if packets outside the TCP window count as valid.
    pub tcp_be_liberal: bool,
    /// Idle timeout of a UDP flow without answers.
    pub udp_timeout: Duration,
    /// Idle timeout of a UDP flow with answers.
    pub udp_stream_timeout: Duration,
}

/// Returns kube-proxy's defaults.
impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            timeouts: IpvsTimeouts::default(),
            conntrack: ConntrackSettings {
                max_per_core: 32_768,
                min: 131_072,
                tcp_established_timeout: Duration::from_secs(24 * 60 * 60),
                tcp_close_wait_timeout: Duration::from_secs(60 * 60),
                tcp_be_liberal: false,
                udp_timeout: Duration::ZERO,
                udp_stream_timeout: Duration::ZERO,
            },
            sync: SyncSettings::default(),
        }
    }
}

/// Selection of the packets that get an address of this node as their source, and the packet marks
/// used for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masquerade {
    /// True to masquerade every packet to a cluster address, not only those from outside the
    /// cluster.
    pub all: bool,
    /// Bit of the packet mark for packets to be masqueraded, 0 to 31.
    pub mark_bit: u8,
    /// Bit of the packet mark for packets of this node that are to be dropped because a Service's
    /// source ranges exclude the node, 0 to 31. It differs from `mark_bit`.
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

/// Method to recognize traffic from this node's pods: `detectLocalMode` with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    /// By source address: the first of these networks in each family. In a family without a
    /// network, traffic of pods is not recognized.
    ClusterCidr(Vec<IpNetwork>),
    /// By source address: the first of the Node's `podCIDRs` in each family.
    NodeCidr,
    /// By input interface: the bridge that the pods are connected to.
    BridgeInterface(Name),
    /// By input interface: the prefix of the names of the pods' interfaces.
    InterfaceNamePrefix(Name),
}

/// Addresses of this node at which node ports are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// Addresses inside these networks. A family without a network, or with a network of length 0,
    /// uses every address except loopback and link-local ones. Node ports are never served at
    /// loopback addresses.
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
    /// All addresses, as in kube-proxy.
    Allow,
    /// Addresses inside these networks.
    AllowList(Vec<IpNetwork>),
    /// No address.
    Deny,
}
