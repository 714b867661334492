//! Files as a whole: kube-proxy's own, mistakes, what wins.

use super::*;

/// The ConfigMap of kubeadm 1.30.
const KUBEADM: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: \"\"
  burst: 0
  contentType: \"\"
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: \"\"
  interfaceNamePrefix: \"\"
detectLocalMode: \"\"
enableProfiling: false
healthzBindAddress: \"\"
hostnameOverride: \"\"
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: \"\"
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: \"0\"
    text:
      infoBufferSize: \"0\"
  verbosity: 0
metricsBindAddress: \"\"
mode: \"\"
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: \"\"
showHiddenMetricsForVersion: \"\"
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: \"\"
  rootHnsEndpointName: \"\"
  sourceVip: \"\"
";

#[test]
fn the_config_map_of_kubeadm() {
    let resolved = resolve(KUBEADM).expect("a configuration");
    assert_eq!(resolved.warnings, []);
    let mut expected = NodeConfig::new("host");
    expected.detect_local = model::config::DetectLocal::ClusterCidr(vec![network("10.244.0.0/16")]);
    assert_eq!(resolved.node, expected);
    assert_eq!(
        resolved.kubeconfig,
        Some("/var/lib/kube-proxy/kubeconfig.conf".into())
    );
    let defaults = resolve("").expect("a configuration");
    assert_eq!(resolved.settings, defaults.settings);
}

#[test]
fn the_config_map_of_kubeadm_as_operators_change_it() {
    let text = KUBEADM
        .replace("mode: \"\"", "mode: ipvs")
        .replace("strictARP: false", "strictARP: true")
        .replace(
            "metricsBindAddress: \"\"",
            "metricsBindAddress: 0.0.0.0:10249",
        )
        .replace("maxPerCore: null", "maxPerCore: 65536")
        .replace("tcpTimeout: 0s", "tcpTimeout: 2h")
        .replace("localhostNodePorts: null", "localhostNodePorts: false")
        .replace("syncPeriod: 0s\nipvs", "syncPeriod: 1m0s\nipvs")
        .replace("verbosity: 0", "verbosity: 2")
        .replace(
            "kind: Kube",
            "featureGates: {EndpointSlice: true}\nudpIdleTimeout: 250ms\nkind: Kube",
        );
    check_warnings(
        &text,
        &[
            "featureGates: has no effect",
            "iptables.syncPeriod: has no effect",
            "udpIdleTimeout: is no field of kube-proxy any more: it was for the userspace mode",
        ],
    );
    assert!(resolve(&text).expect("a configuration").node.strict_arp);
}

#[test]
fn defaults_in_words_are_no_reason_to_warn() {
    check_warnings(
        "bindAddress: 0.0.0.0\nhealthzBindAddress: 0.0.0.0\nmetricsBindAddress: 127.0.0.1:10249\n\
         configSyncPeriod: 15m0s\noomScoreAdj: -999\ndetectLocalMode: ClusterCIDR\n\
         conntrack: {maxPerCore: 32768, min: 131072, tcpEstablishedTimeout: 24h, tcpCloseWaitTimeout: 60m}\n\
         iptables: {localhostNodePorts: true, syncPeriod: 30s, minSyncPeriod: 1s}\n\
         clientConnection: {contentType: application/vnd.kubernetes.protobuf, qps: 5.0, burst: 10}\n",
        &[],
    );
}

#[test]
fn all_mistakes_at_once() {
    check_errors(
        "kind: KubeletConfiguration\nmode: iptables\nhostnameOverride: [a]\nnoSuch: 1\n\
         clientConnection: {kubeConfig: x}\n\
         ipvs: {scheduler: 'r r', excludeCIDRs: [10.0.0.1, 10.0.0.0/33, 1], syncPeriod: 10, minSyncPeriod: 1x, \
                strictArp: true, strictARP: 1}\n\
         nodePortAddresses: 10.0.0.0/8\nconntrack: 5\nfeatureGates: {A: 1}\ndetectLocalMode: clusterCIDR\n",
        &[
            "conntrack: must be a mapping, not 5",
            "detectLocalMode: \"clusterCIDR\" is not supported, only ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix",
            "featureGates.A: must be true or false, not 1",
            "hostnameOverride: must be text, not a list",
            "ipvs.excludeCIDRs[0]: \"10.0.0.1\" is no network such as 10.0.0.0/8",
            "ipvs.excludeCIDRs[1]: \"10.0.0.0/33\" is no network such as 10.0.0.0/8",
            "ipvs.excludeCIDRs[2]: must be text, not 1",
            "ipvs.minSyncPeriod: \"1x\" is no duration such as 30s or 1m0s, zero or above",
            "ipvs.scheduler: \"r r\" is no scheduler's name: at most 15 characters, no space",
            "ipvs.strictARP: must be true or false, not 1",
            "ipvs.syncPeriod: must be a duration such as 30s, not 10",
            "kind: \"KubeletConfiguration\" is not supported, only KubeProxyConfiguration and KubeIpvsConfiguration",
            "mode: \"iptables\" is not supported, only ipvs",
            "nodePortAddresses: must be a list, not \"10.0.0.0/8\"",
        ],
    );
    check_errors(
        "ipvs: {minSyncPeriod: 1m}",
        &["ipvs.minSyncPeriod: must not be longer than ipvs.syncPeriod"],
    );
}

#[test]
fn a_wrong_field_is_told_once() {
    check_errors(
        &ours(
            "ipvs: {scheduler: 's h', schedulerFlags: [sh-port], syncPeriod: x, minSyncPeriod: 1h}\n\
             iptables: {masqueradeBit: 99, dropBit: 14}\n\
             externalIPPolicy: AllowList\nallowedExternalCIDRs: [x]\n\
             detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 1}\n",
        ),
        &[
            "allowedExternalCIDRs[0]: \"x\" is no network such as 10.0.0.0/8",
            "detectLocal.bridgeInterface: must be text, not 1",
            "iptables.masqueradeBit: must be from 0 to 31, not 99",
            "ipvs.scheduler: \"s h\" is no scheduler's name: at most 15 characters, no space",
            "ipvs.syncPeriod: \"x\" is no duration such as 30s or 1m0s, zero or above",
        ],
    );
}

#[test]
fn version_and_kind_belong_together() {
    check_errors(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeIpvsConfiguration",
        &[
            "apiVersion: \"kubeproxy.config.k8s.io/v1alpha1\" is not supported, \
           a KubeIpvsConfiguration is of kube-ipvs.io/v1alpha1",
        ],
    );
    check_errors(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha2\nkind: KubeProxyConfiguration",
        &[
            "apiVersion: \"kubeproxy.config.k8s.io/v1alpha2\" is not supported, \
           a KubeProxyConfiguration is of kubeproxy.config.k8s.io/v1alpha1",
        ],
    );
}

#[test]
fn what_kube_proxy_passes_over_is_told_unless_it_is_to_be_strict() {
    let retired = "is no field of kube-proxy any more: ";
    let unknown = "is no field of a KubeProxyConfiguration";
    for (text, path, message) in [
        ("newField: {a: 1}", "newField", unknown),
        ("newField: null", "newField", unknown),
        ("newField: ''", "newField", unknown),
        ("newField: []", "newField", unknown),
        ("ipvs: {newField: 1}", "ipvs.newField", unknown),
        (
            "ipvs: {strictArp: true}",
            "ipvs.strictArp",
            "is no field of a KubeProxyConfiguration, is ipvs.strictARP meant?",
        ),
        ("conntrack: {max: 0}", "conntrack.max", retired),
        ("conntrack: {max: null}", "conntrack.max", retired),
        (
            "resourceContainer: /kube-proxy",
            "resourceContainer",
            retired,
        ),
        ("resourceContainer: ''", "resourceContainer", retired),
        ("udpIdleTimeout: 250ms", "udpIdleTimeout", retired),
        (
            "mode: ipvs\nmode: ipvs",
            "c.yaml:2:1",
            "a key is given twice in one mapping, the last one counts",
        ),
    ] {
        let warnings = resolve(text).expect("a configuration").warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        let ConfigWarning {
            path: at,
            message: told,
        } = &warnings[0];
        assert!(
            at == path && told.starts_with(message),
            "{text}: {warnings:?}"
        );
        let strict = NodeOverrides {
            strict: true,
            ..NodeOverrides::default()
        };
        let errors = parse("c.yaml", text).and_then(|file| file.resolve(&strict, "host"));
        let errors = errors.expect_err(text);
        assert_eq!(errors.0.len(), 1, "{errors}");
        let errors = resolve(&ours(text)).expect_err(text);
        assert_eq!(errors.0.len(), 1, "{errors}");
    }
    // What is known is checked as ever, and a field of our own kind is not passed over.
    let errors = resolve("drainTimeout: 1m\nipvs: {syncPeriod: x}").expect_err("mistakes");
    assert_eq!(errors.0.len(), 2, "{errors}");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let resolved = resolve("ipvs: {scheduler: rr, scheduler: wlc}").expect("a configuration");
    check_values(&resolved, &["ipvs.scheduler wlc (file c.yaml)"]);
}

#[test]
fn booleans_are_those_of_yaml_1_1() {
    for (word, expected) in [
        ("yes", "true"),
        ("Yes", "true"),
        ("on", "true"),
        ("TRUE", "true"),
        ("no", "false"),
        ("OFF", "false"),
        ("false", "false"),
    ] {
        let text = format!("ipvs: {{strictARP: {word}}}\nfeatureGates: {{A: {word}}}");
        let resolved = resolve(&text).expect(word);
        check_values(
            &resolved,
            &[&format!("ipvs.strictARP {expected} (file c.yaml)")],
        );
    }
    check_errors(
        "ipvs: {strictARP: perhaps}",
        &["ipvs.strictARP: must be true or false, not \"perhaps\""],
    );
    // A name stays a name.
    let resolved = resolve("hostnameOverride: on").expect("a configuration");
    check_values(&resolved, &["hostnameOverride on (file c.yaml)"]);
}

#[test]
fn durations_are_those_of_go() {
    for (text, expected) in [
        ("1m30s", "1m30s"),
        ("1.5h", "1h30m0s"),
        ("500ms", "500ms"),
        ("90s", "1m30s"),
        (".5s", "500ms"),
        ("'0'", "0s"),
        ("0s", "0s"),
        ("+2h", "2h0m0s"),
    ] {
        let resolved = resolve(&format!("ipvs: {{minSyncPeriod: {text}, syncPeriod: 3h}}"));
        let resolved = resolved.expect(text);
        check_values(
            &resolved,
            &[
                "ipvs.syncPeriod 3h0m0s (file c.yaml)",
                &format!("ipvs.minSyncPeriod {expected} (file c.yaml)"),
            ],
        );
    }
    // A number has no unit.
    for text in ["0", "5000000000", "1.5", "1d", "5", "'5'", "-5s", "s", "."] {
        let errors = resolve(&format!("ipvs: {{minSyncPeriod: {text}}}")).expect_err(text);
        assert_eq!(errors.0.len(), 1, "{errors}");
    }
}

#[test]
fn a_broken_file_has_a_place() {
    let errors = resolve("mode: ipvs\nipvs: [\n").expect_err("a mistake");
    assert!(errors.to_string().starts_with("c.yaml:2:7: "), "{errors}");
    check_errors("[]", &["c.yaml: must hold a mapping, not a list"]);
    check_errors("5", &["c.yaml: must hold a mapping, not 5"]);
}

#[test]
fn a_file_that_is_not_there() {
    let errors = load(
        Some(Path::new("/no/such")),
        &NodeOverrides::default(),
        "host",
    );
    let errors = errors.expect_err("a mistake").to_string();
    assert!(errors.starts_with("/no/such: cannot be read: "), "{errors}");
}

#[test]
fn the_nodes_name() {
    let check = |text: &str, given: Option<&str>, host: &str, expected: &str| {
        let overrides = NodeOverrides {
            node_name: given.map(ToOwned::to_owned),
            ..NodeOverrides::default()
        };
        let document = parse("c.yaml", text).expect("a file");
        let resolved = document.resolve(&overrides, host).expect("a configuration");
        check_values(&resolved, &[&format!("hostnameOverride {expected}")]);
    };
    let override_ = "other (override --hostname-override)";
    check("hostnameOverride: node1", Some(" Other"), "host", override_);
    check(
        "hostnameOverride: Node1",
        None,
        "host",
        "node1 (file c.yaml)",
    );
    check("hostnameOverride: ''", Some(""), " HOST\n", "host (host)");
    let nameless = parse("c.yaml", "").expect("a file");
    let errors = nameless
        .resolve(&NodeOverrides::default(), " ")
        .expect_err("a mistake");
    assert_eq!(
        errors.to_string(),
        "hostnameOverride: the host has no name, and none is given"
    );
}

#[test]
fn values_and_where_they_come_from() {
    let overrides = NodeOverrides {
        kubeconfig: Some("/k".into()),
        ..NodeOverrides::default()
    };
    let text = "ipvs: {scheduler: wlc, syncPeriod: 0s, strictARP: false, excludeCIDRs: [10.0.0.0/8, 'fd00::/8']}\n\
                clientConnection: {kubeconfig: /other}\n";
    let resolved = parse("c.yaml", text)
        .expect("a file")
        .resolve(&overrides, "host")
        .expect("a configuration");
    assert_eq!(resolved.kubeconfig, Some("/k".into()));
    check_values(
        &resolved,
        &[
            "clientConnection.kubeconfig /k (override --kubeconfig)",
            "ipvs.scheduler wlc (file c.yaml)",
            "ipvs.syncPeriod 30s (default)",
            "ipvs.excludeCIDRs [10.0.0.0/8, fd00::/8] (file c.yaml)",
            "ipvs.strictARP false (file c.yaml)",
            "drainTimeout 15m0s (default)",
            "udpDrainTimeout 5s (default)",
        ],
    );
}
