//! The packet filter of a kernel that has that of IPv6 without its table `nat`.

mod vm;

use std::error::Error as _;

use ipvs::AddressFamily::{Ipv4, Ipv6};
use kernel::linux::IptablesBackend;
use kernel::{Kernel as _, OpErrorKind};
use model::rules::{ChainKey, Rule, Rules, RulesPatch, Table};
use model::{Op, Scope};

use vm::{do_all, in_namespace, open, stage};

#[test]
fn without_the_table_nat_nothing_of_the_family_is_written_and_the_other_one_works() {
    in_namespace(|| {
        let mut kernel = open().with_iptables(IptablesBackend::Legacy);
        let patch = |family| {
            let chain = |table, name| {
                let key = ChainKey::new(table, name);
                (key, vec![Rule::parse("-j RETURN")])
            };
            let nat = chain(Table::Nat, "KUBE-SERVICES");
            let filter = chain(Table::Filter, "KUBE-FORWARD");
            let patch = RulesPatch {
                chains: [nat, filter].into(),
                ..RulesPatch::default()
            };
            Op::PatchRules(family, patch.into())
        };
        do_all(&mut kernel, [patch(Ipv4)]);
        let outcome = kernel.apply(&stage([patch(Ipv6)])).remove(0);
        let error = outcome.expect_err("there is no such table");
        assert_eq!(error.kind(), &OpErrorKind::NoPacketFilter);
        let cause = error.source().expect("there is a cause").to_string();
        for wanted in ["no packet filter for IPv6", "modprobe -a ip6table_nat"] {
            assert!(cause.contains(wanted), "{cause}");
        }
        let rules = kernel.observe(&Scope {
            rules: true,
            ..Scope::NOTHING
        });
        let rules = rules.expect("they are read").tables.rules;
        assert_eq!(rules[&Ipv6], Rules::default());
        assert_eq!(rules[&Ipv4].chains.len(), 2);
    });
}
