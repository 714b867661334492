//! From checked fields to a configuration: defaults, and what fields say about one another.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::{Scheduler, ServiceFlags, Timeouts};
use model::config::{
    ConntrackSettings, DetectLocal, ExternalIpPolicy, KernelSettings, Masquerade,
    NodePortAddresses, SCHEDULERS, ServiceLimits, default_scheduler_flags,
};
use model::{Name, NodeConfig};

use super::file::{self, ClientConnection, ConfigFile, Iptables, Ipvs};
use super::settings::DaemonSettings;
use super::value::{
    GoDuration, Network, PRIMARY, address_port, kernel_seconds, network_pair, node_port_networks,
};
use super::{ConfigError, ConfigWarning, is_in};

/// The flags that a file may name: `IP_VS_SVC_F_SCHED_*`, include/uapi/linux/ip_vs.h.
pub(super) const SCHEDULER_FLAGS: [(&str, &str, ServiceFlags); 4] = [
    ("sh", "sh-port", ServiceFlags::SCHED_2),
    ("sh", "sh-fallback", ServiceFlags::SCHED_1),
    ("mh", "mh-port", ServiceFlags::SCHED_2),
    ("mh", "mh-fallback", ServiceFlags::SCHED_1),
];

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The settings that a file resolves to.
pub(super) struct Outcome {
    pub(super) node: NodeConfig,
    pub(super) settings: DaemonSettings,
    pub(super) kubeconfig: Option<String>,
}

/// Fills in defaults and compares fields. What is wrong is added to `errors` and `warnings`; the
/// outcome then means nothing.
pub(super) fn resolve(
    file: ConfigFile,
    node_name: Name,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigWarning>,
) -> Outcome {
    Resolver { errors, warnings }.file(file, node_name)
}

struct Resolver<'a> {
    errors: &'a mut Vec<ConfigError>,
    warnings: &'a mut Vec<ConfigWarning>,
}

impl Resolver<'_> {
    fn file(&mut self, file: ConfigFile, node_name: Name) -> Outcome {
        let ConfigFile {
            // The caller knows what wins over it.
            hostname_override: _,
            bind_address,
            client_connection,
            ipvs,
            iptables,
            detect_local_mode,
            cluster_cidr,
            detect_local,
            node_port_addresses,
            external_ip_policy,
            allowed_external_cidrs,
            protected_cidrs,
            protected_host_ports,
            service_limits,
            accept_served_traffic,
            drain_timeout,
            udp_drain_timeout,
            cut_lost_endpoints,
            deletion_confirmation,
            iptables_backend,
            service_metrics,
            service_metrics_limit,
            watched_nodes,
            conntrack,
            healthz_bind_address,
            metrics_bind_address,
            bind_address_hard_fail,
            enable_profiling,
            config_sync_period,
            oom_score_adj,
            logging,
            feature_gates,
        } = file;
        let ClientConnection {
            kubeconfig,
            qps,
            burst,
        } = client_connection;
        let Ipvs {
            scheduler,
            scheduler_flags,
            sync_period,
            min_sync_period,
            exclude_cidrs,
            strict_arp,
            tcp_timeout,
            tcp_fin_timeout,
            udp_timeout,
        } = ipvs;
        let (any, loopback): (IpAddr, IpAddr) = match bind_address {
            Some(IpAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
            _ => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
        };
        let healthz_bind_address = address_port(
            &healthz_bind_address.unwrap_or_else(|| any.to_string()),
            10256,
        );
        let metrics_bind_address = address_port(
            &metrics_bind_address.unwrap_or_else(|| loopback.to_string()),
            10249,
        );
        let listeners = [healthz_bind_address, metrics_bind_address];
        let by_gate = match feature_gates.allow_service_external_ips {
            Some(false) => "Deny",
            Some(true) | None => "Allow",
        };
        let scheduler = self.scheduler(scheduler);
        let sync_period = seconds(sync_period, 30);
        let node = NodeConfig {
            node_name,
            bind_address: bind_address.filter(|address| !address.is_unspecified()),
            scheduler_flags: self.scheduler_flags(&scheduler, scheduler_flags),
            scheduler,
            exclude_cidrs: networks(exclude_cidrs),
            min_sync_period: self.min_sync_period(min_sync_period, sync_period),
            sync_period,
            masquerade: self.masquerade(&iptables),
            detect_local: self.detect_local(
                detect_local_mode.as_deref(),
                cluster_cidr,
                detect_local,
            ),
            node_port_addresses: node_ports(&node_port_addresses),
            external_ips: self.external_ips(
                external_ip_policy.as_deref().unwrap_or(by_gate),
                allowed_external_cidrs,
            ),
            protected_cidrs: networks(protected_cidrs),
            // Known once the way to the API server is read.
            api_server: BTreeSet::new(),
            listener_ports: (listeners.into_iter().flatten())
                .map(|listener| listener.port())
                .collect(),
            protected_host_ports: protected_host_ports.unwrap_or_else(|| [22].into()),
            service_limits: limits(service_limits),
            accept_served_traffic: accept_served_traffic.unwrap_or(false),
            drain_timeout: seconds(drain_timeout, 15 * MINUTE),
            udp_drain_timeout: seconds(udp_drain_timeout, 5),
            cut_lost_endpoints: cut_lost_endpoints.unwrap_or(false),
            strict_arp: strict_arp.unwrap_or(false),
            kernel_settings: KernelSettings {
                timeouts: Timeouts {
                    tcp: kernel_seconds(seconds(tcp_timeout, 0)),
                    tcp_fin: kernel_seconds(seconds(tcp_fin_timeout, 0)),
                    udp: kernel_seconds(seconds(udp_timeout, 0)),
                },
                conntrack: of_conntrack(conntrack),
            },
        };
        let settings = DaemonSettings {
            healthz_bind_address,
            metrics_bind_address,
            bind_address_hard_fail: bind_address_hard_fail.unwrap_or(false),
            profiling: enable_profiling.unwrap_or(false),
            config_sync_period: seconds(config_sync_period, 15 * MINUTE),
            deletion_confirmation: deletion_confirmation
                .map_or(Duration::from_secs(10), |given| given.0),
            qps: qps.unwrap_or(5.0),
            burst: burst.unwrap_or(10),
            oom_score_adj: oom_score_adj.unwrap_or(-999),
            iptables_backend: iptables_backend.unwrap_or_default(),
            service_metrics: service_metrics.unwrap_or_default(),
            service_metrics_limit: service_metrics_limit.unwrap_or(10_000),
            watched_nodes: watched_nodes.unwrap_or_default(),
            log_format: logging.format.unwrap_or_default(),
            log_verbosity: logging.verbosity.unwrap_or(0),
        };
        Outcome {
            node,
            settings,
            kubeconfig,
        }
    }

    fn scheduler(&mut self, name: Option<String>) -> Scheduler {
        let name = name.unwrap_or_else(|| "rr".to_owned());
        if !SCHEDULERS.contains(&name.as_str()) {
            self.warn(
                "ipvs.scheduler",
                format!("{name} is no scheduler of Linux that is known here; the kernel decides"),
            );
        }
        Scheduler(name.into())
    }

    fn scheduler_flags(
        &mut self,
        scheduler: &Scheduler,
        words: Option<Vec<String>>,
    ) -> ServiceFlags {
        let Some(words) = words else {
            return default_scheduler_flags(&scheduler.0);
        };
        let mut flags = ServiceFlags::empty();
        for (index, word) in words.iter().enumerate() {
            let Some((owner, _, flag)) = SCHEDULER_FLAGS.iter().find(|(_, name, _)| name == word)
            else {
                continue;
            };
            if **owner == *scheduler.0 {
                flags |= *flag;
            } else if !self.broken("ipvs.scheduler") {
                self.wrong(
                    format!("ipvs.schedulerFlags[{index}]"),
                    format!(
                        "{word:?} is for the scheduler {owner}, and ipvs.scheduler is {}",
                        scheduler.0
                    ),
                );
            }
        }
        flags
    }

    fn min_sync_period(&mut self, given: Option<GoDuration>, sync_period: Duration) -> Duration {
        let period = seconds(given, 0);
        if period > sync_period && !self.broken("ipvs.syncPeriod") {
            self.wrong(
                "ipvs.minSyncPeriod",
                "must not be longer than ipvs.syncPeriod".to_owned(),
            );
        }
        period
    }

    fn masquerade(&mut self, file: &Iptables) -> Masquerade {
        let Iptables {
            masquerade_all,
            masquerade_bit,
            drop_bit,
        } = *file;
        let mark_bit = masquerade_bit.unwrap_or(14);
        let other = if mark_bit == 15 { 14 } else { 15 };
        let drop_bit = drop_bit.unwrap_or(other);
        if drop_bit == mark_bit && !self.broken("iptables.masqueradeBit") {
            self.wrong(
                "iptables.dropBit",
                format!("must differ from iptables.masqueradeBit, which is {mark_bit} too"),
            );
        }
        Masquerade {
            all: masquerade_all.unwrap_or(false),
            mark_bit,
            drop_bit,
        }
    }

    fn detect_local(
        &mut self,
        mode: Option<&str>,
        cluster_cidr: Option<String>,
        names: file::DetectLocal,
    ) -> DetectLocal {
        let file::DetectLocal {
            bridge_interface,
            interface_name_prefix,
        } = names;
        let mode = mode.unwrap_or("ClusterCIDR");
        let said = [
            ("clusterCIDR", "ClusterCIDR", cluster_cidr.is_some()),
            (BRIDGE, "BridgeInterface", bridge_interface.is_some()),
            (
                PREFIX,
                "InterfaceNamePrefix",
                interface_name_prefix.is_some(),
            ),
        ];
        for (path, its_mode, said) in said {
            if said && its_mode != mode {
                self.warn(
                    path,
                    format!("has no effect while detectLocalMode is {mode}"),
                );
            }
        }
        match mode {
            "NodeCIDR" => DetectLocal::NodeCidr,
            "BridgeInterface" => {
                DetectLocal::BridgeInterface(self.required(BRIDGE, mode, bridge_interface))
            }
            "InterfaceNamePrefix" => {
                DetectLocal::InterfaceNamePrefix(self.required(PREFIX, mode, interface_name_prefix))
            }
            _ => {
                let text = cluster_cidr.unwrap_or_default();
                DetectLocal::ClusterCidr(network_pair(&text).unwrap_or_default())
            }
        }
    }

    fn required(&mut self, path: &str, mode: &str, name: Option<String>) -> Name {
        let name = name.unwrap_or_default();
        if name.is_empty() && !self.broken(path) {
            self.wrong(path, format!("is required while detectLocalMode is {mode}"));
        }
        name.into()
    }

    fn external_ips(&mut self, policy: &str, allowed: Vec<Network>) -> ExternalIpPolicy {
        let path = "allowedExternalCIDRs";
        match (policy, allowed.is_empty()) {
            _ if self.broken("externalIPPolicy") || self.broken(path) => {}
            ("AllowList", true) => {
                self.wrong(
                    path,
                    "is required with externalIPPolicy: AllowList".to_owned(),
                );
            }
            ("AllowList", false) | (_, true) => {}
            (other, false) => {
                let what = format!("is for externalIPPolicy: AllowList, and that is {other}");
                self.wrong(path, what);
            }
        }
        match policy {
            "AllowList" => ExternalIpPolicy::AllowList(networks(allowed)),
            "Deny" => ExternalIpPolicy::Deny,
            _ => ExternalIpPolicy::Allow,
        }
    }

    /// Returns true if the field was wrong in itself: it is absent here then, and nothing more is to be said.
    fn broken(&self, path: &str) -> bool {
        self.errors.iter().any(|error| is_in(&error.path, path))
    }

    fn wrong(&mut self, path: impl Into<String>, message: String) {
        self.errors.push(ConfigError {
            path: path.into(),
            message,
        });
    }

    fn warn(&mut self, path: &str, message: String) {
        self.warnings.push(ConfigWarning {
            path: path.to_owned(),
            message,
        });
    }
}

const BRIDGE: &str = "detectLocal.bridgeInterface";
const PREFIX: &str = "detectLocal.interfaceNamePrefix";

fn of_conntrack(file: file::Conntrack) -> ConntrackSettings {
    let file::Conntrack {
        max_per_core,
        min,
        tcp_established_timeout,
        tcp_close_wait_timeout,
        tcp_be_liberal,
        udp_timeout,
        udp_stream_timeout,
    } = file;
    ConntrackSettings {
        max_per_core: max_per_core.unwrap_or(32 * 1024),
        min: min.unwrap_or(128 * 1024),
        tcp_established_timeout: kernel_seconds(seconds(tcp_established_timeout, 24 * HOUR)),
        tcp_close_wait_timeout: kernel_seconds(seconds(tcp_close_wait_timeout, HOUR)),
        tcp_be_liberal: tcp_be_liberal.unwrap_or(false),
        udp_timeout: kernel_seconds(seconds(udp_timeout, 0)),
        udp_stream_timeout: kernel_seconds(seconds(udp_stream_timeout, 0)),
    }
}

fn limits(file: file::ServiceLimits) -> ServiceLimits {
    let default = ServiceLimits::default();
    let file::ServiceLimits {
        addresses,
        source_ranges,
        entries,
        real_servers,
    } = file;
    ServiceLimits {
        addresses: addresses.unwrap_or(default.addresses),
        source_ranges: source_ranges.unwrap_or(default.source_ranges),
        entries: entries.unwrap_or(default.entries),
        real_servers: real_servers.unwrap_or(default.real_servers),
    }
}

fn node_ports(words: &[String]) -> NodePortAddresses {
    let networks = words.iter().flat_map(|word| node_port_networks(word));
    let networks = without_repeats(networks);
    match words.iter().any(|word| word == PRIMARY) {
        true => NodePortAddresses::PrimaryAnd(networks),
        false => NodePortAddresses::Within(networks),
    }
}

fn networks(given: Vec<Network>) -> Vec<IpNetwork> {
    without_repeats(given.into_iter().map(|Network(network)| network))
}

fn without_repeats(given: impl Iterator<Item = IpNetwork>) -> Vec<IpNetwork> {
    let mut networks = Vec::new();
    for network in given {
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    networks
}

fn seconds(given: Option<GoDuration>, default: u64) -> Duration {
    given.map_or(Duration::from_secs(default), |GoDuration(duration)| {
        duration
    })
}
