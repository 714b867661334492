use model::missing_family::FamilyGap;

use super::Families;
use crate::linux::testing::root;

const DEV: (&str, &str) = ("proc/net/dev", "");
const INET6: (&str, &str) = ("proc/net/if_inet6", "");

fn check(name: &str, files: &[(&str, &str)], expected: Option<&FamilyGap>) {
    let root = root(files);
    let families = Families {
        root: root.path().to_owned(),
    };
    assert_eq!(families.ipv6_gap().as_ref(), expected, "{name}");
}

fn setting(place: &str) -> String {
    format!("proc/sys/net/ipv6/conf/{place}/disable_ipv6")
}

#[test]
fn ipv6_is_available_unless_a_file_is_missing() {
    check("nothing-is-known", &[], None);
    check("enabled", &[DEV, INET6, (&setting("all"), "0\n")], None);
    check("no-sockets", &[DEV], Some(&FamilyGap::NoSockets));
}

#[test]
fn a_setting_disables_ipv6_for_all_or_for_the_dummy_device() {
    let disabled =
        |place: &str| FamilyGap::Disabled(format!("net.ipv6.conf.{place}.disable_ipv6").into());
    let [all, default, device] = ["all", "default", "kube-ipvs0"].map(setting);
    let (on, off) = ("1\n", "0\n");
    check(
        "all",
        &[DEV, INET6, (&all, on), (&default, off)],
        Some(&disabled("all")),
    );
    check(
        "default",
        &[DEV, INET6, (&all, off), (&default, on)],
        Some(&disabled("default")),
    );
    // The device keeps the setting that it copied when it was created.
    check(
        "device-on",
        &[DEV, INET6, (&default, on), (&device, off)],
        None,
    );
    check(
        "device-off",
        &[DEV, INET6, (&default, off), (&device, on)],
        Some(&disabled("kube-ipvs0")),
    );
}
