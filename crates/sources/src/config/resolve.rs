//! From the file to a configuration.

use std::fmt::Display;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::Scheduler;
use model::NodeConfig;
use serde_json::Value;

use super::field::{Field, Unknown};
use super::file::{ClientConnection, Conntrack, DetectLocal, Iptables, Ipvs};
use super::{
    ConfigError, ConfigErrors, ConfigFile, ConfigWarning, NodeOverrides, Resolved, node_name,
    parse_duration,
};
use crate::convert;

const API_VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";
const KIND: &str = "KubeProxyConfiguration";

/// Schedulers of Linux up to 6.12. Others may come with a kernel, so they are mentioned only.
const SCHEDULERS: [&str; 14] = [
    "dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "twos", "wlc", "wrr",
];

/// `IP_VS_SCHEDNAME_MAXLEN` with its closing zero, include/uapi/linux/ip_vs.h.
const SCHEDULER_NAME_MAX: usize = 15;

const NO_EFFECT: &str = "has no effect yet";

impl ConfigFile {
    /// Judges the file, fills in defaults, and puts `overrides` over it. `hostname` is the name of this
    /// host, for a node that is named nowhere.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once, in the order of the fields.
    pub fn resolve(
        self,
        overrides: &NodeOverrides,
        hostname: &str,
    ) -> Result<Resolved, ConfigErrors> {
        let mut judge = Judge::default();
        let resolved = judge.file(self, overrides, hostname);
        if judge.errors.is_empty() {
            Ok(Resolved {
                warnings: judge.warnings,
                ..resolved
            })
        } else {
            Err(ConfigErrors(judge.errors))
        }
    }
}

#[derive(Default)]
struct Judge {
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigWarning>,
}

impl Judge {
    fn file(&mut self, file: ConfigFile, overrides: &NodeOverrides, hostname: &str) -> Resolved {
        let ConfigFile {
            api_version,
            kind,
            mode,
            hostname_override,
            client_connection,
            ipvs,
            bind_address,
            healthz_bind_address,
            metrics_bind_address,
            bind_address_hard_fail,
            enable_profiling,
            cluster_cidr,
            config_sync_period,
            detect_local_mode,
            detect_local,
            iptables,
            nftables,
            node_port_addresses,
            oom_score_adj,
            conntrack,
            show_hidden_metrics_for_version,
            feature_gates,
            logging,
            port_range,
            winkernel,
            windows_run_as_service,
            unknown,
        } = file;
        self.one_of("apiVersion", api_version, &["", API_VERSION]);
        self.one_of("kind", kind, &["", KIND]);
        self.one_of("mode", mode, &["", "ipvs"]);
        let named = self.value("hostnameOverride", hostname_override);
        let mut node = NodeConfig::new(self.node_name(overrides, named.as_deref(), hostname));
        let client = self.value("clientConnection", client_connection);
        let kubeconfig = self.client_connection(client.unwrap_or_default());
        let ipvs = self.value("ipvs", ipvs).unwrap_or_default();
        self.ipvs(ipvs, &mut node);

        self.idle("bindAddress", bind_address, &["", "0.0.0.0"]);
        let healthz = ["", "0.0.0.0:10256", "0.0.0.0"];
        self.idle("healthzBindAddress", healthz_bind_address, &healthz);
        let metrics = ["", "127.0.0.1:10249", "127.0.0.1"];
        self.idle("metricsBindAddress", metrics_bind_address, &metrics);
        self.idle("bindAddressHardFail", bind_address_hard_fail, &[false]);
        self.idle("enableProfiling", enable_profiling, &[false]);
        self.idle("clusterCIDR", cluster_cidr, &[""]);
        self.idle_duration("configSyncPeriod", config_sync_period, 15 * 60);
        let modes = ["", "ClusterCIDR"];
        self.idle("detectLocalMode", detect_local_mode, &modes);
        let detect_local = self.value("detectLocal", detect_local).unwrap_or_default();
        self.detect_local(detect_local);
        let iptables = self.value("iptables", iptables).unwrap_or_default();
        self.iptables(iptables);
        // Of another mode, of another system, or of logging in Go: no effect, today and later.
        self.meaningless("nftables", nftables);
        self.idle(
            "nodePortAddresses",
            node_port_addresses,
            &[Vec::<String>::new()],
        );
        self.idle("oomScoreAdj", oom_score_adj, &[-999]);
        let conntrack = self.value("conntrack", conntrack).unwrap_or_default();
        self.conntrack(conntrack);
        let version = show_hidden_metrics_for_version;
        self.idle("showHiddenMetricsForVersion", version, &[""]);
        self.idle("featureGates", feature_gates, &[[].into()]);
        self.meaningless("logging", logging);
        self.idle("portRange", port_range, &[""]);
        self.meaningless("winkernel", winkernel);
        self.idle("windowsRunAsService", windows_run_as_service, &[false]);
        self.unknown("", &unknown);
        Resolved {
            node,
            kubeconfig: kubeconfig.map(Into::into),
            warnings: Vec::new(),
        }
    }

    fn node_name(
        &mut self,
        overrides: &NodeOverrides,
        named: Option<&str>,
        hostname: &str,
    ) -> model::Name {
        let flag = overrides.node_name.as_deref();
        let name = [flag, named, Some(hostname)]
            .into_iter()
            .flatten()
            .map(node_name)
            .find(|name| !name.is_empty());
        name.unwrap_or_else(|| {
            self.wrong(
                "hostnameOverride",
                "the host has no name, and none is given",
            );
            "".into()
        })
    }

    fn client_connection(&mut self, file: ClientConnection) -> Option<String> {
        let ClientConnection {
            kubeconfig,
            accept_content_types,
            content_type,
            qps,
            burst,
            unknown,
        } = file;
        let kubeconfig = self.value("clientConnection.kubeconfig", kubeconfig);
        // JSON is all that is spoken here, and what kube-proxy asks for matters to nobody.
        self.value("clientConnection.acceptContentTypes", accept_content_types);
        self.value("clientConnection.contentType", content_type);
        self.idle("clientConnection.qps", qps, &[0.0, 5.0]);
        self.idle("clientConnection.burst", burst, &[0, 10]);
        self.unknown("clientConnection.", &unknown);
        kubeconfig.filter(|path| !path.is_empty())
    }

    fn ipvs(&mut self, file: Ipvs, node: &mut NodeConfig) {
        let Ipvs {
            scheduler,
            exclude_cidrs,
            sync_period,
            min_sync_period,
            strict_arp,
            tcp_timeout,
            tcp_fin_timeout,
            udp_timeout,
            unknown,
        } = file;
        if let Some(name) = self
            .value("ipvs.scheduler", scheduler)
            .filter(|name| !name.is_empty())
        {
            node.scheduler = self.scheduler(name);
        }
        let cidrs = self.value("ipvs.excludeCIDRs", exclude_cidrs);
        node.exclude_cidrs = self.cidrs("ipvs.excludeCIDRs", &cidrs.unwrap_or_default());
        if let Some(period) = self
            .duration("ipvs.syncPeriod", sync_period)
            .filter(|period| !period.is_zero())
        {
            node.sync_period = period;
        }
        if let Some(period) = self.duration("ipvs.minSyncPeriod", min_sync_period) {
            node.min_sync_period = period;
            if period > node.sync_period {
                self.wrong(
                    "ipvs.minSyncPeriod",
                    "must not be longer than ipvs.syncPeriod",
                );
            }
        }
        self.idle("ipvs.strictARP", strict_arp, &[false]);
        self.idle_duration("ipvs.tcpTimeout", tcp_timeout, 0);
        self.idle_duration("ipvs.tcpFinTimeout", tcp_fin_timeout, 0);
        self.idle_duration("ipvs.udpTimeout", udp_timeout, 0);
        self.unknown("ipvs.", &unknown);
    }

    fn detect_local(&mut self, file: DetectLocal) {
        let DetectLocal {
            bridge_interface,
            interface_name_prefix,
            unknown,
        } = file;
        self.idle("detectLocal.bridgeInterface", bridge_interface, &[""]);
        self.idle(
            "detectLocal.interfaceNamePrefix",
            interface_name_prefix,
            &[""],
        );
        self.unknown("detectLocal.", &unknown);
    }

    fn iptables(&mut self, file: Iptables) {
        let Iptables {
            masquerade_all,
            masquerade_bit,
            localhost_node_ports,
            sync_period,
            min_sync_period,
            unknown,
        } = file;
        self.idle("iptables.masqueradeAll", masquerade_all, &[false]);
        self.idle("iptables.masqueradeBit", masquerade_bit, &[14]);
        // These are of the iptables mode alone.
        self.value("iptables.localhostNodePorts", localhost_node_ports);
        self.duration("iptables.syncPeriod", sync_period);
        self.duration("iptables.minSyncPeriod", min_sync_period);
        self.unknown("iptables.", &unknown);
    }

    fn conntrack(&mut self, file: Conntrack) {
        let Conntrack {
            max_per_core,
            min,
            tcp_established_timeout,
            tcp_close_wait_timeout,
            tcp_be_liberal,
            udp_timeout,
            udp_stream_timeout,
            unknown,
        } = file;
        // Zero leaves the kernel's setting alone, which is what happens.
        self.idle("conntrack.maxPerCore", max_per_core, &[0, 32_768]);
        self.idle("conntrack.min", min, &[0, 131_072]);
        let established = tcp_established_timeout;
        self.idle_duration("conntrack.tcpEstablishedTimeout", established, 24 * 3600);
        self.idle_duration(
            "conntrack.tcpCloseWaitTimeout",
            tcp_close_wait_timeout,
            3600,
        );
        self.idle("conntrack.tcpBeLiberal", tcp_be_liberal, &[false]);
        self.idle_duration("conntrack.udpTimeout", udp_timeout, 0);
        self.idle_duration("conntrack.udpStreamTimeout", udp_stream_timeout, 0);
        self.unknown("conntrack.", &unknown);
    }

    fn scheduler(&mut self, name: String) -> Scheduler {
        let fit =
            name.len() <= SCHEDULER_NAME_MAX && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !fit {
            let what = format!(
                "{name:?} is no scheduler's name: at most {SCHEDULER_NAME_MAX} characters, no space"
            );
            self.wrong("ipvs.scheduler", what);
        } else if !SCHEDULERS.contains(&name.as_str()) {
            self.warn(
                "ipvs.scheduler",
                &format!("{name} is no scheduler of Linux that is known here; the kernel decides"),
            );
        }
        Scheduler(name.into())
    }

    fn cidrs(&mut self, path: &str, texts: &[String]) -> Vec<IpNetwork> {
        let mut networks = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match convert::parse_cidr(text.trim()) {
                Some(network) => networks.push(network),
                None => self.wrong(
                    format!("{path}[{index}]"),
                    format!("{text:?} is no network such as 10.0.0.0/8"),
                ),
            }
        }
        networks
    }

    /// The value of a field that is of the right type.
    fn value<T>(&mut self, path: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Given(value) => Some(value),
            Field::Wrong {
                path: inner,
                message,
            } => {
                let dot = if inner.is_empty() || inner.starts_with('[') {
                    ""
                } else {
                    "."
                };
                self.wrong(format!("{path}{dot}{inner}"), message);
                None
            }
        }
    }

    fn duration(&mut self, path: &str, field: Field<String>) -> Option<Duration> {
        let text = self.value(path, field)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            self.wrong(
                path,
                format!("{text:?} is no duration such as 30s or 1m0s, zero or above"),
            );
        }
        duration
    }

    fn one_of(&mut self, path: &str, field: Field<String>, allowed: &[&str]) {
        if let Some(text) = self.value(path, field)
            && !allowed.contains(&text.as_str())
        {
            let allowed: Vec<_> = allowed
                .iter()
                .filter(|text| !text.is_empty())
                .copied()
                .collect();
            self.wrong(
                path,
                format!("{text:?} is not supported, only {}", allowed.join(", ")),
            );
        }
    }

    /// A field that does nothing, which matters unless it says what kube-proxy does without it.
    fn idle<T, D>(&mut self, path: &str, field: Field<T>, defaults: &[D])
    where
        T: PartialEq<D>,
    {
        if let Some(value) = self.value(path, field)
            && !defaults.iter().any(|default| value == *default)
        {
            self.warn(path, NO_EFFECT);
        }
    }

    fn idle_duration(&mut self, path: &str, field: Field<String>, default_seconds: u64) {
        if let Some(duration) = self.duration(path, field)
            && !duration.is_zero()
            && duration != Duration::from_secs(default_seconds)
        {
            self.warn(path, NO_EFFECT);
        }
    }

    /// A field whose content is not looked at.
    fn meaningless(&mut self, path: &str, field: Field<Value>) {
        if let Some(value) = self.value(path, field)
            && value_says_something(&value)
        {
            self.warn(path, "has no effect");
        }
    }

    fn unknown(&mut self, prefix: &str, fields: &Unknown) {
        for name in fields.keys() {
            self.wrong(
                format!("{prefix}{name}"),
                "is no field of a KubeProxyConfiguration",
            );
        }
    }

    fn wrong(&mut self, path: impl Display, message: impl Into<String>) {
        self.errors.push(ConfigError {
            path: path.to_string(),
            message: message.into(),
        });
    }

    fn warn(&mut self, path: &str, message: &str) {
        self.warnings.push(ConfigWarning {
            path: path.to_owned(),
            message: message.to_owned(),
        });
    }
}

/// Whether a value differs from what is written for "nothing set", as in kubeadm's files.
fn value_says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && parse_duration(text) != Some(Duration::ZERO),
        Value::Array(values) => values.iter().any(value_says_something),
        Value::Object(map) => map.values().any(value_says_something),
    }
}
