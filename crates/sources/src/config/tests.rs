use std::time::Duration;

use super::*;

fn resolve(text: &str) -> Result<Resolved, ConfigErrors> {
    parse("c.yaml", text)?.resolve(&NodeOverrides::default(), "Host ")
}

fn check_errors(text: &str, expected: &[&str]) {
    let errors = resolve(text).expect_err("mistakes");
    let found: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

fn check_warnings(text: &str, expected: &[&str]) {
    let resolved = resolve(text).expect("a configuration");
    let found: Vec<_> = resolved.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn nothing_given_is_kube_proxys_default() {
    let resolved = resolve("{}").expect("a configuration");
    assert_eq!(resolved.node, NodeConfig::new("host"));
    assert_eq!((resolved.kubeconfig, resolved.warnings), (None, vec![]));
}

#[test]
fn fields_that_act() {
    let resolved = resolve(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n\
         hostnameOverride: ' Node1 '\nclientConnection: {kubeconfig: /etc/k.conf, contentType: application/json}\n\
         ipvs: {scheduler: wrr, syncPeriod: 1m30s, minSyncPeriod: 2s, excludeCIDRs: [10.99.1.0/16, 'fd00::/8']}\n",
    )
    .expect("a configuration");
    let mut expected = NodeConfig::new("node1");
    expected.scheduler = ipvs::Scheduler("wrr".into());
    expected.sync_period = Duration::from_secs(90);
    expected.min_sync_period = Duration::from_secs(2);
    expected.exclude_cidrs = vec![
        "10.99.0.0/16".parse().expect("a network"),
        "fd00::/8".parse().expect("a network"),
    ];
    assert_eq!(resolved.node, expected);
    assert_eq!(resolved.kubeconfig, Some("/etc/k.conf".into()));
    assert_eq!(resolved.warnings, []);
}

#[test]
fn the_command_line_wins() {
    let overrides = NodeOverrides {
        node_name: Some("Other".to_owned()),
    };
    let file = parse("c.yaml", "hostnameOverride: node1").expect("a file");
    let resolved = file.resolve(&overrides, "host").expect("a configuration");
    assert_eq!(&*resolved.node.node_name, "other");
}

#[test]
fn zero_means_the_default_period() {
    let resolved = resolve("ipvs: {syncPeriod: 0s, minSyncPeriod: 0s, scheduler: ''}");
    assert_eq!(
        resolved.expect("a configuration").node,
        NodeConfig::new("host")
    );
}

#[test]
fn all_mistakes_at_once() {
    check_errors(
        "kind: KubeletConfiguration\nmode: iptables\nhostnameOverride: [a]\nnoSuch: 1\n\
         clientConnection: {kubeConfig: x}\n\
         ipvs: {scheduler: 'r r', excludeCIDRs: [10.0.0.1, 10.0.0.0/33], syncPeriod: 10, minSyncPeriod: 1x, strictArp: true}\n\
         conntrack: 5\nfeatureGates: {A: 1}\n",
        &[
            "kind: \"KubeletConfiguration\" is not supported, only KubeProxyConfiguration",
            "mode: \"iptables\" is not supported, only ipvs",
            "hostnameOverride: invalid type: sequence, expected a string",
            "clientConnection.kubeConfig: is no field of a KubeProxyConfiguration",
            "ipvs.scheduler: \"r r\" is no scheduler's name: at most 15 characters, no space",
            "ipvs.excludeCIDRs[0]: \"10.0.0.1\" is no network such as 10.0.0.0/8",
            "ipvs.excludeCIDRs[1]: \"10.0.0.0/33\" is no network such as 10.0.0.0/8",
            "ipvs.syncPeriod: invalid type: integer `10`, expected a string",
            "ipvs.minSyncPeriod: \"1x\" is no duration such as 30s or 1m0s, zero or above",
            "ipvs.strictArp: is no field of a KubeProxyConfiguration",
            "conntrack: invalid type: integer `5`, expected struct Conntrack",
            "featureGates.A: invalid type: integer `1`, expected a boolean",
            "noSuch: is no field of a KubeProxyConfiguration",
        ],
    );
    check_errors(
        "ipvs: {minSyncPeriod: 1m}",
        &["ipvs.minSyncPeriod: must not be longer than ipvs.syncPeriod"],
    );
    check_errors(
        "ipvs: {excludeCIDRs: [1]}",
        &["ipvs.excludeCIDRs[0]: invalid type: integer `1`, expected a string"],
    );
}

#[test]
fn a_broken_file_has_a_place() {
    let errors = resolve("mode: ipvs\nipvs: [\n").expect_err("a mistake");
    assert!(errors.to_string().starts_with("c.yaml:2:7: "), "{errors}");
    check_errors(
        "a: 1\n---\nb: 1\n",
        &["c.yaml: one document is wanted, not 2"],
    );
    let errors = resolve("[]").expect_err("a mistake");
    assert!(errors.to_string().starts_with("c.yaml: "), "{errors}");
}

#[test]
fn what_has_no_effect_is_said() {
    check_warnings(
        "bindAddress: 0.0.0.0\nclusterCIDR: 10.244.0.0/16\nhealthzBindAddress: 0.0.0.0:10256\n\
         detectLocalMode: NodeCIDR\ndetectLocal: {bridgeInterface: '', interfaceNamePrefix: veth}\n\
         iptables: {masqueradeAll: true, masqueradeBit: 14, syncPeriod: 0s}\noomScoreAdj: -999\n\
         conntrack: {maxPerCore: 0, min: 131072, tcpEstablishedTimeout: 24h0m0s, tcpCloseWaitTimeout: 5m}\n\
         ipvs: {strictARP: true, tcpTimeout: 1200s, udpTimeout: 0s, scheduler: magic}\n\
         logging: {flushFrequency: 0, options: {json: {infoBufferSize: '0'}}, verbosity: 4}\n\
         winkernel: {enableDSR: false, networkName: ''}\nnodePortAddresses: [10.0.0.0/8]\nfeatureGates: {A: true}\n",
        &[
            "ipvs.scheduler: magic is no scheduler of Linux that is known here; the kernel decides",
            "ipvs.strictARP: has no effect yet",
            "ipvs.tcpTimeout: has no effect yet",
            "clusterCIDR: has no effect yet",
            "detectLocalMode: has no effect yet",
            "detectLocal.interfaceNamePrefix: has no effect yet",
            "iptables.masqueradeAll: has no effect yet",
            "nodePortAddresses: has no effect yet",
            "conntrack.tcpCloseWaitTimeout: has no effect yet",
            "featureGates: has no effect yet",
            "logging: has no effect",
        ],
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
