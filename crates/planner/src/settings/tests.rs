use std::time::Duration;

use model::snapshot::Machine;
use model::{Keepalive, NodeConfig};

use super::{is_met, sysctls};

fn check(release: &str, setting: &str, expected: Option<&str>) {
    let machine = Machine {
        kernel: release.parse().ok(),
        ..Machine::default()
    };
    let sysctls = sysctls(&NodeConfig::new("node1"), machine);
    assert_eq!(
        sysctls.get(setting).map(AsRef::as_ref),
        expected,
        "{release}"
    );
}

#[test]
fn conn_reuse_mode_follows_the_kernel_version() {
    let setting = "net.ipv4.vs.conn_reuse_mode";
    for (release, expected) in [
        ("4.0.9", None),
        ("4.1.0", Some("0")),
        ("4.19.0-27-amd64", Some("0")),
        ("5.8.18", Some("0")),
        ("5.9.0", Some("1")),
        ("6.1.176", Some("1")),
        ("unknown", None),
    ] {
        check(release, setting, expected);
    }
}

#[test]
fn strict_arp_is_set_if_configured() {
    check("6.1", "net.ipv4.conf.all.arp_ignore", None);
    let mut config = NodeConfig::new("node1");
    config.strict_arp = true;
    let set = sysctls(&config, Machine::default());
    assert_eq!(&*set["net.ipv4.conf.all.arp_ignore"], "1");
    assert_eq!(&*set["net.ipv4.conf.all.arp_announce"], "2");
}

#[test]
fn connections_to_deleted_real_servers_expire() {
    check("6.1", "net.ipv4.vs.expire_nodest_conn", Some("1"));
    check("6.1", "net.ipv4.vs.expire_quiescent_template", Some("1"));
}

/// Checks the limit of tracked connections and the size of their table.
fn check_conntrack(processors: u32, config: &NodeConfig, expected: Option<[&str; 2]>) {
    let machine = Machine {
        processors: Some(processors),
        ..Machine::default()
    };
    let sysctls = sysctls(config, machine);
    let found = ["max", "buckets"].map(|name| {
        let name = format!("net.netfilter.nf_conntrack_{name}");
        sysctls.get(name.as_str()).map(AsRef::as_ref)
    });
    assert_eq!(found, expected.map_or([None; 2], |both| both.map(Some)));
}

#[test]
fn the_conntrack_table_grows_with_the_processors() {
    let mut config = NodeConfig::new("node1");
    check_conntrack(1, &config, Some(["131072", "32768"]));
    check_conntrack(16, &config, Some(["524288", "131072"]));
    // Above a limit, only the configured minimum counts.
    for processors in [33, 128] {
        check_conntrack(processors, &config, Some(["1048576", "262144"]));
    }
    config.kernel_settings.conntrack.min = 2_000_000;
    check_conntrack(128, &config, Some(["2000000", "500000"]));
    config.kernel_settings.conntrack.max_per_core = 0;
    check_conntrack(64, &config, None);
}

#[test]
fn a_table_larger_than_needed_is_left_alone() {
    for name in ["nf_conntrack_buckets", "nf_conntrack_max"] {
        let name = format!("net.netfilter.{name}");
        assert!(is_met(&name, "2000000", "131072"));
        assert!(is_met(&name, "131072", "131072"));
        assert!(!is_met(&name, "65536", "131072"));
    }
    assert!(!is_met(
        "net.netfilter.nf_conntrack_udp_timeout",
        "60",
        "30"
    ));
}

#[test]
fn conntrack_timeouts_are_those_of_kube_proxy() {
    for (name, seconds) in [
        ("tcp_timeout_established", Some("86400")),
        ("tcp_timeout_close_wait", Some("3600")),
        ("udp_timeout", None),
        ("tcp_be_liberal", None),
    ] {
        check(
            "6.1",
            &format!("net.netfilter.nf_conntrack_{name}"),
            seconds,
        );
    }
}

#[test]
fn every_setting_is_read_from_the_kernel() {
    let mut config = NodeConfig::new("node1");
    config.strict_arp = true;
    let conntrack = &mut config.kernel_settings.conntrack;
    conntrack.tcp_be_liberal = true;
    conntrack.udp_timeout = Duration::from_secs(30);
    conntrack.udp_stream_timeout = Duration::from_secs(180);
    config.kernel_settings.sync.role = model::config::SyncMode::Master;
    let machine = Machine {
        kernel: "6.1".parse().ok(),
        processors: Some(4),
        ..Machine::default()
    };
    let settings: Vec<_> = sysctls(&config, machine).into_keys().collect();
    let settings: Vec<_> = settings.iter().map(|name| &**name).collect();
    assert_eq!(settings, model::sysctls::KNOWN);
}

/// Checks the codes of the findings for these timeouts of TCP and UDP in IPVS and in the connection
/// tracker, and this start of keepalive, in seconds.
fn check_idle(ipvs: [u64; 2], tracked: [u64; 2], keepalive: u32, expected: &[&str]) {
    let mut live = model::Snapshot::default();
    live.node.machine.keepalive = Some(Keepalive {
        time: keepalive,
        ..Keepalive::LINUX
    });
    let [tcp, udp] = ipvs.map(std::time::Duration::from_secs);
    (live.tables.timeouts.tcp, live.tables.timeouts.udp) = (tcp, udp);
    let settings = [
        (
            "net.netfilter.nf_conntrack_tcp_timeout_established",
            tracked[0],
        ),
        ("net.netfilter.nf_conntrack_udp_timeout_stream", tracked[1]),
    ];
    for (name, value) in settings {
        let value = value.to_string();
        live.tables.sysctls.insert(name.into(), value.into());
    }
    let findings = super::idle_timeouts(&live, &"node1".into());
    let codes: Vec<&str> = findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(codes, expected);
}

#[test]
fn idle_timeouts_below_the_keepalive_have_a_finding() {
    check_idle([900, 300], [86_400, 300], 7_200, &["KIV0403"]);
    check_idle([10_000, 300], [3_600, 300], 7_200, &["KIV0403"]);
    check_idle([10_000, 300], [86_400, 300], 7_200, &[]);
    check_idle([10_000, 300], [86_400, 120], 7_200, &["KIV0404"]);
}

/// Checks the unmet settings of a kernel with these values, each as `name live/wanted`.
fn check_unmet(live: &[(&str, &str)], expected: &[&str]) {
    let mut config = NodeConfig::new("node1");
    config.kernel_settings.conntrack.max_per_core = 0;
    let mut snapshot = model::Snapshot::default();
    let good = sysctls(&config, snapshot.node.machine);
    snapshot.tables.sysctls.extend(good);
    for (name, value) in live {
        let (name, value) = ((*name).into(), (*value).into());
        snapshot.tables.sysctls.insert(name, value);
    }
    snapshot
        .tables
        .sysctls
        .retain(|_, value| &**value != "gone");
    let unmet = super::unmet_settings(&snapshot, &config).into_iter();
    let found: Vec<String> = unmet
        .map(|setting| {
            let live = setting.live.as_deref().unwrap_or("-");
            format!("{} {live}/{}", setting.name, setting.wanted)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn unmet_settings_are_named() {
    check_unmet(&[], &[]);
    check_unmet(
        &[
            ("net.ipv4.vs.conntrack", "0"),
            ("net.ipv4.ip_forward", "gone"),
        ],
        &["net.ipv4.ip_forward -/1", "net.ipv4.vs.conntrack 0/1"],
    );
}

#[test]
fn only_a_master_changes_the_settings_of_the_synchronisation() {
    use model::config::SyncMode;

    for (role, is_master) in [
        (SyncMode::None, false),
        (SyncMode::Backup, false),
        (SyncMode::Master, true),
        (SyncMode::Both, true),
    ] {
        let mut config = NodeConfig::new("node1");
        config.kernel_settings.sync.role = role;
        let settings = sysctls(&config, Machine::default());
        let setting = |name: &str| settings.get(name).map(ToString::to_string);
        assert_eq!(
            setting("net.ipv4.vs.sync_threshold"),
            is_master.then(|| "0\t0".to_owned()),
            "{role:?}"
        );
        assert_eq!(
            setting("net.ipv4.vs.sync_refresh_period"),
            is_master.then(|| "10".to_owned()),
            "{role:?}"
        );
    }
}
