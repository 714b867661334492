use std::fs;
use std::path::PathBuf;

use model::missing_family::FamilyGap;

use super::Families;

/// A root directory with these files below `/proc`.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("families-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join("proc").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, text).expect("it is written");
        }
        Self(root)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const DEV: (&str, &str) = ("net/dev", "");
const INET6: (&str, &str) = ("net/if_inet6", "");

fn check(name: &str, files: &[(&str, &str)], expected: Option<&FamilyGap>) {
    let root = Root::new(name, files);
    let families = Families {
        root: root.0.clone(),
    };
    assert_eq!(families.ipv6_gap().as_ref(), expected, "{name}");
}

fn setting(place: &str) -> String {
    format!("sys/net/ipv6/conf/{place}/disable_ipv6")
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
