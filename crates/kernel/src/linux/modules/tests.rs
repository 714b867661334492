use super::{Presence, presence_below};
use crate::linux::testing::root;

type Files = &'static [(&'static str, &'static str)];

const SHOWN: (&str, &str) = ("sys/module/ip_vs/refcnt", "0\n");
const BUILT_IN: (&str, &str) = (
    "lib/modules/6.1.0/modules.builtin",
    "kernel/net/netfilter/xt_comment.ko\n",
);
const DEPENDENCIES: (&str, &str) = (
    "lib/modules/6.1.0/modules.dep",
    "kernel/net/netfilter/xt_set.ko.xz: kernel/net/netfilter/ipset/ip_set.ko.xz\n\
     kernel/net/bridge/br-netfilter.ko:\n",
);

/// `ip_set` is a dependency, which is listed after the path of another module, and has no file.
#[test]
fn presence_is_read_from_the_kernel_and_its_lists() {
    use Presence::{Loadable, Loaded, Missing, Unknown};

    let cases: [(Files, &str, Presence); 9] = [
        (&[SHOWN], "ip_vs", Loaded),
        (&[BUILT_IN, DEPENDENCIES], "xt_comment", Loaded),
        (&[BUILT_IN, DEPENDENCIES], "xt_set", Loadable),
        (&[DEPENDENCIES], "br_netfilter", Loadable),
        (&[BUILT_IN, DEPENDENCIES], "ip_set", Missing),
        (&[BUILT_IN, DEPENDENCIES], "xt", Missing),
        (&[], "ip_vs_mh", Unknown),
        (&[BUILT_IN], "ip_vs_mh", Unknown),
        (&[DEPENDENCIES], "ip_vs_mh", Unknown),
    ];
    for (files, module, expected) in cases {
        let found = presence_below(root(files).path(), "6.1.0", module);
        assert_eq!(found, expected, "{module} {files:?}");
    }
}
