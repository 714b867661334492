//! The table of all fields and flags. A row declares a field once: its meaning, path, flag, kind,
//! place and default. The flags, the checks, the warnings, the daemon's settings, the output of
//! `ipvsctl config show` and the page `docs/reference/config.md` follow from it.
//!
//! | place | meaning |
//! |---|---|
//! | `node(a.b)` | the field `a.b` of [`NodeConfig`](model::NodeConfig), which has the default |
//! | `daemon(name: Type = default)` | a field of [`DaemonSettings`], which this declares |
//! | `by(get, set)` | functions, for a field that depends on others |
//! | `unused(default)` | nowhere: kube-proxy's default |
//!
//! Behaviour and defaults of kube-proxy's fields are those of its release 1.30.

mod extra;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use model::config::{HEALTHZ_PORT, METRICS_PORT};
use serde_json::Value;
use strsim::levenshtein;

pub use self::extra::{EXTRA_FLAGS, ExtraFlag};
pub use super::field::{Effect, Field};

use super::field::{At, Precedence};
use super::kind::{
    ADDRESS, ANY, AUTHORITIES, BOOL, DURATION, INTERFACE, KERNEL_SECONDS, MULTICAST, NETWORK_PAIR,
    NETWORKS, NODE_PORTS, NUMBER, POLICY_FIELDS, POLICY_RULES, PORTS, SCHEDULER, SYNC_LENGTH,
    TCP_TIMEOUT, TEXT, VERBOSITY, address_port, at_least, choice, whole,
};
use super::relations::{self, BRIDGE, GATES, PREFIX, ProxyMode, SCHEDULER_FLAGS};
use super::{IptablesBackend, LogFormat, ServiceMetrics};
use crate::kube::Nodes;

macro_rules! fields {
    ($(
        $(#[doc = $meaning:literal])+
        $path:literal $([$($mark:ident $(($argument:literal))?),+])?: $kind:expr =>
            $(node($($node:ident).+))?
            $(daemon($name:ident: $type:ty = $default:expr))?
            $(by($get:expr, $set:expr))?
            $(unused($value:expr))?;
    )+) => {
        /// Settings of the daemon itself, besides those that decide about the tables.
        #[derive(Clone, Debug, PartialEq)]
        pub struct DaemonSettings {
            $($(#[doc = concat!("`", $path, "`.")] pub $name: $type,)?)+
        }

        impl Default for DaemonSettings {
            fn default() -> Self {
                Self { $($($name: $default,)?)+ }
            }
        }

        /// All fields but `apiVersion` and `kind`, in the order in which they are read and shown.
        pub static FIELDS: &[Field] = &[$(Field {
            path: $path,
            flag: None,
            precedence: Precedence::BelowFile,
            effect: Effect::Acts,
            ours: false,
            zero_is_default: false,
            meaning: concat!($($meaning),+),
            place: &At {
                kind: $kind,
                $(
                    get: |config| Clone::clone(&config.node.$($node).+),
                    set: |reader, value| reader.config.node.$($node).+ = value,
                )?
                $(
                    get: |config| Clone::clone(&config.settings.$name),
                    set: |reader, value| reader.config.settings.$name = value,
                )?
                $(get: $get, set: $set,)?
                $(get: |_| $value, set: |_, _| (),)?
            },
        }$($(.$mark($($argument)?))+)?),+];
    };
}

fields! {
    /// `ipvs`, the default. Any other mode is an error.
    "mode" [flag("proxy-mode")]: choice() => unused(ProxyMode::Ipvs);

    /// Name of the node in Kubernetes. If empty, the host's name.
    "hostnameOverride" [flag("hostname-override"), of_program]: TEXT => by(
        |config| config.node.node_name.to_string(),
        |reader, name| relations::set_node_name(reader, &name)
    );

    /// Replaces the node's primary address in its family, unless it is unspecified. No socket is
    /// bound to it.
    "bindAddress" [flag("bind-address")]: ADDRESS
        => by(relations::bind_address, relations::set_bind_address);

    /// Path of the kubeconfig. If empty: `$KUBECONFIG`, then the pod's service account, then
    /// `~/.kube/config`.
    "clientConnection.kubeconfig" [flag("kubeconfig"), of_program]: TEXT
        => by(relations::kubeconfig, |reader, path| reader.config.kubeconfig = Some(path.into()));

    // The node's tables.

    /// Scheduler of every virtual server. The kernel must have it.
    "ipvs.scheduler" [flag("ipvs-scheduler")]: SCHEDULER
        => by(|config| config.node.scheduler.0.to_string(), relations::set_scheduler);

    /// Flags of the scheduler `sh` or `mh`. `*-port` also hashes the client's port. `*-fallback`
    /// chooses another real server while the selected one has weight 0. Default for `mh`:
    /// `[mh-port]`, as in kube-proxy.
    "ipvs.schedulerFlags" [ours]: SCHEDULER_FLAGS
        => by(relations::scheduler_flags, relations::set_scheduler_flags);

    /// Interval between full comparisons with the kernel, even if nothing changed.
    "ipvs.syncPeriod" [flag("ipvs-sync-period"), zero_is_default]: DURATION => node(sync_period);

    /// Time for which changes are gathered before they are applied; 0 applies at once. At most
    /// `ipvs.syncPeriod`.
    "ipvs.minSyncPeriod" [flag("ipvs-min-sync-period")]: DURATION => node(min_sync_period);

    /// Virtual servers and addresses in these networks are never deleted.
    "ipvs.excludeCIDRs" [flag("ipvs-exclude-cidrs")]: NETWORKS => node(exclude_cidrs);

    /// The node answers ARP for an address only at the interface that has it: `arp_ignore` 1 and
    /// `arp_announce` 2.
    "ipvs.strictARP" [flag("ipvs-strict-arp")]: BOOL => node(strict_arp);

    /// Every packet to a cluster address gets an address of the node as its source.
    "iptables.masqueradeAll" [flag("masquerade-all")]: BOOL => node(masquerade.all);

    /// Bit of the packet mark that selects packets for masquerading.
    "iptables.masqueradeBit" [flag("iptables-masquerade-bit")]: whole::<0, 31, _>()
        => by(|config| config.node.masquerade.mark_bit, relations::set_masquerade_bit);

    /// Bit of the packet mark that selects the node's own packets for dropping, if a Service's
    /// source ranges exclude the node. Must differ from `iptables.masqueradeBit`. The default is 14
    /// if that one is 15.
    "iptables.dropBit" [ours]: whole::<0, 31, _>() => node(masquerade.drop_bit);

    /// How traffic from pods is recognised. All other traffic to a cluster address is masqueraded.
    "detectLocalMode" [flag("detect-local-mode")]: choice()
        => by(relations::detect_local_mode, relations::set_detect_local_mode);

    /// Network of the pods, for `ClusterCIDR`. If empty, no traffic is masqueraded because of its
    /// source.
    "clusterCIDR" [flag("cluster-cidr")]: NETWORK_PAIR
        => by(relations::cluster_cidr, relations::set_cluster_cidr);

    /// Bridge of the pods; required with `BridgeInterface`.
    "detectLocal.bridgeInterface" [flag("pod-bridge-interface")]: INTERFACE => by(
        |config| relations::interface_text(config, BRIDGE),
        |reader, name| relations::set_interface(reader, BRIDGE, name)
    );

    /// Beginning of the names of the interfaces to pods; required with `InterfaceNamePrefix`.
    "detectLocal.interfaceNamePrefix" [flag("pod-interface-name-prefix")]: INTERFACE => by(
        |config| relations::interface_text(config, PREFIX),
        |reader, name| relations::set_interface(reader, PREFIX, name)
    );

    /// Addresses of the node at which node ports are served: addresses in these networks, the first
    /// address of each family (`primary`), or every address (`all`). A family without a network
    /// uses all its addresses, unless `primary` is given. `localhost` has no effect: node ports are
    /// never served at loopback addresses.
    "nodePortAddresses" [flag("nodeport-addresses")]: NODE_PORTS => node(node_port_addresses);

    /// kube-proxy's own gates, without effect, except `AllowServiceExternalIPs: false`, which means
    /// `externalIPPolicy: Deny` unless that field is set.
    "featureGates" [flag("feature-gates"), nothing]: GATES
        => by(|_| [].into(), |reader, gates| relations::set_gates(reader, &gates));

    /// Which `externalIPs` of Services are served: all, those in `allowedExternalCIDRs`, or none.
    "externalIPPolicy" [ours]: choice()
        => by(relations::external_ips, relations::set_external_ips);

    /// Networks for `externalIPPolicy: AllowList`, which requires them.
    "allowedExternalCIDRs" [ours]: NETWORKS
        => by(relations::allowed_external, relations::set_allowed_external);

    /// External and load-balancer addresses in these networks are not served.
    "protectedCIDRs" [ours]: NETWORKS => node(protected_cidrs);

    /// Ports of the node's own programs. No Service is served at them on the node's addresses, over
    /// any protocol. The kubelet's port 10250, the ports of `healthzBindAddress` and
    /// `metricsBindAddress`, and the port of an API server on this node are always protected.
    "protectedHostPorts" [ours]: PORTS => by(
        |config| config.node.protected_host_ports.iter().copied().collect(),
        |reader, ports| reader.config.node.protected_host_ports = ports.into_iter().collect()
    );

    /// Maximum number of external and load-balancer addresses of one Service. Further addresses in
    /// its lists are not served.
    "serviceLimits.addresses" [ours]: whole::<1, 1_000_000, _>() => node(service_limits.addresses);

    /// Maximum number of source ranges of one Service. Further ranges in its list admit no client.
    "serviceLimits.sourceRanges" [ours]: whole::<1, 1_000_000, _>() => node(service_limits.source_ranges);

    /// Maximum number of virtual servers of one Service plus set entries for their source ranges.
    /// Cluster IPs come first. Virtual servers beyond the limit are not served.
    "serviceLimits.entries" [ours]: whole::<1, 1_000_000, _>() => node(service_limits.entries);

    /// Maximum number of real servers in all virtual servers of one Service. Cluster IPs come
    /// first. Virtual servers whose real servers exceed the limit are not served.
    "serviceLimits.realServers" [ours]: whole::<1, 10_000_000, _>() => node(service_limits.real_servers);

    /// Accept packets to Services in the INPUT chain after source ranges admitted them, so that a
    /// policy DROP or later rules do not drop them.
    "acceptServedTraffic" [ours]: BOOL => node(accept_served_traffic);

    /// Maximum time for which a removed real server keeps its connections. 0 is unlimited.
    "drainTimeout" [ours]: DURATION => node(drain_timeout);

    /// Maximum time for which a UDP real server keeps its flows while its endpoint terminates and
    /// still serves. 0 deletes it at once. Times below 1 s count as 1 s.
    "udpDrainTimeout" [ours]: DURATION => node(udp_drain_timeout);

    /// Delete the real server of an endpoint that disappears without having been terminating at
    /// once, so that its clients are reset.
    "cutLostEndpoints" [ours]: BOOL => node(cut_lost_endpoints);

    /// Policies for the Services that they select: what a Service has no field for, such as weights.
    /// The first one that selects a Service gives the fields that its annotations do not set. See
    /// [policy](policy.md).
    "servicePolicies" [ours]: POLICY_RULES => node(service_policies);

    /// Fields of its [policy](policy.md) that a Service may set by annotations. An annotation for
    /// another field has no effect.
    "allowedAnnotations" [ours]: POLICY_FIELDS => node(allowed_annotations);

    /// Networks of the pods that this node may probe for health checks of a [policy](policy.md).
    /// Endpoints outside them are not probed and count as healthy; without a network there are no
    /// health checks.
    "healthChecks.networks" [ours]: NETWORKS => node(health_check_networks);

    /// Certificate authorities for `verify=NAME` of `https` health checks: each name has the path of
    /// a PEM file with certificates. kube-ipvsd reads the files at its start and whenever one of
    /// them or the configuration changes.
    "healthChecks.authorities" [ours]: AUTHORITIES => node(health_check_authorities);

    /// Maximum number of probes at a time. Further ones wait.
    "healthChecks.maxConcurrent" [ours]: whole::<1, 65_536, _>()
        => daemon(health_checks_max_concurrent: u32 = 256);

    /// Delay before a second list must confirm that more than half of the known objects are gone
    /// (deviation D27). Only then are they deleted. 0 deletes at once.
    "deletionConfirmation" [ours]: DURATION
        => daemon(deletion_confirmation: Duration = Duration::from_secs(10));

    /// Packet filter that holds the rules: nf_tables, x_tables, or the one that the node uses.
    "iptablesBackend" [ours]: choice()
        => daemon(iptables_backend: IptablesBackend = IptablesBackend::Auto);

    /// Traffic counters in `/metrics`: none, for each Service port, or for each endpoint too.
    "serviceMetrics" [ours]: choice()
        => daemon(service_metrics: ServiceMetrics = ServiceMetrics::Off);

    /// Maximum number of label sets, for Service ports and for endpoints each. 0 shows none.
    "serviceMetricsLimit" [ours]: whole::<0, 1_000_000, _>() => daemon(service_metrics_limit: u32 = 10_000);

    /// Nodes to watch. With `own`, for clusters of thousands of nodes, the addresses of other nodes
    /// are unknown: list their networks in `protectedCIDRs`.
    "watchedNodes" [ours]: choice() => daemon(watched_nodes: Nodes = Nodes::All);

    // The kernel.

    /// Time after which the kernel forgets an idle TCP connection. 0 leaves the kernel's setting.
    /// `matchKeepalive` is long enough for TCP keepalive of the node and of pods, at least 8920 s,
    /// and raises `conntrack.tcpEstablishedTimeout` to it unless that is 0. kube-proxy does not
    /// accept it.
    "ipvs.tcpTimeout" [flag("ipvs-tcp-timeout")]: TCP_TIMEOUT => node(kernel_settings.timeouts.tcp);

    /// Time after which the kernel forgets a TCP connection after a FIN. 0 leaves the kernel's
    /// setting.
    "ipvs.tcpFinTimeout" [flag("ipvs-tcpfin-timeout")]: KERNEL_SECONDS
        => node(kernel_settings.timeouts.tcp_fin);

    /// Time after which the kernel forgets an idle UDP flow. 0 leaves the kernel's setting.
    "ipvs.udpTimeout" [flag("ipvs-udp-timeout")]: KERNEL_SECONDS => node(kernel_settings.timeouts.udp);

    /// Synchronisation of IPVS connections with other nodes: `master` sends the connections of this
    /// node, `backup` receives those of others, `both` does both. The daemons of other roles belong
    /// to other programs.
    "ipvs.sync.role" [ours]: choice() => node(kernel_settings.sync.role);

    /// Interface for the multicast packets of the synchronisation; required with a role.
    "ipvs.sync.interface" [ours]: INTERFACE => node(kernel_settings.sync.interface);

    /// Identifier of the group of nodes; nodes with another one ignore the connections.
    "ipvs.sync.syncID" [ours]: whole::<0, 255, _>() => node(kernel_settings.sync.sync_id);

    /// Multicast group of the synchronisation, IPv4 or IPv6. The kernel accepts no unicast address.
    "ipvs.sync.group" [ours]: MULTICAST => node(kernel_settings.sync.group);

    /// UDP port of the synchronisation.
    "ipvs.sync.port" [ours]: whole::<1, 65_535, _>() => node(kernel_settings.sync.port);

    /// Time to live of the packets of the synchronisation.
    "ipvs.sync.ttl" [ours]: whole::<1, 255, _>() => node(kernel_settings.sync.time_to_live);

    /// Maximum length of a message of the synchronisation in bytes: 1024 to 65487, or 0 for the
    /// kernel's default, which a usual packet holds. The same on all nodes.
    "ipvs.sync.maxLength" [ours]: SYNC_LENGTH => node(kernel_settings.sync.maximum_length);

    /// `nf_conntrack_max` for each CPU, with a total of at most 1048576. 0 leaves the kernel's
    /// setting and ignores `conntrack.min`. A larger setting of the kernel stays.
    "conntrack.maxPerCore" [flag("conntrack-max-per-core")]: at_least::<0, _>()
        => node(kernel_settings.conntrack.max_per_core);

    /// Minimum of `nf_conntrack_max`, which may exceed 1048576. 0 means no minimum.
    "conntrack.min" [flag("conntrack-min")]: at_least::<0, _>() => node(kernel_settings.conntrack.min);

    /// `nf_conntrack_tcp_timeout_established`; 0 leaves the kernel's setting.
    "conntrack.tcpEstablishedTimeout" [flag("conntrack-tcp-timeout-established")]: KERNEL_SECONDS
        => node(kernel_settings.conntrack.tcp_established_timeout);

    /// `nf_conntrack_tcp_timeout_close_wait`; 0 leaves the kernel's setting.
    "conntrack.tcpCloseWaitTimeout" [flag("conntrack-tcp-timeout-close-wait")]: KERNEL_SECONDS
        => node(kernel_settings.conntrack.tcp_close_wait_timeout);

    /// `nf_conntrack_tcp_be_liberal`: packets outside the TCP window are not invalid.
    "conntrack.tcpBeLiberal" [flag("conntrack-tcp-be-liberal")]: BOOL
        => node(kernel_settings.conntrack.tcp_be_liberal);

    /// `nf_conntrack_udp_timeout`; 0 leaves the kernel's setting.
    "conntrack.udpTimeout" [flag("conntrack-udp-timeout")]: KERNEL_SECONDS
        => node(kernel_settings.conntrack.udp_timeout);

    /// `nf_conntrack_udp_timeout_stream`; 0 leaves the kernel's setting.
    "conntrack.udpStreamTimeout" [flag("conntrack-udp-timeout-stream")]: KERNEL_SECONDS
        => node(kernel_settings.conntrack.udp_stream_timeout);

    // The daemon.

    /// Address of the health pages (`/livez`, `/readyz`, `/healthz`), by default on `[::]` if
    /// `bindAddress` is IPv6. `0`, or an empty flag, disables them.
    "healthzBindAddress" [flag("healthz-bind-address")]: address_port::<HEALTHZ_PORT>()
        => daemon(healthz_bind_address: Option<SocketAddr> = Some((Ipv4Addr::UNSPECIFIED, HEALTHZ_PORT).into()));

    /// Address of the metrics pages, by default on `[::1]` if `bindAddress` is IPv6. `0`, or an
    /// empty flag, disables them. The flag wins over the file.
    "metricsBindAddress" [flag("metrics-bind-address"), above_file]: address_port::<METRICS_PORT>()
        => daemon(metrics_bind_address: Option<SocketAddr> = Some((Ipv4Addr::LOCALHOST, METRICS_PORT).into()));

    /// Exit if one of these addresses is in use.
    "bindAddressHardFail" [flag("bind-address-hard-fail")]: BOOL
        => daemon(bind_address_hard_fail: bool = false);

    /// Serve profiles at the metrics address.
    "enableProfiling" [flag("profiling"), later]: BOOL => daemon(profiling: bool = false);

    /// Interval at which all objects are read again from the API server.
    "configSyncPeriod" [flag("config-sync-period"), zero_is_default, later]: DURATION
        => daemon(config_sync_period: Duration = Duration::from_secs(15 * 60));

    /// Maximum number of requests to the API server per second. A negative number means no limit.
    "clientConnection.qps" [flag("kube-api-qps"), zero_is_default, later]: NUMBER
        => daemon(qps: f64 = 5.0);

    /// Maximum number of requests in a burst.
    "clientConnection.burst" [flag("kube-api-burst"), zero_is_default, later]: at_least::<0, _>()
        => daemon(burst: i32 = 10);

    /// `oom_score_adj` of the daemon: with -1000 the kernel never kills it when memory runs out.
    "oomScoreAdj" [flag("oom-score-adj")]: whole::<-1000, 1000, _>() => daemon(oom_score_adj: i32 = -999);

    /// Format of log lines. `--log-format` of kube-ipvsd comes first, then the flag, then the file.
    "logging.format" [flag("logging-format"), above_file]: choice()
        => daemon(log_format: LogFormat = LogFormat::Text);

    /// Log level: `info` up to 3, `debug` for 4 and 5, `trace` from 6. `--log-level` of kube-ipvsd
    /// comes first, then the flag, then the file.
    "logging.verbosity" [flag("v"), above_file]: VERBOSITY => daemon(log_verbosity: u32 = 0);

    // Fields without meaning here.

    /// The daemon always requests JSON.
    "clientConnection.contentType" [flag("kube-api-content-type"), nothing]: TEXT
        => unused("application/vnd.kubernetes.protobuf".to_owned());

    /// The daemon always requests JSON.
    "clientConnection.acceptContentTypes" [nothing]: TEXT => unused(String::new());

    /// Of the iptables mode.
    "iptables.localhostNodePorts" [flag("iptables-localhost-nodeports"), nothing]: BOOL => unused(true);

    /// Of the iptables mode.
    "iptables.snatNodeInternalIP" [nothing]: BOOL => unused(false);

    /// Of the iptables mode.
    "iptables.syncPeriod" [flag("iptables-sync-period"), nothing]: DURATION
        => unused(Duration::from_secs(30));

    /// Of the iptables mode.
    "iptables.minSyncPeriod" [flag("iptables-min-sync-period"), nothing]: DURATION
        => unused(Duration::from_secs(1));

    /// Of the nftables mode.
    "nftables" [nothing]: ANY => unused(Value::from(""));

    /// Every line is written at once.
    "logging.flushFrequency" [flag("log-flush-frequency"), nothing]: ANY => unused(Value::from("5s"));

    /// kube-proxy's own.
    "logging.options" [nothing]: ANY => unused(Value::from(""));

    /// By parts of kube-proxy's code; see `--log-level` of kube-ipvsd.
    "logging.vmodule" [flag("vmodule"), nothing]: ANY => unused(Value::from(""));

    /// kube-proxy's own.
    "showHiddenMetricsForVersion" [flag("show-hidden-metrics-for-version"), nothing]: TEXT
        => unused(String::new());

    /// Unused in kube-proxy.
    "portRange" [nothing]: TEXT => unused(String::new());

    /// Of Windows.
    "winkernel" [nothing]: ANY => unused(Value::from(""));

    /// Of Windows.
    "windowsRunAsService" [nothing]: BOOL => unused(false);
}

/// Fields that kube-proxy had and has no longer, with advice.
const RETIRED: [(&str, &str); 3] = [
    (
        "conntrack.max",
        "conntrack.maxPerCore and conntrack.min decide",
    ),
    (
        "resourceContainer",
        "the cgroup is left to what starts the daemon",
    ),
    ("udpIdleTimeout", "it was for the userspace mode"),
];

/// Returns the field at `path`.
pub(super) fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Returns the field whose value holds `path`.
pub(super) fn field_around(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| is_in(path, field.path))
}

/// Returns true if `path` is `field` or a place inside its value.
pub(super) fn is_in(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

/// Returns true if `path` is a section: fields are below it.
pub(super) fn is_section(path: &str) -> bool {
    let is_below = |field: &Field| field.path != path && is_in(field.path, path);
    FIELDS.iter().any(is_below)
}

/// Maximum number of different letters in a misspelt path.
const MISSPELT: usize = 2;

/// Describes a path that is neither a field nor a section in a `kind`.
pub(super) fn unknown(path: &str, kind: &str) -> String {
    let retired = RETIRED.iter().find(|(retired, _)| *retired == path);
    if let Some((_, instead)) = retired {
        return format!("is no field of kube-proxy any more: {instead}");
    }
    // A field, or a section of fields.
    let known = FIELDS.iter().flat_map(|field| {
        let sections = field
            .path
            .match_indices('.')
            .map(|(end, _)| &field.path[..end]);
        sections.chain([field.path])
    });
    let given = path.to_ascii_lowercase();
    let meant = known
        .map(|known| (levenshtein(&known.to_ascii_lowercase(), &given), known))
        .filter(|(distance, _)| *distance <= MISSPELT)
        .min()
        .map(|(_, known)| known);
    let meant = meant.map_or_else(String::new, |meant| format!(", is {meant} meant?"));
    format!("is no field of a {kind}{meant}")
}
