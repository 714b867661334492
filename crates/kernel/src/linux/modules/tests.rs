use std::fs;

use super::{Presence, presence_below};

/// Checks the presence of `module` on a system with these files below `/`.
fn check(files: &[(&str, &str)], module: &str, expected: Presence) {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("the path has a folder"))
            .expect("the folder is created");
        fs::write(path, text).expect("the file is written");
    }
    let found = presence_below(root.path(), "6.1.0", module);
    assert_eq!(found, expected, "{module} {files:?}");
}

const BUILT_IN: (&str, &str) = (
    "lib/modules/6.1.0/modules.builtin",
    "kernel/net/netfilter/xt_comment.ko\n",
);
const DEPENDENCIES: (&str, &str) = (
    "lib/modules/6.1.0/modules.dep",
    "kernel/net/netfilter/xt_set.ko.xz: kernel/net/netfilter/ipset/ip_set.ko.xz\n\
     kernel/net/bridge/br-netfilter.ko:\n",
);

#[test]
fn a_module_that_the_kernel_shows_is_loaded() {
    check(
        &[("sys/module/ip_vs/refcnt", "0\n")],
        "ip_vs",
        Presence::Loaded,
    );
}

#[test]
fn a_part_of_the_kernel_counts_as_loaded() {
    check(&[BUILT_IN, DEPENDENCIES], "xt_comment", Presence::Loaded);
}

#[test]
fn a_module_with_a_file_can_be_loaded() {
    check(&[BUILT_IN, DEPENDENCIES], "xt_set", Presence::Loadable);
    check(&[DEPENDENCIES], "br_netfilter", Presence::Loadable);
}

#[test]
fn a_module_without_a_file_is_missing() {
    // A dependency is listed after the path of another module, and has no file here.
    check(&[BUILT_IN, DEPENDENCIES], "ip_set", Presence::Missing);
    check(&[BUILT_IN, DEPENDENCIES], "xt", Presence::Missing);
}

#[test]
fn without_lists_the_presence_is_unknown() {
    check(&[], "ip_vs_mh", Presence::Unknown);
    check(&[BUILT_IN], "ip_vs_mh", Presence::Unknown);
    check(&[DEPENDENCIES], "ip_vs_mh", Presence::Unknown);
}
