//! kube-proxy's flags.

use std::io::Write as _;

use super::*;

#[track_caller]
fn check_flag_errors(args: &[&str], expected: &[&str]) {
    let errors = by_flags(command_line(args)).expect_err("mistakes");
    let found: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn flags_alone() {
    let resolved = by_flags(command_line(&[
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
    ]))
    .expect("a configuration");
    check_values(
        &resolved,
        &[
            "mode ipvs (flag --proxy-mode)",
            "hostnameOverride host (host)",
            "ipvs.scheduler wrr (flag --ipvs-scheduler)",
            "ipvs.syncPeriod 10s (flag --ipvs-sync-period)",
            "ipvs.minSyncPeriod 0s (default)",
            "ipvs.excludeCIDRs [10.0.0.0/8, fd00::/8, 192.0.2.0/24] (flag --ipvs-exclude-cidrs)",
            "ipvs.strictARP true (flag --ipvs-strict-arp)",
            "iptables.masqueradeAll false (flag --masquerade-all)",
            "iptables.masqueradeBit 3 (flag --iptables-masquerade-bit)",
            "clusterCIDR 10.244.0.0/16,fd00:10:244::/56 (flag --cluster-cidr)",
            "nodePortAddresses [primary] (flag --nodeport-addresses)",
            "conntrack.maxPerCore 0 (flag --conntrack-max-per-core)",
            "clientConnection.qps 7.5 (flag --kube-api-qps)",
            "oomScoreAdj -998 (flag --oom-score-adj)",
        ],
    );
    check_lines(&resolved.warnings, &["--kube-api-qps: has no effect yet"]);
}

#[test]
fn no_flags_are_the_defaults() {
    let resolved = by_flags(command_line(&[])).expect("a configuration");
    assert_eq!(resolved.node, NodeConfig::new("host"));
    assert_eq!(resolved.warnings, []);
    let empty = by_flags(command_line(&["--cluster-cidr=", "--ipvs-scheduler="]));
    assert_eq!(
        empty.expect("a configuration").node,
        NodeConfig::new("host")
    );
}

#[test]
fn the_last_one_counts() {
    let flags = command_line(&["--ipvs-scheduler=lc", "--ipvs-scheduler=wlc"]);
    let resolved = by_flags(flags).expect("a configuration");
    check_values(&resolved, &["ipvs.scheduler wlc (flag --ipvs-scheduler)"]);
}

#[test]
fn mistakes_in_flags_name_the_flag() {
    check_flag_errors(
        &[
            "--ipvs-sync-period=0s",
            "--ipvs-tcp-timeout=-1s",
            "--masquerade-all=perhaps",
            "--iptables-masquerade-bit=x",
            "--nodeport-addresses=10.0.0.0/8,eth0",
            "--proxy-mode=iptables",
            "--bind-address=here",
            "--conntrack-min=-5",
            "--detect-local-mode=BridgeInterface",
        ],
        &[
            "--bind-address: \"here\" is no address",
            "--conntrack-min: must be 0 or more, not -5",
            "--iptables-masquerade-bit: must be a whole number, not \"x\"",
            "--ipvs-sync-period: must be above 0",
            "--ipvs-tcp-timeout: \"-1s\" is no duration such as 30s or 1m0s, zero or above",
            "--masquerade-all: must be true or false, not \"perhaps\"",
            "--nodeport-addresses: \"eth0\" is no network such as 10.0.0.0/8",
            "--pod-bridge-interface: is required while detectLocalMode is BridgeInterface",
            "--proxy-mode: \"iptables\" is not supported, only ipvs",
        ],
    );
    check_flag_errors(
        &["--ipvs-min-sync-period=1m"],
        &["--ipvs-min-sync-period: must not be longer than ipvs.syncPeriod"],
    );
}

#[test]
fn the_file_wins_over_flags() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(
        file,
        "ipvs: {{scheduler: lc}}\nhostnameOverride: node1\nlogging: {{verbosity: 6}}"
    )
    .expect("a file is written");
    let overrides = NodeOverrides {
        node_name: Some("node2".to_owned()),
        flags: command_line(&[
            "--ipvs-scheduler=wrr",
            "--masquerade-all",
            "--healthz-port=1",
            "--v=2",
            "--logging-format=json",
        ]),
        ..NodeOverrides::default()
    };
    let resolved = load(Some(file.path()), &overrides, "host").expect("a configuration");
    let name = file.path().display();
    check_values(
        &resolved,
        &[
            "hostnameOverride node2 (override --hostname-override)",
            &format!("ipvs.scheduler lc (file {name})"),
            "iptables.masqueradeAll false (default)",
            "logging.format json (override --logging-format)",
            "logging.verbosity 2 (override --v)",
        ],
    );
    check_lines(
        &resolved.warnings,
        &[
            "--healthz-port: is ignored: the configuration file decides",
            "--ipvs-scheduler: is ignored: the configuration file decides",
            "--masquerade-all: is ignored: the configuration file decides",
        ],
    );
}

#[test]
fn deprecated_ports() {
    let check = |args: &[&str], healthz: &str, warnings: &[&str]| {
        let resolved = by_flags(command_line(args)).expect("a configuration");
        let values = resolved.values();
        let shown = values
            .iter()
            .find(|value| value.path == "healthzBindAddress");
        assert_eq!(shown.expect("a value").text(), healthz, "{args:?}");
        check_lines(&resolved.warnings, warnings);
    };
    let deprecated = "--healthz-port: is deprecated, use --healthz-bind-address";
    check(&["--healthz-port=0"], "0", &[deprecated]);
    check(&["--healthz-bind-address="], "0", &[]);
    check(
        &["--healthz-bind-address=10.0.0.1", "--healthz-port=99"],
        "10.0.0.1:99",
        &[deprecated],
    );
    check(
        &["--healthz-bind-address=fd00::1", "--healthz-port=99"],
        "[fd00::1]:99",
        &[deprecated],
    );
    check(
        &["--healthz-bind-address=10.0.0.1:5", "--healthz-port=99"],
        "10.0.0.1:5",
        &[deprecated],
    );
    // As in kube-proxy, the default address has a port already.
    check(&["--healthz-port=99"], "0.0.0.0:10256", &[deprecated]);
}

#[test]
fn flags_without_meaning_here() {
    let resolved = by_flags(command_line(&[
        "--feature-gates=A=true,B=false",
        "--iptables-sync-period=1m",
        "--v=2",
        "--master=https://10.0.0.1",
    ]))
    .expect("a configuration");
    assert_eq!(resolved.node, NodeConfig::new("host"));
    check_lines(
        &resolved.warnings,
        &[
            "--feature-gates: has no effect",
            "--iptables-sync-period: has no effect",
            "--master: has no effect yet",
        ],
    );
    check_flag_errors(
        &["--v=x", "--logging-format=xml"],
        &[
            "--logging-format: \"xml\" is not supported, only text, json",
            "--v: must be a whole number, not \"x\"",
        ],
    );
    check_flag_errors(
        &["--feature-gates=A=x"],
        &["--feature-gates: must be true or false, not \"x\""],
    );
}

#[test]
fn a_negative_verbosity_is_told_and_counts_as_zero() {
    let resolved = by_flags(command_line(&["--v=-1"])).expect("a configuration");
    assert_eq!(resolved.settings.log_verbosity, 0);
    check_lines(&resolved.warnings, &["--v: is negative: 0 is used"]);
    check_flag_errors(&["--v=x"], &["--v: must be a whole number, not \"x\""]);
}
