//! Helpers for tests that need a kernel with IPVS.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test target uses another part of this module"
)]

use std::error::Error as _;
use std::net::Ipv4Addr;

use ipvs::AddressFamily::{Ipv4, Ipv6};
pub(crate) use kernel::contract::builders::{real_at as real, server, stage, tcp};
use kernel::linux::IptablesBackend;
use kernel::{Kernel as _, LinuxKernel, ModulePolicy, OpErrorKind};
use model::missing_family::MissingFamily;
use model::rules::{ChainKey, Rule, Rules, RulesPatch, Table};
use model::{Op, Scope};
use support::namespace::NEEDS_VM;
use support::program::run;

/// Opens the kernel of this thread's network namespace.
pub(crate) fn open() -> LinuxKernel {
    match LinuxKernel::open(ModulePolicy::Load) {
        Ok(kernel) => kernel,
        Err(error) => panic!("{NEEDS_VM} ({error})"),
    }
}

/// Creates a bridge.
pub(crate) fn make_bridge(name: &str) {
    run("ip", &format!("link add {name} type bridge"), "");
}

/// Applies `ops` as one stage and returns the error of each.
pub(crate) fn apply(
    kernel: &mut LinuxKernel,
    ops: impl IntoIterator<Item = Op>,
) -> Vec<Option<OpErrorKind>> {
    let outcomes = kernel.apply(&stage(ops)).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind().clone()))
        .collect()
}

/// Applies `ops` as one stage. Panics unless all of them succeed.
pub(crate) fn do_all(kernel: &mut LinuxKernel, ops: impl IntoIterator<Item = Op>) {
    for outcome in kernel.apply(&stage(ops)) {
        if let Err(error) = outcome {
            panic!("{error}: {:?}", error.kind());
        }
    }
}

/// Returns ops for `count` virtual servers 10.96.x.y:80/TCP with `reals` real servers each.
pub(crate) fn table(count: u16, reals: u8) -> Vec<Op> {
    (0..count)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            let key = tcp(Ipv4Addr::new(10, 96, high, low), 80);
            let add_reals = (0..reals).map(move |each| {
                let real = real(Ipv4Addr::new(10, 1 + each, high, low), 1);
                Op::AddRealServer(key, real)
            });
            std::iter::once(Op::AddVirtualServer(server(key, "rr"))).chain(add_reals)
        })
        .collect()
}

/// Checks that rules of `chains` are written for IPv4, and none for IPv6, whose packet filter the
/// kernel lacks completely or partly. The cause of the error contains each text of `cause`.
pub(crate) fn check_rules_of_ipv4_alone(chains: &[(Table, &str)], cause: &[&str]) {
    let mut kernel = open().with_iptables(IptablesBackend::Legacy);
    let patch = |family| {
        let chains = chains.iter().map(|(table, name)| {
            let key = ChainKey::new(*table, *name);
            (key, vec![Rule::parse("-j RETURN")])
        });
        let patch = RulesPatch {
            chains: chains.collect(),
            ..RulesPatch::default()
        };
        Op::PatchRules(family, patch.into())
    };
    do_all(&mut kernel, [patch(Ipv4)]);
    let outcome = kernel.apply(&stage([patch(Ipv6)])).remove(0);
    let error = outcome.expect_err("the kernel lacks the packet filter");
    assert_eq!(error.kind(), &OpErrorKind::NoPacketFilter);
    let found = error.source().expect("the error has a cause").to_string();
    for wanted in cause {
        assert!(found.contains(wanted), "{found}");
    }
    let rules = kernel.observe(&Scope {
        rules: true,
        ..Scope::NOTHING
    });
    let rules = rules.expect("the rules are read").tables.rules;
    assert_eq!(rules[&Ipv6], Rules::default());
    assert_eq!(rules[&Ipv4].chains.len(), chains.len());
    let missing = missing_family(&mut kernel).expect("a family is missing");
    assert_eq!(missing.family, Ipv6, "{missing}");
}

/// Returns the family that cannot be served on this node.
pub(crate) fn missing_family(kernel: &mut LinuxKernel) -> Option<MissingFamily> {
    let settings = kernel.observe(&Scope {
        settings: true,
        ..Scope::NOTHING
    });
    settings.expect("the settings are read").node.missing
}
