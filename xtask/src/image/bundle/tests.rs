use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::super::layer;
use super::super::tree::Tree;
use super::{ALL_CAPABILITIES, BundleSpec, Rights, configuration, parse_mount, unpack};

fn mount<'a>(configuration: &'a Value, to: &str) -> &'a Value {
    let mut mounts = configuration["mounts"].as_array().expect("mounts").iter();
    mounts
        .find(|mount| mount["destination"] == to)
        .expect("a mount")
}

#[test]
fn the_entrypoint_gets_the_arguments() {
    let spec = BundleSpec {
        arguments: vec!["--once".to_owned()],
        ..BundleSpec::default()
    };
    let process = &configuration(&spec)["process"];
    assert_eq!(
        process["args"],
        json!(["/usr/local/bin/kube-ipvsd", "--once"])
    );
    assert_eq!(
        process["env"],
        json!(["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    );
}

#[test]
fn all_rights() {
    let configuration = configuration(&BundleSpec::default());
    let capabilities = &configuration["process"]["capabilities"]["effective"];
    assert_eq!(
        capabilities.as_array().map(Vec::len),
        Some(ALL_CAPABILITIES.len())
    );
    assert_eq!(configuration["linux"]["readonlyPaths"], Value::Null);
    assert_eq!(mount(&configuration, "/sys")["options"][3], "rw");
}

#[test]
fn the_daemon_sets_rights() {
    let configuration = configuration(&BundleSpec {
        rights: Rights::DaemonSet,
        ..BundleSpec::default()
    });
    assert_eq!(
        configuration["process"]["capabilities"]["bounding"],
        json!(["CAP_NET_ADMIN", "CAP_NET_RAW"])
    );
    let read_only = configuration["linux"]["readonlyPaths"].as_array();
    assert!(read_only.is_some_and(|paths| paths.contains(&json!("/proc/sys"))));
    assert_eq!(mount(&configuration, "/sys")["options"][3], "ro");
}

#[test]
fn the_hosts_network_or_a_named_one() {
    let types = |spec: &BundleSpec| configuration(spec)["linux"]["namespaces"].clone();
    assert_eq!(types(&BundleSpec::default()), json!([{ "type": "mount" }]));
    let spec = BundleSpec {
        network_namespace: Some(PathBuf::from("/run/netns/a")),
        ..BundleSpec::default()
    };
    assert_eq!(
        types(&spec),
        json!([{ "type": "mount" }, { "type": "network", "path": "/run/netns/a" }])
    );
}

#[test]
fn files_of_the_host() {
    let spec = BundleSpec {
        mounts: vec![parse_mount("/tmp/config:/etc/kube-ipvs").expect("a mount")],
        ..BundleSpec::default()
    };
    let configuration = configuration(&spec);
    let config = mount(&configuration, "/etc/kube-ipvs");
    assert_eq!(config["source"], "/tmp/config");
    assert_eq!(config["options"], json!(["rbind", "rprivate", "ro"]));
    assert_eq!(
        mount(&configuration, "/usr/lib/modules")["options"][2],
        "ro"
    );
    assert_eq!(
        mount(&configuration, "/run/xtables.lock")["options"][2],
        "rw"
    );
}

#[test]
fn a_mount_on_the_command_line() {
    let writable = parse_mount("/a:/b:rw").map(|mount| mount.read_only);
    assert_eq!(writable, Ok(false));
    assert!(parse_mount("/a").is_err());
    assert!(parse_mount("a:/b").is_err());
}

#[test]
fn a_layer_unpacks_with_its_modes_and_links() {
    let mut tree = Tree::default();
    tree.directory("tmp", 0o1777);
    tree.file("usr/bin/program", 0o755, "#!");
    tree.link("bin", "usr/bin");
    let directory = tempfile::tempdir().expect("a directory");
    let archive = layer::archive(&tree, 0).expect("an archive");
    unpack(&archive, directory.path()).expect("it unpacks");
    let mode = |path: &str| {
        let about = std::fs::metadata(directory.path().join(path)).expect("it is there");
        about.permissions().mode() & 0o7777
    };
    assert_eq!(mode("bin/program"), 0o755);
    assert_eq!(mode("tmp"), 0o1777);
}
