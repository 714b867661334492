//! Files as a whole: kube-proxy's own, mistakes, precedence.

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
    let resolved = resolved(KUBEADM);
    let networks = vec!["10.244.0.0/16".parse().expect("a network")];
    let expected = NodeConfig {
        detect_local: model::config::DetectLocal::ClusterCidr(networks),
        ..NodeConfig::new("host")
    };
    assert_eq!(resolved.node, expected);
    assert_eq!(resolved.settings, DaemonSettings::default());
    assert_eq!(
        resolved.kubeconfig,
        Some("/var/lib/kube-proxy/kubeconfig.conf".into())
    );
    assert_eq!(resolved.warnings, []);
}

#[test]
fn the_config_map_of_kubeadm_as_operators_change_it() {
    let text = [
        ("mode: \"\"", "mode: ipvs"),
        ("strictARP: false", "strictARP: true"),
        (
            "metricsBindAddress: \"\"",
            "metricsBindAddress: 0.0.0.0:10249",
        ),
        ("maxPerCore: null", "maxPerCore: 65536"),
        ("tcpTimeout: 0s", "tcpTimeout: 2h"),
        ("localhostNodePorts: null", "localhostNodePorts: false"),
        ("syncPeriod: 0s\nipvs", "syncPeriod: 1m0s\nipvs"),
        ("verbosity: 0", "verbosity: 2"),
        (
            "kind: Kube",
            "featureGates: {EndpointSlice: true}\nudpIdleTimeout: 250ms\nkind: Kube",
        ),
    ];
    let text = (text.iter()).fold(KUBEADM.to_owned(), |text, (from, to)| {
        text.replace(from, to)
    });
    check(
        &text,
        &[
            "warning: featureGates: has no effect",
            "warning: iptables.syncPeriod: has no effect",
            "warning: udpIdleTimeout: is no field of kube-proxy any more: it was for the userspace mode",
            "ipvs.strictARP = true",
        ],
    );
}

#[test]
fn defaults_in_words_cause_no_warning() {
    check(
        "bindAddress: 0.0.0.0\nhealthzBindAddress: 0.0.0.0\nmetricsBindAddress: 127.0.0.1:10249\n\
         configSyncPeriod: 15m0s\noomScoreAdj: -999\ndetectLocalMode: ClusterCIDR\n\
         conntrack: {maxPerCore: 32768, min: 131072, tcpEstablishedTimeout: 24h, tcpCloseWaitTimeout: 60m}\n\
         iptables: {localhostNodePorts: true, syncPeriod: 30s, minSyncPeriod: 1s}\n\
         clientConnection: {contentType: application/vnd.kubernetes.protobuf, qps: 5.0, burst: 10}\n",
        &[],
    );
}

#[test]
fn all_mistakes_are_reported() {
    check(
        "kind: KubeletConfiguration\nmode: iptables\nhostnameOverride: [a]\nnoSuch: 1\n\
         clientConnection: {kubeConfig: x}\n\
         ipvs: {scheduler: 'r r', excludeCIDRs: [10.0.0.1, 10.0.0.0/33, 1], syncPeriod: 10, minSyncPeriod: 1x, \
                strictArp: true, strictARP: 1}\n\
         nodePortAddresses: 10.0.0.0/8\nconntrack: 5\nfeatureGates: {A: 1}\ndetectLocalMode: clusterCIDR\n",
        &[
            "error: conntrack: must be a mapping, not 5",
            "error: detectLocalMode: \"clusterCIDR\" is not supported, only ClusterCIDR, NodeCIDR, BridgeInterface, \
             InterfaceNamePrefix",
            "error: featureGates.A: must be true or false, not 1",
            "error: hostnameOverride: must be text, not a list",
            "error: ipvs.excludeCIDRs[0]: \"10.0.0.1\" is no network such as 10.0.0.0/8",
            "error: ipvs.excludeCIDRs[1]: \"10.0.0.0/33\" is no network such as 10.0.0.0/8",
            "error: ipvs.excludeCIDRs[2]: must be text, not 1",
            "error: ipvs.minSyncPeriod: \"1x\" is no duration such as 30s or 1m0s, zero or above",
            "error: ipvs.scheduler: \"r r\" is no scheduler's name: at most 15 characters, no space",
            "error: ipvs.strictARP: must be true or false, not 1",
            "error: ipvs.syncPeriod: must be a duration such as 30s, not 10",
            "error: kind: \"KubeletConfiguration\" is not supported, only KubeProxyConfiguration and KubeIpvsConfiguration",
            "error: mode: \"iptables\" is not supported, only ipvs",
            "error: nodePortAddresses: must be a list, not \"10.0.0.0/8\"",
        ],
    );
    check(
        "ipvs: {minSyncPeriod: 1m}",
        &["error: ipvs.minSyncPeriod: must not be longer than ipvs.syncPeriod"],
    );
}

#[test]
fn a_wrong_field_is_reported_once() {
    check_ours(
        "ipvs: {scheduler: 's h', schedulerFlags: [sh-port], syncPeriod: x, minSyncPeriod: 1h}\n\
         iptables: {masqueradeBit: 99, dropBit: 14}\n\
         externalIPPolicy: AllowList\nallowedExternalCIDRs: [x]\n\
         detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 1}\n",
        &[
            "error: allowedExternalCIDRs[0]: \"x\" is no network such as 10.0.0.0/8",
            "error: detectLocal.bridgeInterface: must be text, not 1",
            "error: iptables.masqueradeBit: must be from 0 to 31, not 99",
            "error: ipvs.scheduler: \"s h\" is no scheduler's name: at most 15 characters, no space",
            "error: ipvs.syncPeriod: \"x\" is no duration such as 30s or 1m0s, zero or above",
        ],
    );
}

#[test]
fn version_and_kind_belong_together() {
    for (version, kind, its_version) in [
        (
            "kubeproxy.config.k8s.io/v1alpha1",
            "KubeIpvsConfiguration",
            "kube-ipvs.io/v1alpha1",
        ),
        (
            "kubeproxy.config.k8s.io/v1alpha2",
            "KubeProxyConfiguration",
            "kubeproxy.config.k8s.io/v1alpha1",
        ),
    ] {
        let what = format!("is not supported, a {kind} is of {its_version}");
        check(
            &format!("apiVersion: {version}\nkind: {kind}"),
            &[&format!("error: apiVersion: {version:?} {what}")],
        );
    }
}

#[test]
fn unknown_fields_are_warnings_in_the_file_of_kube_proxy() {
    let retired = "is no field of kube-proxy any more: ";
    let unknown = "is no field of a KubeProxyConfiguration";
    let nearly = "is no field of a KubeProxyConfiguration, is ipvs.strictARP meant?";
    let twice = "a key is given twice in one mapping, the last one counts";
    for (text, start) in [
        ("newField: {a: 1}", format!("newField: {unknown}")),
        ("newField: null", format!("newField: {unknown}")),
        ("newField: ''", format!("newField: {unknown}")),
        ("newField: []", format!("newField: {unknown}")),
        ("ipvs: {newField: 1}", format!("ipvs.newField: {unknown}")),
        (
            "ipvs: {strictArp: true}",
            format!("ipvs.strictArp: {nearly}"),
        ),
        ("conntrack: {max: 0}", format!("conntrack.max: {retired}")),
        (
            "conntrack: {max: null}",
            format!("conntrack.max: {retired}"),
        ),
        (
            "resourceContainer: /kube-proxy",
            format!("resourceContainer: {retired}"),
        ),
        (
            "resourceContainer: ''",
            format!("resourceContainer: {retired}"),
        ),
        (
            "udpIdleTimeout: 250ms",
            format!("udpIdleTimeout: {retired}"),
        ),
        ("mode: ipvs\nmode: ipvs", format!("c.yaml:2:1: {twice}")),
    ] {
        let found = lines(resolve(text), &[]);
        let is_it = found.len() == 1 && found[0].starts_with(&format!("warning: {start}"));
        assert!(is_it, "{text}: {found:?}");
        let strict = NodeOverrides {
            strict: true,
            ..NodeOverrides::default()
        };
        let strictly = parse("c.yaml", text).and_then(|file| file.resolve(&strict, "host"));
        for found in [strictly, resolve(&ours(text))] {
            let found = found.expect_err(text).0;
            assert_eq!(found.len(), 1, "{text}: {found:?}");
        }
    }
    // Known fields are checked as ever, and fields of our own kind are errors.
    let errors = resolve("drainTimeout: 1m\nipvs: {syncPeriod: x}").expect_err("mistakes");
    assert_eq!(errors.0.len(), 2, "{errors}");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let twice = "a key is given twice in one mapping, the last one counts";
    check(
        "ipvs: {scheduler: rr, scheduler: wlc}",
        &[
            &format!("warning: c.yaml:1:23: {twice}"),
            "ipvs.scheduler = wlc (file c.yaml)",
        ],
    );
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
        let text = format!(
            "ipvs: {{strictARP: {word}}}\nfeatureGates: {{AllowServiceExternalIPs: {word}}}"
        );
        let policy = if expected == "true" { "Allow" } else { "Deny" };
        check(
            &text,
            &[
                &format!("ipvs.strictARP = {expected} (file c.yaml)"),
                &format!("externalIPPolicy = {policy}"),
            ],
        );
    }
    check(
        "ipvs: {strictARP: perhaps}",
        &["error: ipvs.strictARP: must be true or false, not \"perhaps\""],
    );
    // A name stays a name.
    check(
        "hostnameOverride: on",
        &["hostnameOverride = on (file c.yaml)"],
    );
}

#[test]
fn durations_are_those_of_go() {
    for (text, expected) in [
        ("1m30s", "1m30s"),
        ("500ms", "500ms"),
        ("90s", "1m30s"),
        (".5s", "500ms"),
        ("'0'", "0s"),
        ("+2h", "2h0m0s"),
    ] {
        check(
            &format!("ipvs: {{minSyncPeriod: {text}, syncPeriod: 3h}}"),
            &[
                "ipvs.syncPeriod = 3h0m0s (file c.yaml)",
                &format!("ipvs.minSyncPeriod = {expected} (file c.yaml)"),
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
    check("[]", &["error: c.yaml: must hold a mapping, not a list"]);
    check("5", &["error: c.yaml: must hold a mapping, not 5"]);
}

#[test]
fn an_unreadable_file() {
    let overrides = NodeOverrides::default();
    let errors = load(Some(Path::new("/no/such")), &overrides, "host").expect_err("a mistake");
    let errors = errors.to_string();
    assert!(errors.starts_with("/no/such: cannot be read: "), "{errors}");
}

#[test]
fn precedence_of_the_nodes_name() {
    for (text, given, host, expected) in [
        (
            "hostnameOverride: node1",
            Some(" Other"),
            "host",
            "hostnameOverride = other (override --hostname-override)",
        ),
        (
            "hostnameOverride: Node1",
            None,
            "host",
            "hostnameOverride = node1 (file c.yaml)",
        ),
        (
            "hostnameOverride: ''",
            Some(""),
            " HOST\n",
            "hostnameOverride = host (host)",
        ),
        (
            "hostnameOverride: ' '",
            None,
            "host",
            "hostnameOverride = host (host)",
        ),
        (
            "",
            None,
            " ",
            "error: hostnameOverride: the host has no name, and none is given",
        ),
    ] {
        let overrides = NodeOverrides {
            node_name: given.map(ToOwned::to_owned),
            ..NodeOverrides::default()
        };
        let document = parse("c.yaml", text).expect("a file");
        let found = lines(document.resolve(&overrides, host), &[expected]);
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn origins_of_values() {
    let overrides = NodeOverrides {
        kubeconfig: Some("/k".into()),
        ..NodeOverrides::default()
    };
    let text = "ipvs: {scheduler: wlc, syncPeriod: 0s, strictARP: false, excludeCIDRs: [10.0.0.0/8, 'fd00::/8']}\n\
                clientConnection: {kubeconfig: /other}\n";
    let document = parse("c.yaml", text).expect("a file");
    let resolved = document.resolve(&overrides, "host");
    let expected = [
        "clientConnection.kubeconfig = /k (override --kubeconfig)",
        "ipvs.scheduler = wlc (file c.yaml)",
        "ipvs.syncPeriod = 30s (default)",
        "ipvs.excludeCIDRs = [10.0.0.0/8, fd00::/8] (file c.yaml)",
        "ipvs.strictARP = false (file c.yaml)",
        "drainTimeout = 15m0s (default)",
    ];
    assert_eq!(lines(resolved, &expected), expected);
}
