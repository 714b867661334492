//! The configuration that holds, field by field.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::Timeouts;
use model::NodeConfig;
use model::config::{
    ConntrackSettings, DetectLocal, ExternalIpPolicy, KernelSettings, Masquerade,
    NodePortAddresses, ServiceLimits,
};
use serde_json::{Map, Value, json};

use super::resolve::SCHEDULER_FLAGS;
use super::settings::DaemonSettings;
use super::table::{self, FIELDS};
use super::value::PRIMARY;
use super::{Dialect, Origin, Resolved, format_duration, put};

/// One field with the value that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveValue {
    /// The field: `ipvs.scheduler`.
    pub path: &'static str,
    /// Its value as a file would have it.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

impl EffectiveValue {
    /// The value on one line: `30s`, `[10.0.0.0/8, fd00::/8]`, nothing for an empty text.
    #[must_use]
    pub fn text(&self) -> String {
        text(&self.value)
    }
}

impl Resolved {
    /// Every field that acts, now or later, with the value that holds; in the order of the table.
    #[must_use]
    pub fn values(&self) -> Vec<EffectiveValue> {
        let Self {
            node,
            settings,
            kubeconfig,
            warnings: _,
            taken_from: _,
            origins,
        } = self;
        let mut values = Values::new();
        values.insert("mode", json!("ipvs"));
        let kubeconfig = kubeconfig.as_ref().map(|path| path.display().to_string());
        values.insert(
            "clientConnection.kubeconfig",
            json!(kubeconfig.unwrap_or_default()),
        );
        of_node(node, &mut values);
        of_settings(settings, &mut values);
        (FIELDS.iter())
            .filter_map(|field| {
                Some(EffectiveValue {
                    path: field.path,
                    value: values.remove(field.path)?,
                    origin: origins.get(field.path).cloned().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The same as a file of our own kind, which resolves to the same configuration.
    #[must_use]
    pub fn document(&self) -> Value {
        self.document_of(Dialect::Ours)
    }

    /// Returns the page `/configz`: the configuration by the name of its API group, once as kube-proxy shows its own, without the fields
    /// that are ours alone, and once in full.
    ///
    /// Source: `k8s.io/component-base/configz` and `cmd/kube-proxy/app/server.go`, Kubernetes 1.36.
    #[must_use]
    pub fn configz(&self) -> Value {
        let groups = [Dialect::KubeProxy, Dialect::Ours].map(|dialect| {
            let group = dialect.api_version().split('/').next().unwrap_or_default();
            (group.to_owned(), self.document_of(dialect))
        });
        Value::Object(groups.into_iter().collect())
    }

    fn document_of(&self, dialect: Dialect) -> Value {
        let mut document = Map::new();
        document.insert("apiVersion".to_owned(), json!(dialect.api_version()));
        document.insert("kind".to_owned(), json!(dialect.kind()));
        let is_known = |shown: &EffectiveValue| {
            dialect == Dialect::Ours || table::field(shown.path).is_none_or(|field| !field.ours)
        };
        for shown in self.values().into_iter().filter(is_known) {
            // The host's name is no setting: the file may be for another host.
            let value = match shown.origin {
                Origin::Host => json!(""),
                _ => shown.value,
            };
            put(&mut document, shown.path, value);
        }
        Value::Object(document)
    }
}

impl Resolved {
    /// [`Self::document`] as YAML.
    ///
    /// # Errors
    ///
    /// No error is known: the document has numbers and texts alone.
    pub fn to_yaml(&self) -> Result<String, impl std::error::Error + Send + Sync + use<>> {
        serde_saphyr::to_string(&self.document())
    }
}

type Values = BTreeMap<&'static str, Value>;

fn of_node(node: &NodeConfig, values: &mut Values) {
    let NodeConfig {
        node_name,
        bind_address,
        scheduler,
        scheduler_flags,
        exclude_cidrs,
        sync_period,
        min_sync_period,
        masquerade,
        detect_local,
        node_port_addresses,
        external_ips,
        protected_cidrs,
        // Shown by other fields.
        api_server: _,
        listener_ports: _,
        protected_host_ports,
        service_limits:
            ServiceLimits {
                addresses,
                source_ranges,
                entries,
                real_servers,
            },
        accept_served_traffic,
        drain_timeout,
        udp_drain_timeout,
        cut_lost_endpoints,
        strict_arp,
        kernel_settings,
    } = node;
    let Masquerade {
        all,
        mark_bit,
        drop_bit,
    } = masquerade;
    let bind_address = bind_address.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
    let flags = (SCHEDULER_FLAGS.iter())
        .filter(|(owner, _, flag)| **owner == *scheduler.0 && scheduler_flags.contains(*flag))
        .map(|(_, name, _)| json!(name));
    let node_ports = match node_port_addresses {
        NodePortAddresses::Within(within) => networks(within),
        NodePortAddresses::PrimaryAnd(within) => {
            let within = within.iter().map(ToString::to_string);
            [PRIMARY.to_owned()].into_iter().chain(within).collect()
        }
    };
    let (policy, allowed) = match external_ips {
        ExternalIpPolicy::Allow => ("Allow", json!([])),
        ExternalIpPolicy::AllowList(allowed) => ("AllowList", networks(allowed)),
        ExternalIpPolicy::Deny => ("Deny", json!([])),
    };
    values.extend([
        ("hostnameOverride", json!(&**node_name)),
        ("bindAddress", json!(bind_address)),
        ("ipvs.scheduler", json!(&*scheduler.0)),
        ("ipvs.schedulerFlags", flags.collect()),
        ("ipvs.syncPeriod", duration(*sync_period)),
        ("ipvs.minSyncPeriod", duration(*min_sync_period)),
        ("ipvs.excludeCIDRs", networks(exclude_cidrs)),
        ("ipvs.strictARP", json!(strict_arp)),
        ("iptables.masqueradeAll", json!(all)),
        ("iptables.masqueradeBit", json!(mark_bit)),
        ("iptables.dropBit", json!(drop_bit)),
        ("nodePortAddresses", node_ports),
        ("externalIPPolicy", json!(policy)),
        ("allowedExternalCIDRs", allowed),
        ("protectedCIDRs", networks(protected_cidrs)),
        ("protectedHostPorts", json!(protected_host_ports)),
        ("serviceLimits.addresses", json!(addresses)),
        ("serviceLimits.sourceRanges", json!(source_ranges)),
        ("serviceLimits.entries", json!(entries)),
        ("serviceLimits.realServers", json!(real_servers)),
        ("acceptServedTraffic", json!(accept_served_traffic)),
        ("drainTimeout", duration(*drain_timeout)),
        ("udpDrainTimeout", duration(*udp_drain_timeout)),
        ("cutLostEndpoints", json!(cut_lost_endpoints)),
    ]);
    of_detection(detect_local, values);
    of_kernel(kernel_settings, values);
}

fn of_detection(detect_local: &DetectLocal, values: &mut Values) {
    let (mut cidrs, mut bridge, mut prefix) = (String::new(), "", "");
    let mode = match detect_local {
        DetectLocal::ClusterCidr(networks) => {
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            cidrs = networks.join(",");
            "ClusterCIDR"
        }
        DetectLocal::NodeCidr => "NodeCIDR",
        DetectLocal::BridgeInterface(name) => {
            bridge = name;
            "BridgeInterface"
        }
        DetectLocal::InterfaceNamePrefix(name) => {
            prefix = name;
            "InterfaceNamePrefix"
        }
    };
    values.extend([
        ("detectLocalMode", json!(mode)),
        ("clusterCIDR", json!(cidrs)),
        ("detectLocal.bridgeInterface", json!(bridge)),
        ("detectLocal.interfaceNamePrefix", json!(prefix)),
    ]);
}

fn of_kernel(settings: &KernelSettings, values: &mut Values) {
    let KernelSettings {
        timeouts: Timeouts { tcp, tcp_fin, udp },
        conntrack,
    } = settings;
    let ConntrackSettings {
        max_per_core,
        min,
        tcp_established_timeout,
        tcp_close_wait_timeout,
        tcp_be_liberal,
        udp_timeout,
        udp_stream_timeout,
    } = conntrack;
    values.extend([
        ("ipvs.tcpTimeout", duration(*tcp)),
        ("ipvs.tcpFinTimeout", duration(*tcp_fin)),
        ("ipvs.udpTimeout", duration(*udp)),
        ("conntrack.maxPerCore", json!(max_per_core)),
        ("conntrack.min", json!(min)),
        (
            "conntrack.tcpEstablishedTimeout",
            duration(*tcp_established_timeout),
        ),
        (
            "conntrack.tcpCloseWaitTimeout",
            duration(*tcp_close_wait_timeout),
        ),
        ("conntrack.tcpBeLiberal", json!(tcp_be_liberal)),
        ("conntrack.udpTimeout", duration(*udp_timeout)),
        ("conntrack.udpStreamTimeout", duration(*udp_stream_timeout)),
    ]);
}

fn of_settings(settings: &DaemonSettings, values: &mut Values) {
    let DaemonSettings {
        healthz_bind_address,
        metrics_bind_address,
        bind_address_hard_fail,
        profiling,
        config_sync_period,
        deletion_confirmation,
        qps,
        burst,
        oom_score_adj,
        iptables_backend,
        service_metrics,
        service_metrics_limit,
        watched_nodes,
        log_format,
        log_verbosity,
    } = settings;
    values.extend([
        ("healthzBindAddress", address(*healthz_bind_address)),
        ("metricsBindAddress", address(*metrics_bind_address)),
        ("bindAddressHardFail", json!(bind_address_hard_fail)),
        ("enableProfiling", json!(profiling)),
        ("configSyncPeriod", duration(*config_sync_period)),
        ("deletionConfirmation", duration(*deletion_confirmation)),
        ("clientConnection.qps", number(*qps)),
        ("clientConnection.burst", json!(burst)),
        ("oomScoreAdj", json!(oom_score_adj)),
        ("iptablesBackend", json!(iptables_backend)),
        ("serviceMetrics", json!(service_metrics)),
        ("serviceMetricsLimit", json!(service_metrics_limit)),
        ("watchedNodes", json!(watched_nodes)),
        ("logging.format", json!(log_format)),
        ("logging.verbosity", json!(log_verbosity)),
    ]);
}

fn duration(duration: Duration) -> Value {
    Value::String(format_duration(duration))
}

fn networks(networks: &[IpNetwork]) -> Value {
    networks.iter().map(ToString::to_string).collect()
}

fn address(address: Option<SocketAddr>) -> Value {
    Value::String(address.map_or_else(|| "0".to_owned(), |address| address.to_string()))
}

/// Without a fraction where there is none.
fn number(number: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and within bounds"
    )]
    match number.fract() == 0.0 && number.abs() < 1e15 {
        true => json!(number as i64),
        false => json!(number),
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}
