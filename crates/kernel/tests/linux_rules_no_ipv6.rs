//! The packet filter of a kernel without IPv6 support in the packet filter.

mod vm;

use model::rules::Table;
use support::namespace::in_namespace;

use vm::check_rules_of_ipv4_alone;

#[test]
fn a_missing_family_does_not_affect_the_other() {
    in_namespace(|| {
        let chains = [(Table::Nat, "KUBE-SERVICES")];
        check_rules_of_ipv4_alone(&chains, &["this kernel has no packet filter for IPv6"]);
    });
}
