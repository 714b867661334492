//! Kernel settings of a real `/proc/sys`.

mod vm;

use std::error::Error as _;
use std::io;
use std::sync::{Mutex, PoisonError};

use kernel::{Kernel as _, LinuxKernel, OpErrorKind};
use model::sysctls::KNOWN;
use model::{Keepalive, Op, Scope, Snapshot};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use support::namespace::{UnshareFlags, in_namespace, unshare};

use vm::{do_all, open, stage};

/// Held by tests that change settings that all namespaces share.
static SHARED: Mutex<()> = Mutex::new(());

fn set(name: &str, value: &str) -> Op {
    Op::SetSysctl(name.into(), value.into())
}

fn read(kernel: &mut LinuxKernel) -> Snapshot {
    let scope = Scope {
        settings: true,
        ..Scope::NOTHING
    };
    kernel.observe(&scope).expect("the settings are read")
}

fn value(kernel: &mut LinuxKernel, name: &str) -> String {
    let settings = read(kernel).tables.sysctls;
    let value = settings.get(name);
    value
        .unwrap_or_else(|| panic!("setting {name} is missing"))
        .to_string()
}

fn failure(kernel: &mut LinuxKernel, name: &str, value: &str) -> (OpErrorKind, String, String) {
    let outcome = kernel.apply(&stage([set(name, value)])).remove(0);
    let error = outcome.expect_err("it is refused");
    let cause = error.source().expect("the error has a cause").to_string();
    (error.kind().clone(), error.to_string(), cause)
}

#[test]
fn every_known_setting_is_read() {
    in_namespace(|| {
        let settings = read(&mut open()).tables.sysctls;
        let names: Vec<&str> = settings.keys().map(|name| &**name).collect();
        assert_eq!(names, KNOWN);
        assert!(settings.values().all(|value| !value.is_empty()));
    });
}

#[test]
fn the_machine_is_read() {
    in_namespace(|| {
        let machine = read(&mut open()).node.machine;
        let kernel = machine.kernel.expect("the kernel has a version");
        assert!(kernel.major >= 6, "{kernel:?}");
        assert!(machine.processors.expect("it has processors") >= 1);
        assert_eq!(machine.keepalive, Some(Keepalive::LINUX));
    });
}

/// A new namespace, such as that of a pod, has the keepalive of Linux, whatever its creator has.
#[test]
fn each_network_namespace_has_a_keepalive_of_its_own() {
    let set_time = |value| {
        let name = Keepalive::SETTINGS[0].replace('.', "/");
        std::fs::write(format!("/proc/sys/{name}"), value).expect("it is written");
    };
    let keepalive = || read(&mut open()).node.machine.keepalive;
    in_namespace(|| {
        set_time("600");
        let changed = Keepalive {
            time: 600,
            ..Keepalive::LINUX
        };
        assert_eq!(keepalive(), Some(changed));
        in_namespace(|| assert_eq!(keepalive(), Some(Keepalive::LINUX)));
        // The kernel stores a negative time, with which keepalive is unknown.
        set_time("-1");
        assert_eq!(keepalive(), None);
    });
}

#[test]
fn settings_are_those_of_the_network_namespace() {
    in_namespace(|| {
        let mut kernel = open();
        let settings = [
            ("net.ipv4.conf.all.arp_announce", "2"),
            ("net.ipv4.conf.all.arp_ignore", "1"),
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.vs.conn_reuse_mode", "0"),
            ("net.ipv4.vs.conntrack", "1"),
            ("net.ipv4.vs.expire_nodest_conn", "1"),
            ("net.ipv4.vs.expire_quiescent_template", "1"),
            ("net.netfilter.nf_conntrack_tcp_be_liberal", "1"),
            ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "3600"),
            (
                "net.netfilter.nf_conntrack_tcp_timeout_established",
                "86400",
            ),
            ("net.netfilter.nf_conntrack_udp_timeout", "31"),
            ("net.netfilter.nf_conntrack_udp_timeout_stream", "181"),
        ];
        let before = read(&mut kernel).tables.sysctls;
        do_all(&mut kernel, settings.map(|(name, value)| set(name, value)));
        for (name, wanted) in settings {
            assert_eq!(value(&mut kernel, name), wanted, "{name}");
        }
        in_namespace(|| {
            let elsewhere = read(&mut open()).tables.sysctls;
            for (name, wanted) in settings {
                let value = &elsewhere[name];
                assert!(&**value != wanted || before[name] == *value, "{name}");
            }
        });
    });
}

/// Runs in the initial namespace. No other namespace may change these settings.
#[test]
fn the_conntrack_size_is_set_in_the_initial_namespace() {
    let _alone = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kernel = open();
    do_all(
        &mut kernel,
        [
            set("net.netfilter.nf_conntrack_max", "131072"),
            set("net.netfilter.nf_conntrack_buckets", "32768"),
        ],
    );
    assert_eq!(
        value(&mut kernel, "net.netfilter.nf_conntrack_max"),
        "131072"
    );
    assert_eq!(
        value(&mut kernel, "net.netfilter.nf_conntrack_buckets"),
        "32768"
    );
    in_namespace(|| {
        let mut kernel = open();
        for name in ["nf_conntrack_max", "nf_conntrack_buckets"] {
            let name = format!("net.netfilter.{name}");
            let (kind, _, cause) = failure(&mut kernel, &name, "65536");
            assert_eq!(kind, OpErrorKind::NotPermitted, "{name}");
            assert!(
                cause.contains("the node's own network namespace"),
                "{cause}"
            );
        }
    });
    assert_eq!(
        value(&mut kernel, "net.netfilter.nf_conntrack_buckets"),
        "32768"
    );
}

#[test]
fn a_meaningless_value_is_invalid() {
    in_namespace(|| {
        let mut kernel = open();
        let (kind, what, _) = failure(&mut kernel, "net.ipv4.ip_forward", "maybe");
        assert_eq!(kind, OpErrorKind::Invalid);
        assert_eq!(what, "failed to set net.ipv4.ip_forward = maybe");
    });
}

#[test]
fn a_missing_setting_is_reported() {
    in_namespace(|| {
        let (kind, what, _) = failure(&mut open(), "net.ipv4.vs.no_such_thing", "1");
        assert_eq!(kind, OpErrorKind::NoSuchSetting);
        assert_eq!(what, "failed to set net.ipv4.vs.no_such_thing = 1");
    });
}

#[test]
fn read_only_settings_are_reported_with_a_remedy() {
    in_namespace(|| {
        let mut kernel = open();
        hold_read_only("/proc/sys").expect("the mount succeeds");
        for name in ["net.ipv4.ip_forward", "net.ipv4.vs.conntrack"] {
            let (kind, _, cause) = failure(&mut kernel, name, "1");
            assert_eq!(kind, OpErrorKind::ReadOnlySetting, "{name}");
            assert!(cause.contains("kube-ipvsd --init-only"), "{cause}");
        }
        assert_eq!(value(&mut kernel, "net.ipv4.ip_forward"), "0");
    });
}

/// Only `/proc/sys` is read-only, as in the container of kube-proxy.
#[test]
fn the_conntrack_size_can_be_set_through_the_module() {
    let _alone = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut kernel = open();
            hold_read_only("/proc/sys").expect("the mount succeeds");
            let name = "net.netfilter.nf_conntrack_buckets";
            let wanted = match &*value(&mut kernel, name) {
                "65536" => "16384",
                _ => "65536",
            };
            do_all(&mut kernel, [set(name, wanted)]);
            assert_eq!(value(&mut kernel, name), wanted);
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Mounts `path` read-only as container runtimes do, for this thread, in a separate mount
/// namespace.
fn hold_read_only(path: &str) -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    mount_bind(path, path)?;
    Ok(mount_remount(
        path,
        MountFlags::BIND | MountFlags::RDONLY,
        "",
    )?)
}
