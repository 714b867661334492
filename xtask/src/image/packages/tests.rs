use std::path::Path;

use super::{complete, links, named_licenses, owner_in, wanted};
use crate::image::tree::Tree;

#[test]
fn only_iptables_and_its_extensions_are_selected() {
    let all = [
        ("usr/sbin/xtables-nft-multi", true),
        ("usr/sbin/xtables-legacy-multi", true),
        ("usr/sbin/iptables-nft-restore", true),
        ("usr/sbin/ip6tables-legacy-save", true),
        ("etc/protocols", true),
        ("usr/lib/x86_64-linux-gnu/xtables/libxt_set.so", true),
        ("usr/lib/x86_64-linux-gnu/xtables/libipt_REJECT.so", true),
        ("usr/lib/x86_64-linux-gnu/xtables/libip6t_REJECT.so", true),
        ("usr/lib/x86_64-linux-gnu/xtables/libebt_ip.so", false),
        ("usr/lib/x86_64-linux-gnu/xtables/libarpt_mangle.so", false),
        ("usr/sbin/iptables-apply", false),
        ("usr/sbin/iptables", false),
        ("usr/sbin/ebtables-nft", false),
        ("usr/bin/iptables-xml", false),
        ("usr/sbin/nfnl_osf", false),
        ("etc/services", false),
        ("usr/share/iptables/iptables.xslt", false),
    ];
    for (path, want) in all {
        assert_eq!(wanted(Path::new(path)), want, "{path}");
    }
}

#[test]
fn missing_program_is_an_error() {
    let mut tree = Tree::default();
    tree.file("etc/protocols", 0o644, "");
    for name in ["xtables-legacy-multi", "xtables-nft-multi"] {
        tree.file(&format!("usr/sbin/{name}"), 0o755, "");
    }
    for name in links().iter().skip(1) {
        tree.link(&format!("usr/sbin/{name}"), "xtables");
    }
    let error = complete(&tree).expect_err("one is missing").to_string();
    assert!(error.ends_with("or ip6tables-legacy"), "{error}");
    tree.link("usr/sbin/ip6tables-legacy", "xtables-legacy-multi");
    assert!(complete(&tree).is_ok());
}

#[test]
fn the_owner_of_a_file() {
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(owner_in("libc6:amd64: /lib/libc.so.6\n"), some("libc6"));
    assert_eq!(owner_in("netbase: /etc/protocols\n"), some("netbase"));
    assert_eq!(owner_in("diversion by dash from: /bin/sh\n"), None);
    assert_eq!(owner_in(""), None);
}

#[test]
fn licenses_that_a_notice_names() {
    let notice =
        "see /usr/share/common-licenses/GPL-2.\n and `/usr/share/common-licenses/LGPL-2.1'";
    assert_eq!(
        named_licenses(notice).into_iter().collect::<Vec<_>>(),
        ["GPL-2", "LGPL-2.1"]
    );
    assert!(named_licenses("MIT").is_empty());
}
