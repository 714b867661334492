//! kube-proxy's flags.

use std::io::Write as _;

use super::*;

#[test]
fn flags_alone() {
    check_flags(
        &[
            "--proxy-mode=ipvs",
            "--ipvs-scheduler",
            "wrr",
            "--ipvs-strict-arp",
            "--masquerade-all=false",
            "--ipvs-exclude-cidrs=10.0.0.0/8,fd00::/8",
            "--ipvs-exclude-cidrs=192.0.2.0/24",
            "--nodeport-addresses=primary",
            "--iptables-masquerade-bit=3",
            "--oom-score-adj",
            "-998",
            "--kube-api-qps=7.5",
            "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56",
            "--ipvs-sync-period=10s",
            "--conntrack-max-per-core=0",
        ],
        &[
            "warning: --kube-api-qps: has no effect yet",
            "mode = ipvs (flag --proxy-mode)",
            "hostnameOverride = host (host)",
            "ipvs.scheduler = wrr (flag --ipvs-scheduler)",
            "ipvs.syncPeriod = 10s (flag --ipvs-sync-period)",
            "ipvs.minSyncPeriod = 0s (default)",
            "ipvs.excludeCIDRs = [10.0.0.0/8, fd00::/8, 192.0.2.0/24] (flag --ipvs-exclude-cidrs)",
            "ipvs.strictARP = true (flag --ipvs-strict-arp)",
            "iptables.masqueradeAll = false (flag --masquerade-all)",
            "iptables.masqueradeBit = 3 (flag --iptables-masquerade-bit)",
            "clusterCIDR = 10.244.0.0/16,fd00:10:244::/56 (flag --cluster-cidr)",
            "nodePortAddresses = [primary] (flag --nodeport-addresses)",
            "conntrack.maxPerCore = 0 (flag --conntrack-max-per-core)",
            "clientConnection.qps = 7.5 (flag --kube-api-qps)",
            "oomScoreAdj = -998 (flag --oom-score-adj)",
        ],
    );
}

#[test]
fn empty_flags_are_the_defaults() {
    for args in [&[][..], &["--cluster-cidr=", "--ipvs-scheduler="]] {
        let resolved = by_flags(args).expect("a configuration");
        assert_eq!(resolved.node, NodeConfig::new("host"));
        assert_eq!(resolved.warnings, []);
    }
}

#[test]
fn the_last_value_counts() {
    check_flags(
        &["--ipvs-scheduler=lc", "--ipvs-scheduler=wlc"],
        &["ipvs.scheduler = wlc (flag --ipvs-scheduler)"],
    );
}

#[test]
fn the_tcp_timeout_is_a_duration_or_a_word() {
    for value in ["matchKeepalive", "2h0m0s"] {
        check_flags(
            &[&format!("--ipvs-tcp-timeout={value}")],
            &[&format!(
                "ipvs.tcpTimeout = {value} (flag --ipvs-tcp-timeout)"
            )],
        );
    }
}

#[test]
fn mistakes_in_flags_name_the_flag() {
    for (arg, error) in [
        ("--bind-address=here", "\"here\" is no address"),
        ("--conntrack-min=-5", "must be 0 or more, not -5"),
        ("--feature-gates=A=x", "must be true or false, not \"x\""),
        (
            "--iptables-masquerade-bit=x",
            "must be a whole number, not \"x\"",
        ),
        (
            "--ipvs-min-sync-period=1m",
            "must not be longer than ipvs.syncPeriod",
        ),
        ("--ipvs-sync-period=0s", "must be above 0"),
        (
            "--ipvs-tcp-timeout=-1s",
            "\"-1s\" is neither matchKeepalive nor a duration such as 30s, zero or above",
        ),
        (
            "--logging-format=xml",
            "\"xml\" is not supported, only text, json",
        ),
        (
            "--masquerade-all=perhaps",
            "must be true or false, not \"perhaps\"",
        ),
        ("--masquerade-all=yes", "must be true or false, not \"yes\""),
        (
            "--nodeport-addresses=10.0.0.0/8,eth0",
            "\"eth0\" is no network such as 10.0.0.0/8",
        ),
        (
            "--proxy-mode=iptables",
            "\"iptables\" is not supported, only ipvs",
        ),
        ("--v=x", "must be a whole number, not \"x\""),
    ] {
        let flag = arg.split('=').next().unwrap_or_default();
        check_flags(&[arg], &[&format!("error: {flag}: {error}")]);
    }
    check_flags(
        &[
            "--proxy-mode=iptables",
            "--detect-local-mode=BridgeInterface",
        ],
        &[
            "error: --pod-bridge-interface: is required while detectLocalMode is BridgeInterface",
            "error: --proxy-mode: \"iptables\" is not supported, only ipvs",
        ],
    );
}

/// Resolves a file beside flags.
fn beside_a_file(args: &[&str], expected: &[&str]) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let text = "ipvs: {scheduler: lc}\nhostnameOverride: node1\nlogging: {verbosity: 6}";
    write!(file, "{text}").expect("a file is written");
    let overrides = NodeOverrides {
        node_name: Some("node2".to_owned()),
        flags: command_line(args),
        ..NodeOverrides::default()
    };
    let found = lines(load(Some(file.path()), &overrides, "host"), expected);
    let name = file.path().display().to_string();
    found
        .iter()
        .map(|line| line.replace(&name, "c.yaml"))
        .collect()
}

#[test]
fn the_file_wins_over_flags() {
    let expected = [
        "warning: --healthz-port: is ignored: the configuration file decides",
        "warning: --ipvs-scheduler: is ignored: the configuration file decides",
        "warning: --masquerade-all: is ignored: the configuration file decides",
        "hostnameOverride = node2 (override --hostname-override)",
        "ipvs.scheduler = lc (file c.yaml)",
        "iptables.masqueradeAll = false (default)",
        "logging.format = json (override --logging-format)",
        "logging.verbosity = 2 (override --v)",
    ];
    let args = [
        "--ipvs-scheduler=wrr",
        "--masquerade-all",
        "--healthz-port=1",
        "--v=2",
        "--logging-format=json",
    ];
    assert_eq!(beside_a_file(&args, &expected), expected);
    let expected = ["error: --v: must be a whole number, not \"x\""];
    assert_eq!(beside_a_file(&["--v=x"], &expected), expected);
}

#[test]
fn address_of_metrics_wins_over_the_file() {
    let expected = [
        "warning: --metrics-port: is ignored: the configuration file decides",
        "metricsBindAddress = 0.0.0.0:10249 (override --metrics-bind-address)",
    ];
    let args = ["--metrics-bind-address=0.0.0.0", "--metrics-port=0"];
    assert_eq!(beside_a_file(&args, &expected), expected);
    let expected = [
        "warning: --metrics-port: is ignored: the configuration file decides",
        "metricsBindAddress = 127.0.0.1:10249 (default)",
    ];
    assert_eq!(beside_a_file(&["--metrics-port=0"], &expected), expected);
    let expected =
        ["error: --metrics-bind-address: \"x\" is no address with a port such as 0.0.0.0:10249"];
    assert_eq!(
        beside_a_file(&["--metrics-bind-address=x"], &expected),
        expected
    );
}

#[test]
fn deprecated_ports() {
    let deprecated = "warning: --healthz-port: is deprecated, use --healthz-bind-address";
    for (args, healthz) in [
        (&["--healthz-port=0"][..], "0"),
        (
            &["--healthz-bind-address=10.0.0.1", "--healthz-port=99"],
            "10.0.0.1:99",
        ),
        (
            &["--healthz-bind-address=fd00::1", "--healthz-port=99"],
            "[fd00::1]:99",
        ),
        (
            &["--healthz-bind-address=10.0.0.1:5", "--healthz-port=99"],
            "10.0.0.1:5",
        ),
        // As in kube-proxy, the default address has a port already.
        (&["--healthz-port=99"], "0.0.0.0:10256"),
    ] {
        check_flags(
            args,
            &[deprecated, &format!("healthzBindAddress = {healthz}")],
        );
    }
    check_flags(&["--healthz-bind-address="], &["healthzBindAddress = 0"]);
}

#[test]
fn flags_without_meaning_here() {
    let args = [
        "--feature-gates=A=true,B=false",
        "--iptables-sync-period=1m",
        "--v=2",
        "--master=https://10.0.0.1",
    ];
    check_flags(
        &args,
        &[
            "warning: --feature-gates: has no effect",
            "warning: --iptables-sync-period: has no effect",
            "warning: --master: has no effect yet",
        ],
    );
    let resolved = by_flags(&args).expect("a configuration");
    assert_eq!(resolved.node, NodeConfig::new("host"));
}

#[test]
fn a_negative_verbosity_is_zero() {
    check_flags(
        &["--v=-1"],
        &[
            "warning: --v: is negative: 0 is used",
            "logging.verbosity = 0 (flag --v)",
        ],
    );
}
