//! The meaning of fields.

use ipvs::{Scheduler, ServiceFlags};
use model::config::{DetectLocal, ExternalIpPolicy, Masquerade, NodePortAddresses, ServiceLimits};

use super::*;
use crate::kube::Nodes;

#[test]
fn nothing_given_is_kube_proxys_default() {
    for text in ["", "{}", "# nothing", "kind: KubeProxyConfiguration"] {
        let resolved = resolve(text).expect("a configuration");
        assert_eq!(resolved.node, NodeConfig::new("host"));
        assert_eq!((resolved.kubeconfig, resolved.warnings), (None, vec![]));
    }
}

#[test]
fn fields_that_act() {
    let resolved = resolve(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
         hostnameOverride: ' Node1 '\nbindAddress: 10.0.0.5\nclientConnection: {kubeconfig: /etc/k.conf}\n\
         ipvs: {scheduler: wrr, syncPeriod: 1m30s, minSyncPeriod: 2s, strictARP: true, \
                excludeCIDRs: [10.99.1.0/16, 'fd00::/8']}\n\
         iptables: {masqueradeAll: true, masqueradeBit: 3}\n\
         clusterCIDR: '10.244.0.0/16, fd00:10:244::/56'\nnodePortAddresses: [192.168.0.0/16]\n",
    )
    .expect("a configuration");
    let expected = NodeConfig {
        bind_address: Some("10.0.0.5".parse().expect("an address")),
        scheduler: Scheduler("wrr".into()),
        exclude_cidrs: vec![network("10.99.0.0/16"), network("fd00::/8")],
        sync_period: Duration::from_secs(90),
        min_sync_period: Duration::from_secs(2),
        masquerade: Masquerade {
            all: true,
            mark_bit: 3,
            drop_bit: 15,
        },
        detect_local: DetectLocal::ClusterCidr(vec![
            network("10.244.0.0/16"),
            network("fd00:10:244::/56"),
        ]),
        node_port_addresses: NodePortAddresses::Within(vec![network("192.168.0.0/16")]),
        strict_arp: true,
        ..NodeConfig::new("node1")
    };
    assert_eq!(resolved.node, expected);
    assert_eq!(resolved.kubeconfig, Some("/etc/k.conf".into()));
    assert_eq!(resolved.warnings, []);
}

#[test]
fn our_own_fields() {
    let text = ours(
        "drainTimeout: 0s\nudpDrainTimeout: 0s\ncutLostEndpoints: true\nacceptServedTraffic: true\nprotectedCIDRs: [10.1.0.0/16]\n\
         externalIPPolicy: AllowList\nallowedExternalCIDRs: [192.0.2.0/24]\niptables: {dropBit: 1}\n\
         ipvs: {scheduler: sh, schedulerFlags: [sh-fallback, sh-port]}\n",
    );
    let expected = NodeConfig {
        scheduler: Scheduler("sh".into()),
        scheduler_flags: ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2,
        masquerade: Masquerade {
            drop_bit: 1,
            ..Masquerade::default()
        },
        external_ips: ExternalIpPolicy::AllowList(vec![network("192.0.2.0/24")]),
        protected_cidrs: vec![network("10.1.0.0/16")],
        drain_timeout: Duration::ZERO,
        udp_drain_timeout: Duration::ZERO,
        cut_lost_endpoints: true,
        accept_served_traffic: true,
        ..NodeConfig::new("host")
    };
    assert_eq!(resolve(&text).expect("a configuration").node, expected);
    let denied = resolve(&ours("externalIPPolicy: Deny")).expect("a configuration");
    assert_eq!(denied.node.external_ips, ExternalIpPolicy::Deny);
    assert_eq!(denied.node.drain_timeout, Duration::from_secs(900));
    assert!(!denied.node.accept_served_traffic);
}

#[test]
fn what_the_node_protects_and_how_much_a_service_may_have() {
    let check = |fields: &str, listeners: &[u16], ports: &[u16], limits: [usize; 4]| {
        let node = resolve(&ours(fields)).expect("a configuration").node;
        assert_eq!(
            node.listener_ports,
            listeners.iter().copied().collect(),
            "{fields}"
        );
        assert_eq!(
            node.protected_host_ports,
            ports.iter().copied().collect(),
            "{fields}"
        );
        let ServiceLimits {
            addresses,
            source_ranges,
            entries,
            real_servers,
        } = node.service_limits;
        let found = [addresses, source_ranges, entries, real_servers];
        assert_eq!(found, limits, "{fields}");
    };
    check("", &[10249, 10256], &[22], [256, 1_000, 8_192, 131_072]);
    check(
        "healthzBindAddress: 0.0.0.0:9999\nmetricsBindAddress: '0'\nprotectedHostPorts: [2222, 8472]\n\
         serviceLimits: {addresses: 1, sourceRanges: 2, realServers: 3}\n",
        &[9999],
        &[2222, 8472],
        [1, 2, 8_192, 3],
    );
    check(
        "protectedHostPorts: []\n",
        &[10249, 10256],
        &[],
        [256, 1_000, 8_192, 131_072],
    );
    check_errors(
        &ours("protectedHostPorts: [22, 0, ssh]\nserviceLimits: {entries: 0}\n"),
        &[
            "protectedHostPorts[1]: must be a port from 1 to 65535, not 0",
            "protectedHostPorts[2]: must be a port from 1 to 65535, not \"ssh\"",
            "serviceLimits.entries: must be from 1 to 1000000, not 0",
        ],
    );
}

#[test]
fn the_packet_filter_and_what_is_shown_of_traffic() {
    let check = |fields: &str, backend, metrics, limit| {
        let settings = resolve(&ours(fields)).expect("a configuration").settings;
        let found = (
            settings.iptables_backend,
            settings.service_metrics,
            settings.service_metrics_limit,
        );
        assert_eq!(found, (backend, metrics, limit), "{fields}");
    };
    check("", IptablesBackend::Auto, ServiceMetrics::Off, 10_000);
    check(
        "iptablesBackend: nft\nserviceMetrics: service\nserviceMetricsLimit: 0\n",
        IptablesBackend::Nft,
        ServiceMetrics::Service,
        0,
    );
    check(
        "iptablesBackend: legacy\nserviceMetrics: endpoint\nserviceMetricsLimit: 7\n",
        IptablesBackend::Legacy,
        ServiceMetrics::Endpoint,
        7,
    );
    check_errors(
        &ours("iptablesBackend: ipset\nserviceMetricsLimit: -1\n"),
        &[
            "iptablesBackend: \"ipset\" is not supported, only auto, nft, legacy",
            "serviceMetricsLimit: must be from 0 to 1000000, not -1",
        ],
    );
}

#[test]
fn which_nodes_are_watched() {
    let check = |fields: &str, nodes| {
        let settings = resolve(&ours(fields)).expect("a configuration").settings;
        assert_eq!(settings.watched_nodes, nodes, "{fields}");
    };
    check("", Nodes::All);
    check("watchedNodes: all", Nodes::All);
    check("watchedNodes: own", Nodes::Own);
}

#[test]
fn our_fields_want_our_kind() {
    let elsewhere = "is no field of kube-proxy's: write it in a file of apiVersion \
                     kube-ipvs.io/v1alpha1, kind KubeIpvsConfiguration";
    check_errors(
        "kind: KubeProxyConfiguration\ndrainTimeout: 1m\nipvs: {schedulerFlags: []}\niptables: {dropBit: 3}",
        &[
            &format!("drainTimeout: {elsewhere}"),
            &format!("iptables.dropBit: {elsewhere}"),
            &format!("ipvs.schedulerFlags: {elsewhere}"),
        ],
    );
}

#[test]
fn scheduler_flags_by_default() {
    let check = |fields: &str, expected: ServiceFlags| {
        let resolved = resolve(&ours(fields)).expect("a configuration");
        assert_eq!(resolved.node.scheduler_flags, expected, "{fields}");
    };
    check("ipvs: {scheduler: mh}", ServiceFlags::SCHED_2);
    check("ipvs: {scheduler: sh}", ServiceFlags::empty());
    check(
        "ipvs: {scheduler: mh, schedulerFlags: []}",
        ServiceFlags::empty(),
    );
    check(
        "ipvs: {scheduler: mh, schedulerFlags: [mh-fallback]}",
        ServiceFlags::SCHED_1,
    );
    let plain = resolve("ipvs: {scheduler: mh}").expect("a configuration");
    assert_eq!(plain.node.scheduler_flags, ServiceFlags::SCHED_2);
}

#[test]
fn scheduler_flags_fit_their_scheduler() {
    check_errors(
        &ours("ipvs: {scheduler: sh, schedulerFlags: [sh-port, mh-port]}"),
        &["ipvs.schedulerFlags[1]: \"mh-port\" is for the scheduler mh, and ipvs.scheduler is sh"],
    );
    check_errors(
        &ours("ipvs: {schedulerFlags: [sh-port]}"),
        &["ipvs.schedulerFlags[0]: \"sh-port\" is for the scheduler sh, and ipvs.scheduler is rr"],
    );
    check_errors(
        &ours("ipvs: {scheduler: sh, schedulerFlags: [ops, sh-port, sh-port]}"),
        &[
            "ipvs.schedulerFlags[0]: \"ops\" is not supported, only sh-port, sh-fallback, mh-port, mh-fallback",
            "ipvs.schedulerFlags[2]: \"sh-port\" is given twice",
        ],
    );
}

#[test]
fn the_two_bits_of_the_mark_differ() {
    let bits = |fields: &str| {
        let masquerade = resolve(&ours(fields))
            .expect("a configuration")
            .node
            .masquerade;
        (masquerade.mark_bit, masquerade.drop_bit)
    };
    assert_eq!(bits(""), (14, 15));
    assert_eq!(bits("iptables: {masqueradeBit: 15}"), (15, 14));
    assert_eq!(bits("iptables: {masqueradeBit: 0, dropBit: 31}"), (0, 31));
    check_errors(
        &ours("iptables: {masqueradeBit: 3, dropBit: 3}"),
        &["iptables.dropBit: must differ from iptables.masqueradeBit, which is 3 too"],
    );
    check_errors(
        &ours("iptables: {dropBit: 14}"),
        &["iptables.dropBit: must differ from iptables.masqueradeBit, which is 14 too"],
    );
}

#[test]
fn local_traffic() {
    let check = |text: &str, expected: DetectLocal| {
        let resolved = resolve(text).expect("a configuration");
        assert_eq!(resolved.node.detect_local, expected, "{text}");
    };
    check("clusterCIDR: ''", DetectLocal::ClusterCidr(vec![]));
    check(
        "clusterCIDR: fd00::/48",
        DetectLocal::ClusterCidr(vec![network("fd00::/48")]),
    );
    check("detectLocalMode: NodeCIDR", DetectLocal::NodeCidr);
    check(
        "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}",
        DetectLocal::BridgeInterface("cni0".into()),
    );
    check(
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}",
        DetectLocal::InterfaceNamePrefix("veth".into()),
    );
    check_errors(
        "detectLocalMode: BridgeInterface\ndetectLocal: {interfaceNamePrefix: veth}",
        &["detectLocal.bridgeInterface: is required while detectLocalMode is BridgeInterface"],
    );
    check_errors(
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: ''}",
        &[
            "detectLocal.interfaceNamePrefix: is required while detectLocalMode is InterfaceNamePrefix",
        ],
    );
    check_errors(
        "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: a/b}",
        &[
            "detectLocal.interfaceNamePrefix: \"a/b\" is no interface's name: at most 15 characters, \
           no space, no slash, no colon",
        ],
    );
    check_warnings(
        "detectLocalMode: NodeCIDR\nclusterCIDR: 10.0.0.0/8\ndetectLocal: {bridgeInterface: br0}",
        &[
            "clusterCIDR: has no effect while detectLocalMode is NodeCIDR",
            "detectLocal.bridgeInterface: has no effect while detectLocalMode is NodeCIDR",
        ],
    );
}

#[test]
fn cluster_cidr_is_one_or_one_of_each_family() {
    check_errors(
        "clusterCIDR: 10.0.0.0/8,10.1.0.0/16",
        &["clusterCIDR: \"10.0.0.0/8,10.1.0.0/16\" has two networks of one family"],
    );
    check_errors(
        "clusterCIDR: 10.0.0.0/8,fd00::/8,fd01::/16",
        &[
            "clusterCIDR: \"10.0.0.0/8,fd00::/8,fd01::/16\" has more than one network of each family",
        ],
    );
    check_errors(
        "clusterCIDR: 10.0.0.0/8,pods",
        &["clusterCIDR: \"pods\" is no network such as 10.0.0.0/8"],
    );
}

#[test]
fn node_port_addresses() {
    let parsed = |texts: &[&str]| texts.iter().map(|text| network(text)).collect();
    let within = |texts: &[&str]| NodePortAddresses::Within(parsed(texts));
    let primary_and = |texts: &[&str]| NodePortAddresses::PrimaryAnd(parsed(texts));
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
        let resolved = resolve(&format!("nodePortAddresses: [{words}]")).expect(words);
        assert_eq!(resolved.node.node_port_addresses, expected, "{words}");
        let again = resolve(&resolved.document().to_string()).expect(words);
        assert_eq!(again.node.node_port_addresses, expected, "{words}");
        assert_eq!(
            resolved.warnings.len(),
            usize::from(words.contains("localhost"))
        );
    }
    check_warnings(
        "nodePortAddresses: [primary, localhost]",
        &[
            "nodePortAddresses[1]: \"localhost\" adds nothing: node ports are never served at loopback addresses",
        ],
    );
    check_errors(
        "nodePortAddresses: [primary, eth0, Primary]",
        &[
            "nodePortAddresses[1]: \"eth0\" is no network such as 10.0.0.0/8",
            "nodePortAddresses[2]: \"Primary\" is no network such as 10.0.0.0/8",
        ],
    );
}

#[test]
fn external_ips() {
    check_errors(
        &ours("externalIPPolicy: AllowList\nallowedExternalCIDRs: []"),
        &["allowedExternalCIDRs: is required with externalIPPolicy: AllowList"],
    );
    check_errors(
        &ours("externalIPPolicy: Deny\nallowedExternalCIDRs: [10.0.0.0/8]"),
        &["allowedExternalCIDRs: is for externalIPPolicy: AllowList, and that is Deny"],
    );
    check_errors(
        &ours("externalIPPolicy: Some\nallowedExternalCIDRs: [10.0.0.0/8]"),
        &["externalIPPolicy: \"Some\" is not supported, only Allow, AllowList, Deny"],
    );
}

#[test]
fn networks_given_twice() {
    let text = "ipvs: {excludeCIDRs: [10.1.0.0/8, 10.0.0.0/8]}";
    check_warnings(
        text,
        &["ipvs.excludeCIDRs[1]: \"10.0.0.0/8\" is given twice"],
    );
    let resolved = resolve(text).expect("a configuration");
    assert_eq!(resolved.node.exclude_cidrs, [network("10.0.0.0/8")]);
    check_errors(
        &ours("protectedCIDRs: [10.1.0.0/8, 10.0.0.0/8]"),
        &["protectedCIDRs[1]: \"10.0.0.0/8\" is given twice"],
    );
}

#[test]
fn zero_means_the_default_period() {
    let resolved = resolve(
        "ipvs: {syncPeriod: 0s, minSyncPeriod: 0s, scheduler: ''}\nconfigSyncPeriod: 0s\n\
         clientConnection: {qps: 0, burst: 0}",
    )
    .expect("a configuration");
    assert_eq!(resolved.node, NodeConfig::new("host"));
    assert_eq!(
        resolved.settings.config_sync_period,
        Duration::from_secs(900)
    );
    assert_eq!((resolved.settings.qps, resolved.settings.burst), (5.0, 10));
}

#[test]
fn zero_leaves_the_kernels_setting() {
    let text = "conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}\n\
                ipvs: {tcpTimeout: 0s, tcpFinTimeout: 0s, udpTimeout: 0s}";
    check_warnings(text, &[]);
    let node = resolve(text).expect("a configuration").node;
    let conntrack = node.kernel_settings.conntrack;
    assert_eq!((conntrack.max_per_core, conntrack.min), (0, 0));
    assert_eq!(conntrack.tcp_established_timeout, Duration::ZERO);
}

#[test]
fn addresses_of_the_servers() {
    let check = |text: &str, healthz: &str, metrics: &str| {
        let resolved = resolve(text).expect("a configuration");
        let values = resolved.values();
        let value = |path: &str| {
            let value = values.iter().find(|value| value.path == path);
            value.map(EffectiveValue::text).unwrap_or_default()
        };
        assert_eq!(value("healthzBindAddress"), healthz, "{text}");
        assert_eq!(value("metricsBindAddress"), metrics, "{text}");
    };
    check("", "0.0.0.0:10256", "127.0.0.1:10249");
    check("bindAddress: '::'", "[::]:10256", "[::1]:10249");
    check(
        "healthzBindAddress: 10.0.0.1\nmetricsBindAddress: '::'",
        "10.0.0.1:10256",
        "[::]:10249",
    );
    check(
        "healthzBindAddress: '[fd00::1]:80'\nmetricsBindAddress: '0'",
        "[fd00::1]:80",
        "0",
    );
    for wrong in [
        "localhost:80",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "fd00::1:80:",
        ":80",
    ] {
        check_errors(
            &format!("healthzBindAddress: '{wrong}'"),
            &[&format!(
                "healthzBindAddress: {wrong:?} is no address with a port such as 0.0.0.0:10256"
            )],
        );
    }
}

#[test]
fn bounds() {
    check_errors(
        "oomScoreAdj: 1001\nbindAddress: nowhere\nconntrack: {maxPerCore: -1, min: 1.5}\n\
         iptables: {masqueradeBit: 32}\nclientConnection: {burst: -1}\nconfigSyncPeriod: -1s\n\
         ipvs: {tcpTimeout: -1s, udpTimeout: 5}",
        &[
            "bindAddress: \"nowhere\" is no address",
            "clientConnection.burst: must be 0 or more, not -1",
            "configSyncPeriod: \"-1s\" is no duration such as 30s or 1m0s, zero or above",
            "conntrack.maxPerCore: must be 0 or more, not -1",
            "conntrack.min: must be a whole number, not 1.5",
            "iptables.masqueradeBit: must be from 0 to 31, not 32",
            "ipvs.tcpTimeout: \"-1s\" is no duration such as 30s or 1m0s, zero or above",
            "ipvs.udpTimeout: must be a duration such as 30s, not 5",
            "oomScoreAdj: must be from -1000 to 1000, not 1001",
        ],
    );
}

#[test]
fn an_unknown_scheduler_is_left_to_the_kernel() {
    check_warnings(
        "ipvs: {scheduler: magic}",
        &["ipvs.scheduler: magic is no scheduler of Linux that is known here; the kernel decides"],
    );
}

#[test]
fn durations() {
    let check = |text: &str, milliseconds: Option<u64>| {
        assert_eq!(
            parse_duration(text),
            milliseconds.map(Duration::from_millis),
            "{text}"
        );
    };
    check("30s", Some(30_000));
    check("1m0s", Some(60_000));
    check("24h0m0s", Some(86_400_000));
    check("1.5h", Some(5_400_000));
    check("100ms", Some(100));
    check("0", Some(0));
    for wrong in ["", "30", "s", "-1s", "1 s", "1d", "1..5s", "99999999h"] {
        check(wrong, None);
    }
}

#[test]
fn durations_as_go_writes_them() {
    for text in [
        "0s", "30s", "1m0s", "24h0m0s", "1h0m5s", "1.5s", "1m0.25s", "100ms", "1.5µs", "7ns",
    ] {
        let duration = parse_duration(text).expect("a duration");
        assert_eq!(format_duration(duration), text);
    }
}
