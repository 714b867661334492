//! The packet filter of a kernel without that of IPv6.

mod vm;

use std::error::Error as _;

use ipvs::AddressFamily::{Ipv4, Ipv6};
use kernel::linux::IptablesBackend;
use kernel::{Kernel as _, OpErrorKind};
use model::rules::{ChainKey, Rule, Rules, RulesPatch, Table};
use model::{Op, Scope};

use vm::{do_all, in_namespace, open, stage};

#[test]
fn a_family_that_the_kernel_lacks_does_no_harm_to_the_other() {
    in_namespace(|| {
        let mut kernel = open().with_iptables(IptablesBackend::Legacy);
        let key = ChainKey::new(Table::Nat, "KUBE-SERVICES");
        let patch = |family| {
            let chains = [(key.clone(), vec![Rule::parse("-j RETURN")])].into();
            let patch = RulesPatch {
                chains,
                ..RulesPatch::default()
            };
            Op::PatchRules(family, patch.into())
        };
        do_all(&mut kernel, [patch(Ipv4)]);
        let outcome = kernel.apply(&stage([patch(Ipv6)])).remove(0);
        let error = outcome.expect_err("there is no such packet filter");
        assert_eq!(error.kind(), &OpErrorKind::NoPacketFilter);
        let cause = error.source().expect("there is a cause").to_string();
        let wanted = "this kernel has no packet filter for IPv6";
        assert!(cause.contains(wanted), "{cause}");
        let rules = kernel.observe(&Scope {
            rules: true,
            ..Scope::NOTHING
        });
        let rules = rules.expect("they are read").tables.rules;
        assert_eq!(rules[&Ipv6], Rules::default());
        assert_eq!(rules[&Ipv4].chains.len(), 1);
    });
}
