//! The packet filter of a kernel whose IPv6 packet filter lacks the table `nat`.

mod vm;

use model::rules::Table;
use support::namespace::in_namespace;

use vm::check_rules_of_ipv4_alone;

#[test]
fn without_the_table_nat_only_the_other_family_is_written() {
    in_namespace(|| {
        let chains = [
            (Table::Nat, "KUBE-SERVICES"),
            (Table::Filter, "KUBE-FORWARD"),
        ];
        let cause = ["no packet filter for IPv6", "modprobe -a ip6table_nat"];
        check_rules_of_ipv4_alone(&chains, &cause);
    });
}
