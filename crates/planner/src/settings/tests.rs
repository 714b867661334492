use model::NodeConfig;

use super::sysctls;

fn check(release: &str, setting: &str, expected: Option<&str>) {
    let kernel = release.parse().ok();
    let sysctls = sysctls(&NodeConfig::new("node1"), kernel);
    assert_eq!(
        sysctls.get(setting).map(AsRef::as_ref),
        expected,
        "{release}"
    );
}

#[test]
fn connections_are_reused_as_the_kernel_does_it_well() {
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
fn strict_arp_is_set_where_it_is_asked_for() {
    check("6.1", "net.ipv4.conf.all.arp_ignore", None);
    let mut config = NodeConfig::new("node1");
    config.strict_arp = true;
    let set = sysctls(&config, None);
    assert_eq!(&*set["net.ipv4.conf.all.arp_ignore"], "1");
    assert_eq!(&*set["net.ipv4.conf.all.arp_announce"], "2");
}

#[test]
fn connections_to_real_servers_that_are_gone_expire() {
    check("6.1", "net.ipv4.vs.expire_nodest_conn", Some("1"));
    check("6.1", "net.ipv4.vs.expire_quiescent_template", Some("1"));
}
