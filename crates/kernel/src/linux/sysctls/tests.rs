use std::fs;

use tempfile::TempDir;

use super::*;
use crate::linux::testing::root;

fn settings(root: &TempDir) -> Sysctls {
    let root = root.path().to_owned();
    Sysctls { root }
}

fn read(root: &TempDir, path: &str) -> String {
    fs::read_to_string(root.path().join(path)).expect("the file exists")
}

/// Sets a setting to a value.
fn set(settings: &Sysctls, name: &str, value: &str) -> OpOutcome {
    let (name, value): (Name, Name) = (name.into(), value.into());
    let op = Op::SetSysctl(name.clone(), value.clone());
    settings.apply(&op, &name, &value)
}

#[test]
fn settings_that_exist_are_read_without_their_line_ends() {
    let root = root(&[
        ("proc/sys/net/ipv4/ip_forward", "1\n"),
        ("proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("proc/sys/net/ipv4/tcp_mem", "1 2 3\n"),
    ]);
    let mut snapshot = Snapshot::default();
    settings(&root).observe(&mut snapshot).expect("it is read");
    let settings: Vec<(&str, &str)> = (snapshot.tables.sysctls.iter())
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        settings,
        [
            ("net.ipv4.ip_forward", "1"),
            ("net.netfilter.nf_conntrack_max", "262144")
        ]
    );
}

#[test]
fn the_machine_has_a_kernel_processors_and_a_keepalive() {
    let root = root(&[
        ("proc/sys/net/ipv4/tcp_keepalive_time", "600\n"),
        ("proc/sys/net/ipv4/tcp_keepalive_intvl", "30\n"),
        ("proc/sys/net/ipv4/tcp_keepalive_probes", "5\n"),
        ("proc/sys/kernel/osrelease", "6.1.0-42-cloud-amd64\n"),
        ("sys/devices/system/cpu/online", "0-3,6,8-9\n"),
    ]);
    let machine = settings(&root).machine();
    assert_eq!(machine.processors, Some(7));
    let kernel = machine.kernel.expect("it is known");
    assert_eq!((kernel.major, kernel.minor), (6, 1));
    let keepalive = Keepalive {
        time: 600,
        interval: 30,
        probes: 5,
    };
    assert_eq!(machine.keepalive, Some(keepalive));
}

#[test]
fn processors_are_counted() {
    for (ranges, wanted) in [
        ("0", Some(1)),
        ("0-63", Some(64)),
        ("", None),
        ("3-1", None),
        ("0-", None),
    ] {
        assert_eq!(count(ranges), wanted, "{ranges}");
    }
}

#[test]
fn only_the_file_of_the_setting_is_written() {
    let root = root(&[
        ("proc/sys/net/ipv4/ip_forward", "0\n"),
        ("sys/module/nf_conntrack/parameters/hashsize", "5\n"),
        ("proc/sys/net/netfilter/nf_conntrack_buckets", "5\n"),
    ]);
    let settings = settings(&root);
    assert_eq!(set(&settings, "net.ipv4.ip_forward", "1"), Ok(()));
    assert_eq!(set(&settings, BUCKETS, "7"), Ok(()));
    assert_eq!(read(&root, "proc/sys/net/ipv4/ip_forward"), "1\n");
    assert_eq!(
        read(&root, "proc/sys/net/netfilter/nf_conntrack_buckets"),
        "7\n"
    );
    assert_eq!(
        read(&root, "sys/module/nf_conntrack/parameters/hashsize"),
        "5\n"
    );
}

#[test]
fn names_with_other_paths_are_rejected() {
    let root = root(&[("etc/hosts", "x"), ("proc/sys/a", "x")]);
    for name in ["", ".", "...etc.hosts", "../etc.hosts", "a.", "a b"] {
        let error = set(&settings(&root), name, "y").expect_err(name);
        assert_eq!(error.kind(), &OpErrorKind::NoSuchSetting, "{name}");
    }
    assert_eq!(read(&root, "etc/hosts"), "x");
}

#[test]
fn a_setting_that_is_missing_names_its_module() {
    let root = root(&[("proc/sys/net/ipv4/ip_forward", "0\n")]);
    for (name, module) in [
        ("net.ipv4.vs.conntrack", "ip_vs"),
        ("net.netfilter.nf_conntrack_max", "nf_conntrack"),
    ] {
        let error = set(&settings(&root), name, "1").expect_err(name);
        assert_eq!(error.kind(), &OpErrorKind::NoSuchSetting);
        assert_eq!(error.to_string(), format!("failed to set {name} = 1"));
        let cause = std::error::Error::source(&error)
            .expect("the error has a cause")
            .to_string();
        assert!(
            cause.contains(&format!("load the module {module}")),
            "{cause}"
        );
    }
}
