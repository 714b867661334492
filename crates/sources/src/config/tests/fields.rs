//! The meaning of fields.

use ipnetwork::IpNetwork;
use ipvs::{Scheduler, ServiceFlags};
use model::config::{
    ConntrackSettings, DetectLocal, ExternalIpPolicy, IpvsTimeouts, KernelSettings, Masquerade,
    NodePortAddresses, ServiceLimits, SyncMode, SyncSettings, TcpTimeout,
};

use super::*;
use crate::kube::Nodes;

fn network(text: &str) -> IpNetwork {
    text.parse().expect("a network")
}

fn networks(texts: &[&str]) -> Vec<IpNetwork> {
    texts.iter().map(|text| network(text)).collect()
}

#[test]
fn defaults_of_an_empty_file() {
    for text in ["", "{}", "# nothing", "kind: KubeProxyConfiguration"] {
        let resolved = resolved(text);
        let expected = Resolved {
            node: NodeConfig::new("host"),
            origins: [("hostnameOverride", Origin::Host)].into(),
            ..Resolved::default()
        };
        assert_eq!(resolved, expected, "{text}");
    }
}

#[test]
fn fields_of_kube_proxy() {
    let resolved = resolved(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
         hostnameOverride: ' Node1 '\nbindAddress: 10.0.0.5\n\
         clientConnection: {kubeconfig: /etc/k.conf}\n\
         ipvs: {scheduler: wrr, syncPeriod: 1m30s, minSyncPeriod: 2s, strictARP: true, \
                excludeCIDRs: [10.99.1.0/16, 'fd00::/8'], tcpTimeout: 1s, tcpFinTimeout: 2s, udpTimeout: 3s}\n\
         iptables: {masqueradeAll: true, masqueradeBit: 3}\n\
         clusterCIDR: '10.244.0.0/16, fd00:10:244::/56'\nnodePortAddresses: [192.168.0.0/16]\n\
         conntrack: {maxPerCore: 4, min: 5, tcpEstablishedTimeout: 6s, tcpCloseWaitTimeout: 7s, \
                     tcpBeLiberal: true, udpTimeout: 8s, udpStreamTimeout: 9s}\n",
    );
    let expected = NodeConfig {
        bind_address: Some("10.0.0.5".parse().expect("an address")),
        scheduler: Scheduler("wrr".into()),
        exclude_cidrs: networks(&["10.99.0.0/16", "fd00::/8"]),
        sync_period: Duration::from_secs(90),
        min_sync_period: Duration::from_secs(2),
        masquerade: Masquerade {
            all: true,
            mark_bit: 3,
            drop_bit: 15,
        },
        detect_local: DetectLocal::ClusterCidr(networks(&["10.244.0.0/16", "fd00:10:244::/56"])),
        node_port_addresses: NodePortAddresses::Within(networks(&["192.168.0.0/16"])),
        strict_arp: true,
        kernel_settings: KernelSettings {
            timeouts: IpvsTimeouts {
                tcp: TcpTimeout::Fixed(Duration::from_secs(1)),
                tcp_fin: Duration::from_secs(2),
                udp: Duration::from_secs(3),
            },
            conntrack: ConntrackSettings {
                max_per_core: 4,
                min: 5,
                tcp_established_timeout: Duration::from_secs(6),
                tcp_close_wait_timeout: Duration::from_secs(7),
                tcp_be_liberal: true,
                udp_timeout: Duration::from_secs(8),
                udp_stream_timeout: Duration::from_secs(9),
            },
            ..KernelSettings::default()
        },
        ..NodeConfig::new("node1")
    };
    assert_eq!(resolved.node, expected);
    assert_eq!(resolved.kubeconfig, Some("/etc/k.conf".into()));
    assert_eq!(resolved.warnings, []);
}

#[test]
fn fields_of_our_own_kind() {
    let resolved = resolved(&ours(
        "drainTimeout: 0s\nudpDrainTimeout: 1m\ncutLostEndpoints: true\nacceptServedTraffic: true\n\
         protectedCIDRs: [10.1.0.0/16]\nexternalIPPolicy: AllowList\nallowedExternalCIDRs: [192.0.2.0/24]\n\
         iptables: {dropBit: 1}\nipvs: {scheduler: sh, schedulerFlags: [sh-fallback, sh-port], \
                sync: {role: both, interface: eth1, syncID: 51, group: 'ff05::81', port: 9000, ttl: 2, maxLength: 1400}}\n\
         protectedHostPorts: [2222, 8472]\nhealthzBindAddress: 0.0.0.0:9999\nmetricsBindAddress: '0'\n\
         serviceLimits: {addresses: 1, sourceRanges: 2, entries: 3, realServers: 4}\n\
         iptablesBackend: nft\nserviceMetrics: service\nwatchedNodes: own\n",
    ));
    let expected = NodeConfig {
        scheduler: Scheduler("sh".into()),
        scheduler_flags: ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2,
        masquerade: Masquerade {
            drop_bit: 1,
            ..Masquerade::default()
        },
        external_ips: ExternalIpPolicy::AllowList(networks(&["192.0.2.0/24"])),
        protected_cidrs: networks(&["10.1.0.0/16"]),
        drain_timeout: Duration::ZERO,
        udp_drain_timeout: Duration::from_secs(60),
        cut_lost_endpoints: true,
        accept_served_traffic: true,
        listener_ports: [9999].into(),
        protected_host_ports: [2222, 8472].into(),
        service_limits: ServiceLimits {
            addresses: 1,
            source_ranges: 2,
            entries: 3,
            real_servers: 4,
        },
        kernel_settings: KernelSettings {
            sync: SyncSettings {
                role: SyncMode::Both,
                interface: "eth1".to_owned(),
                sync_id: 51,
                group: "ff05::81".parse().expect("an address"),
                port: 9000,
                time_to_live: 2,
                maximum_length: 1400,
            },
            ..KernelSettings::default()
        },
        ..NodeConfig::new("host")
    };
    assert_eq!(resolved.node, expected);
    let settings = resolved.settings;
    assert_eq!(settings.iptables_backend, IptablesBackend::Nft);
    assert_eq!(settings.service_metrics, ServiceMetrics::Service);
    assert_eq!(settings.watched_nodes, Nodes::Own);
    let other = super::resolved(&ours(
        "externalIPPolicy: Deny\niptablesBackend: legacy\nserviceMetrics: endpoint",
    ));
    assert_eq!(other.node.external_ips, ExternalIpPolicy::Deny);
    assert_eq!(other.settings.iptables_backend, IptablesBackend::Legacy);
    assert_eq!(other.settings.service_metrics, ServiceMetrics::Endpoint);
}

#[test]
fn our_fields_need_our_kind() {
    let elsewhere = "is no field of kube-proxy's: write it in a file of apiVersion \
                     kube-ipvs.io/v1alpha1, kind KubeIpvsConfiguration";
    check(
        "kind: KubeProxyConfiguration\ndrainTimeout: 1m\nipvs: {schedulerFlags: []}\niptables: {dropBit: 3}",
        &[
            &format!("error: drainTimeout: {elsewhere}"),
            &format!("error: iptables.dropBit: {elsewhere}"),
            &format!("error: ipvs.schedulerFlags: {elsewhere}"),
        ],
    );
}

#[test]
fn values_out_of_bounds() {
    check_ours(
        "oomScoreAdj: 1001\nbindAddress: nowhere\nconntrack: {maxPerCore: -1, min: 1.5}\n\
         iptables: {masqueradeBit: 32}\nclientConnection: {burst: -1, qps: x}\nconfigSyncPeriod: -1s\n\
         ipvs: {tcpTimeout: -1s, udpTimeout: 5, tcpFinTimeout: ''}\niptablesBackend: ipset\n\
         serviceMetricsLimit: -1\nprotectedHostPorts: [22, 0, ssh]\nserviceLimits: {entries: 0}\n",
        &[
            "error: bindAddress: \"nowhere\" is no address",
            "error: clientConnection.burst: must be 0 or more, not -1",
            "error: clientConnection.qps: must be a number, not \"x\"",
            "error: configSyncPeriod: \"-1s\" is no duration such as 30s or 1m0s, zero or above",
            "error: conntrack.maxPerCore: must be 0 or more, not -1",
            "error: conntrack.min: must be a whole number, not 1.5",
            "error: iptables.masqueradeBit: must be from 0 to 31, not 32",
            "error: iptablesBackend: \"ipset\" is not supported, only auto, nft, legacy",
            "error: ipvs.tcpFinTimeout: \"\" is no duration such as 30s or 1m0s, zero or above",
            "error: ipvs.tcpTimeout: \"-1s\" is neither matchKeepalive nor a duration such as 30s, zero or above",
            "error: ipvs.udpTimeout: must be a duration such as 30s, not 5",
            "error: oomScoreAdj: must be from -1000 to 1000, not 1001",
            "error: protectedHostPorts[1]: must be a port from 1 to 65535, not 0",
            "error: protectedHostPorts[2]: must be a port from 1 to 65535, not \"ssh\"",
            "error: serviceLimits.entries: must be from 1 to 1000000, not 0",
            "error: serviceMetricsLimit: must be from 0 to 1000000, not -1",
        ],
    );
    check_ours(
        "serviceMetricsLimit: 0\nprotectedHostPorts: []\nwatchedNodes: all",
        &[
            "protectedHostPorts = []",
            "serviceMetricsLimit = 0",
            "watchedNodes = all",
        ],
    );
}

#[test]
fn schedulers_and_their_flags() {
    for (scheduler, expected) in [
        ("scheduler: mh", "[mh-port]"),
        ("scheduler: sh", "[]"),
        ("scheduler: mh, schedulerFlags: []", "[]"),
        (
            "scheduler: mh, schedulerFlags: [mh-fallback]",
            "[mh-fallback]",
        ),
    ] {
        let expected = format!("ipvs.schedulerFlags = {expected}");
        check_ours(&format!("ipvs: {{{scheduler}}}"), &[&expected]);
    }
    let plain = resolved("ipvs: {scheduler: mh}");
    assert_eq!(plain.node.scheduler_flags, ServiceFlags::SCHED_2);
    let is_for = "is for the scheduler";
    for (scheduler, expected) in [
        (
            "scheduler: sh, schedulerFlags: [sh-port, mh-port]",
            &[format!(
                "[1]: \"mh-port\" {is_for} mh, and ipvs.scheduler is sh"
            )][..],
        ),
        (
            "schedulerFlags: [sh-port]",
            &[format!(
                "[0]: \"sh-port\" {is_for} sh, and ipvs.scheduler is rr"
            )],
        ),
        (
            "scheduler: sh, schedulerFlags: [ops, sh-port, sh-port]",
            &[
                "[0]: \"ops\" is not supported, only sh-port, sh-fallback, mh-port, mh-fallback"
                    .to_owned(),
                "[2]: \"sh-port\" is given twice".to_owned(),
            ],
        ),
    ] {
        let error = |message: &String| format!("error: ipvs.schedulerFlags{message}");
        let expected: Vec<_> = expected.iter().map(error).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check_ours(&format!("ipvs: {{{scheduler}}}"), &expected);
    }
    check(
        "ipvs: {scheduler: magic}",
        &[
            "warning: ipvs.scheduler: magic is no scheduler of Linux that is known here; the kernel decides",
            "ipvs.scheduler = magic",
        ],
    );
}

#[test]
fn the_bits_of_the_mark_differ() {
    for (bits, mark, drop) in [
        ("", 14, 15),
        ("masqueradeBit: 15", 15, 14),
        ("masqueradeBit: 0, dropBit: 31", 0, 31),
    ] {
        check_ours(
            &format!("iptables: {{{bits}}}"),
            &[
                &format!("iptables.masqueradeBit = {mark}"),
                &format!("iptables.dropBit = {drop}"),
            ],
        );
    }
    for (bits, bit) in [("masqueradeBit: 3, dropBit: 3", 3), ("dropBit: 14", 14)] {
        let message = format!("must differ from iptables.masqueradeBit, which is {bit} too");
        let error = format!("error: iptables.dropBit: {message}");
        check_ours(&format!("iptables: {{{bits}}}"), &[&error]);
    }
}

#[test]
fn traffic_from_pods() {
    for (text, expected) in [
        ("clusterCIDR: ''", DetectLocal::ClusterCidr(vec![])),
        (
            "clusterCIDR: fd00::/48",
            DetectLocal::ClusterCidr(networks(&["fd00::/48"])),
        ),
        ("detectLocalMode: NodeCIDR", DetectLocal::NodeCidr),
        (
            "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
            DetectLocal::BridgeInterface("cni0".into()),
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
            DetectLocal::InterfaceNamePrefix("veth".into()),
        ),
    ] {
        assert_eq!(resolved(text).node.detect_local, expected, "{text}");
    }
    let required = "is required while detectLocalMode is";
    for (text, error) in [
        (
            "detectLocalMode: BridgeInterface\ndetectLocal: {interfaceNamePrefix: veth}",
            &*format!("detectLocal.bridgeInterface: {required} BridgeInterface"),
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: ''}",
            &format!("detectLocal.interfaceNamePrefix: {required} InterfaceNamePrefix"),
        ),
        (
            "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: a/b}",
            "detectLocal.interfaceNamePrefix: \"a/b\" is no interface's name: at most 15 characters, \
             no space, no slash, no colon",
        ),
        (
            "clusterCIDR: 10.0.0.0/8,10.1.0.0/16",
            "clusterCIDR: \"10.0.0.0/8,10.1.0.0/16\" has two networks of one family",
        ),
        (
            "clusterCIDR: 10.0.0.0/8,fd00::/8,fd01::/16",
            "clusterCIDR: \"10.0.0.0/8,fd00::/8,fd01::/16\" has more than one network of each family",
        ),
        (
            "clusterCIDR: 10.0.0.0/8,pods",
            "clusterCIDR: \"pods\" is no network such as 10.0.0.0/8",
        ),
    ] {
        check(text, &[&format!("error: {error}")]);
    }
    check(
        "detectLocalMode: NodeCIDR\nclusterCIDR: 10.0.0.0/8\ndetectLocal: {bridgeInterface: br0}",
        &[
            "warning: clusterCIDR: has no effect while detectLocalMode is NodeCIDR",
            "warning: detectLocal.bridgeInterface: has no effect while detectLocalMode is NodeCIDR",
        ],
    );
}

#[test]
fn node_port_addresses() {
    let within = |texts: &[&str]| NodePortAddresses::Within(networks(texts));
    let primary_and = |texts: &[&str]| NodePortAddresses::PrimaryAnd(networks(texts));
    let all = ["0.0.0.0/0", "::/0"];
    let loopback = ["127.0.0.0/8", "::1/128"];
    for (words, expected) in [
        ("", within(&[])),
        ("primary", primary_and(&[])),
        ("all", within(&all)),
        ("localhost", within(&loopback)),
        ("primary, localhost", primary_and(&loopback)),
        ("localhost, primary", primary_and(&loopback)),
        ("primary, 10.0.0.0/8", primary_and(&["10.0.0.0/8"])),
        (
            "'fd00::/8', all, 0.0.0.0/0",
            within(&["fd00::/8", "0.0.0.0/0", "::/0"]),
        ),
    ] {
        let first = resolved(&format!("nodePortAddresses: [{words}]"));
        let again = resolved(&first.document().to_string());
        for resolved in [&first, &again] {
            assert_eq!(resolved.node.node_port_addresses, expected, "{words}");
        }
        let warnings = usize::from(words.contains("localhost"));
        assert_eq!(first.warnings.len(), warnings, "{words}");
    }
    let nothing = "adds nothing: node ports are never served at loopback addresses";
    check(
        "nodePortAddresses: [primary, localhost]",
        &[&format!(
            "warning: nodePortAddresses[1]: \"localhost\" {nothing}"
        )],
    );
    check(
        "nodePortAddresses: [primary, eth0, Primary]",
        &[
            "error: nodePortAddresses[1]: \"eth0\" is no network such as 10.0.0.0/8",
            "error: nodePortAddresses[2]: \"Primary\" is no network such as 10.0.0.0/8",
        ],
    );
}

#[test]
fn external_ips() {
    for (text, error) in [
        (
            "externalIPPolicy: AllowList\nallowedExternalCIDRs: []",
            "allowedExternalCIDRs: is required with externalIPPolicy: AllowList",
        ),
        (
            "externalIPPolicy: Deny\nallowedExternalCIDRs: [10.0.0.0/8]",
            "allowedExternalCIDRs: is for externalIPPolicy: AllowList, and that is Deny",
        ),
        (
            "externalIPPolicy: Some\nallowedExternalCIDRs: [10.0.0.0/8]",
            "externalIPPolicy: \"Some\" is not supported, only Allow, AllowList, Deny",
        ),
        (
            "featureGates: {AllowServiceExternalIPs: false}\nallowedExternalCIDRs: [10.0.0.0/8]",
            "allowedExternalCIDRs: is for externalIPPolicy: AllowList, and that is Deny",
        ),
    ] {
        check_ours(text, &[&format!("error: {error}")]);
    }
}

#[test]
fn the_feature_gate_of_external_ips() {
    let denied = "featureGates: {AllowServiceExternalIPs: false}\n";
    let by_file = "externalIPPolicy = Deny (file c.yaml)";
    check(denied, &[by_file]);
    check_ours(denied, &[by_file]);
    check(
        "featureGates: {AllowServiceExternalIPs: true}",
        &["externalIPPolicy = Allow (default)"],
    );
    check_ours(
        &format!("{denied}externalIPPolicy: Allow"),
        &["externalIPPolicy = Allow (file c.yaml)"],
    );
    check(
        "featureGates: {AllowServiceExternalIPs: false, Other: true}",
        &["warning: featureGates: has no effect", by_file],
    );
    check_flags(
        &["--feature-gates=A=false,AllowServiceExternalIPs=false"],
        &["externalIPPolicy = Deny (flag --feature-gates)"],
    );
}

#[test]
fn networks_given_twice() {
    let text = "CIDRs: [10.1.0.0/8, 10.0.0.0/8]";
    check(
        &format!("ipvs: {{exclude{text}}}"),
        &[
            "warning: ipvs.excludeCIDRs[1]: \"10.0.0.0/8\" is given twice",
            "ipvs.excludeCIDRs = [10.0.0.0/8]",
        ],
    );
    check_ours(
        &format!("protected{text}"),
        &["error: protectedCIDRs[1]: \"10.0.0.0/8\" is given twice"],
    );
}

#[test]
fn zero_is_the_default_or_leaves_a_setting() {
    check(
        "ipvs: {syncPeriod: 0s, minSyncPeriod: 0s, scheduler: ''}\nconfigSyncPeriod: 0s\n\
         clientConnection: {qps: 0, burst: 0}",
        &[
            "ipvs.scheduler = rr (default)",
            "ipvs.syncPeriod = 30s (default)",
            "ipvs.minSyncPeriod = 0s (file c.yaml)",
            "configSyncPeriod = 15m0s (default)",
            "clientConnection.qps = 5 (default)",
            "clientConnection.burst = 10 (default)",
        ],
    );
    check(
        "conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}\n\
         ipvs: {tcpTimeout: 0s, tcpFinTimeout: 0s, udpTimeout: 0s}",
        &[
            "conntrack.maxPerCore = 0",
            "conntrack.min = 0",
            "conntrack.tcpEstablishedTimeout = 0s",
        ],
    );
}

#[test]
fn addresses_of_the_servers() {
    for (text, healthz, metrics) in [
        ("", "0.0.0.0:10256", "127.0.0.1:10249"),
        ("bindAddress: '::'", "[::]:10256", "[::1]:10249"),
        (
            "healthzBindAddress: 10.0.0.1\nmetricsBindAddress: '::'",
            "10.0.0.1:10256",
            "[::]:10249",
        ),
        (
            "healthzBindAddress: '[fd00::1]:80'\nmetricsBindAddress: '0'",
            "[fd00::1]:80",
            "0",
        ),
    ] {
        check(
            text,
            &[
                &format!("healthzBindAddress = {healthz}"),
                &format!("metricsBindAddress = {metrics}"),
            ],
        );
    }
    for wrong in [
        "localhost:80",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "fd00::1:80:",
        ":80",
    ] {
        let what = "is no address with a port such as 0.0.0.0:10256";
        let error = format!("error: healthzBindAddress: {wrong:?} {what}");
        check(&format!("healthzBindAddress: '{wrong}'"), &[&error]);
    }
}

#[test]
fn logging() {
    for (text, format, verbosity) in [
        ("null", LogFormat::Text, 0),
        ("{format: json, verbosity: 4}", LogFormat::Json, 4),
        (
            "{flushFrequency: 5s, options: {json: {infoBufferSize: '0'}}, vmodule: null}",
            LogFormat::Text,
            0,
        ),
    ] {
        let Resolved {
            settings, warnings, ..
        } = resolved(&format!("logging: {text}"));
        let found = (settings.log_format, settings.log_verbosity, warnings);
        assert_eq!(found, (format, verbosity, vec![]), "{text}");
    }
    check(
        "logging: {flushFrequency: 1s, options: {text: {splitStream: true}}}",
        &[
            "warning: logging.flushFrequency: has no effect",
            "warning: logging.options: has no effect",
        ],
    );
}
