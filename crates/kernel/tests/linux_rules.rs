//! iptables rules with the real iptables programs. Legacy tables exist everywhere. nf_tables for
//! IPv4 and IPv6 are tested if the kernel has them; User-Mode Linux does not.

mod vm;

use std::error::Error as _;
use std::fs::File;
use std::process::Command;
use std::sync::{PoisonError, RwLock};

use ipvs::AddressFamily::{self, Ipv4, Ipv6};
use kernel::linux::{IptablesBackend, Reason, Variant};
use kernel::{Kernel as _, LinuxKernel, OpError, OpErrorKind};
use model::rules::{ChainKey, Rule, Rules, RulesPatch, Table};
use model::{Op, Scope, Snapshot};
use support::namespace::in_namespace;

use vm::{do_all, open, stage};

/// Held for writing by the test that holds the lock of the legacy tables, which all namespaces
/// share.
static LOCK: RwLock<()> = RwLock::new(());

const LEGACY: (Variant, IptablesBackend) = (Variant::Legacy, IptablesBackend::Legacy);
const NFT: (Variant, IptablesBackend) = (Variant::Nft, IptablesBackend::Nft);

/// Returns the packet filters of this kernel.
fn variants() -> Vec<(Variant, IptablesBackend)> {
    match std::env::var("VM_BACKEND").as_deref() {
        Ok("uml") => vec![LEGACY],
        _ => vec![LEGACY, NFT],
    }
}

/// Runs `test` for each packet filter in a namespace with our sets.
fn in_each(test: impl Fn(&mut LinuxKernel, Variant) + Sync) {
    let _shared = LOCK.read().unwrap_or_else(PoisonError::into_inner);
    for (variant, backend) in variants() {
        in_namespace(|| {
            make_sets();
            test(&mut open().with_iptables(backend), variant);
        });
    }
}

fn run(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status();
    assert!(status.expect("sh is installed").success(), "{command}");
}

fn make_sets() {
    run("for family in inet inet6; do
           case $family in inet) six=;; *) six=6-;; esac
           ipset create KUBE-${six}CLUSTER-IP hash:ip,port family $family
           ipset create KUBE-${six}LOAD-BALANCER hash:ip,port family $family
           ipset create KUBE-${six}LOOP-BACK hash:ip,port,ip family $family
           ipset create KUBE-${six}SOURCE-CIDR hash:ip,port,net family $family
           ipset create KUBE-${six}IPVS-IPS hash:ip family $family
           ipset create KUBE-${six}NODE-PORT-TCP bitmap:port range 0-65535
           ipset create KUBE-${six}NODE-PORT-SCTP hash:ip,port family $family
         done");
}

/// One rule of each kind that a proxy writes, for IPv4.
const RULES: &str = r#"*nat
:KUBE-LOAD-BALANCER -
:KUBE-MARK-MASQ -
:KUBE-NODE-PORT -
:KUBE-POSTROUTING -
:KUBE-SERVICES -
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-LOAD-BALANCER -m set --match-set KUBE-LOAD-BALANCER dst,dst -m set ! --match-set KUBE-SOURCE-CIDR dst,dst,src -m addrtype --src-type LOCAL -j MARK --set-xmark 0x8000/0x8000
-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODE-PORT -p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-NODE-PORT -p udp -m set --match-set KUBE-NODE-PORT-TCP dst -j RETURN
-A KUBE-NODE-PORT -p sctp -m set --match-set KUBE-NODE-PORT-SCTP dst,dst -j RETURN
-A KUBE-POSTROUTING -m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN
-A KUBE-SERVICES -m comment --comment "Kubernetes service lb portal" -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER
-A KUBE-SERVICES ! -s 10.244.0.0/16 -m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES ! -s 10.244.3.7/32 -m set --match-set KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES ! -i cali+ -m comment --comment plain -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m comment --comment "it's \"quoted\"" -m set --match-set KUBE-CLUSTER-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
COMMIT
*filter
:KUBE-FORWARD -
:KUBE-IPVS-FILTER -
:KUBE-IPVS-OUT-FILTER -
:KUBE-NODE-PORT -
:KUBE-PROXY-FIREWALL -
:KUBE-SOURCE-RANGES-FIREWALL -
-A INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-A INPUT -m comment --comment "kubernetes health check rules" -j KUBE-NODE-PORT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT --reject-with icmp-port-unreachable
-A KUBE-IPVS-OUT-FILTER -m mark --mark 0x80000000/0x80000000 -j DROP
-A KUBE-SOURCE-RANGES-FIREWALL -j DROP
COMMIT
"#;

fn rules(family: AddressFamily) -> Rules {
    let text = match family {
        Ipv4 => RULES.to_owned(),
        Ipv6 => RULES
            .replace("--match-set KUBE-", "--match-set KUBE-6-")
            .replace("icmp-port", "icmp6-port")
            .replace("127.0.0.0/8", "::1/128")
            .replace("10.244.0.0/16", "fd00:10:244::/56")
            .replace("10.244.3.7/32", "fd00:10:244::7/128"),
    };
    Rules::parse(&text).expect("the rules have the format of iptables-save")
}

/// Returns the patch that adds these rules to a packet filter without rules of ours.
fn all(rules: &Rules) -> RulesPatch {
    let jumps = rules.jumps.iter().flat_map(|(chain, rules)| {
        let rules = rules.iter().rev();
        rules.map(|rule| (chain.clone(), rule.clone()))
    });
    RulesPatch {
        chains: rules.chains.clone(),
        insert_jumps: jumps.collect(),
        ..RulesPatch::default()
    }
}

fn change(family: AddressFamily, patch: RulesPatch) -> Op {
    Op::PatchRules(family, patch.into())
}

fn chain(table: Table, name: &str, rules: &[&str]) -> RulesPatch {
    let rules = rules.iter().map(|rule| Rule::parse(rule)).collect();
    RulesPatch {
        chains: [(ChainKey::new(table, name), rules)].into(),
        ..RulesPatch::default()
    }
}

fn read(kernel: &mut LinuxKernel) -> Snapshot {
    let scope = Scope {
        rules: true,
        ..Scope::NOTHING
    };
    kernel.observe(&scope).expect("the rules are read")
}

fn failure(kernel: &mut LinuxKernel, op: Op) -> OpError {
    let outcome = kernel.apply(&stage([op])).remove(0);
    outcome.expect_err("it is refused")
}

fn cause(error: &OpError) -> String {
    error.source().expect("the error has a cause").to_string()
}

#[test]
fn rules_read_back_as_written() {
    in_each(|kernel, variant| {
        for family in [Ipv4, Ipv6] {
            let wanted = rules(family);
            let op = change(family, all(&wanted));
            do_all(kernel, [op]);
            let read = read(kernel).tables.rules.remove(&family);
            let read = read.unwrap_or_default().print();
            assert_eq!(read, wanted.print(), "{variant} {family}");
        }
    });
}

#[test]
fn a_packet_filter_without_rules_of_ours_reads_as_empty() {
    in_each(|kernel, variant| {
        run(&format!("{variant} -A INPUT -i lo -j ACCEPT"));
        let snapshot = read(kernel);
        let none = [(Ipv4, Rules::default()), (Ipv6, Rules::default())];
        assert_eq!(snapshot.tables.rules, none.into());
        assert_eq!(snapshot.held_chains, [].into());
    });
}

#[test]
fn a_change_keeps_other_rules() {
    in_each(|kernel, variant| {
        run(&format!("{variant} -A INPUT -i lo -j ACCEPT"));
        let mut wanted = rules(Ipv4);
        do_all(kernel, [change(Ipv4, all(&wanted))]);
        run(&format!("{variant} -A INPUT -i lo2 -j ACCEPT"));
        let input = ChainKey::new(Table::Filter, "INPUT");
        let jumps = &wanted.jumps[&input];
        let patch = RulesPatch {
            chains: chain(Table::Filter, "KUBE-FORWARD", &["-j RETURN"]).chains,
            delete_chains: [ChainKey::new(Table::Filter, "KUBE-IPVS-FILTER")].into(),
            delete_jumps: vec![(input.clone(), jumps[0].clone())],
            insert_jumps: vec![(input, Rule::parse("-i eth0 -j KUBE-PROXY-FIREWALL"))],
        };
        patch.apply(&mut wanted);
        do_all(kernel, [change(Ipv4, patch)]);
        assert_eq!(read(kernel).tables.rules[&Ipv4].print(), wanted.print());
        let saved = Command::new(format!("{variant}-save")).output();
        let saved = String::from_utf8(saved.expect("it runs").stdout).expect("it is text");
        let places: Vec<_> = ["eth0", "lo ", "health", "lo2"]
            .map(|word| saved.find(word))
            .to_vec();
        // The jump was inserted before the existing rules, as our other jump was earlier.
        assert!(places.iter().all(Option::is_some), "{saved}");
        assert!(places[0] < places[2] && places[2] < places[1] && places[1] < places[3]);
    });
}

#[test]
fn chains_with_foreign_jumps_are_held() {
    in_each(|kernel, variant| {
        do_all(kernel, [change(Ipv4, all(&rules(Ipv4)))]);
        assert_eq!(read(kernel).held_chains, [].into());
        run(&format!(
            "{variant} -t nat -N HOSTPORTS; {variant} -t nat -A HOSTPORTS -j KUBE-MARK-MASQ"
        ));
        let key = ChainKey::new(Table::Nat, "KUBE-MARK-MASQ");
        let held = [(Ipv4, [key.clone()].into())].into();
        assert_eq!(read(kernel).held_chains, held);
        let patch = RulesPatch {
            delete_chains: [key].into(),
            ..RulesPatch::default()
        };
        let error = failure(kernel, change(Ipv4, patch));
        assert_eq!(
            error.kind(),
            &OpErrorKind::FilterRefused,
            "{}",
            cause(&error)
        );
    });
}

#[test]
fn a_refusal_names_the_rule_and_changes_nothing_of_its_table() {
    in_each(|kernel, _| {
        let good = rules(Ipv4);
        do_all(kernel, [change(Ipv4, all(&good))]);
        let bad = "-m set --match-set NO-SUCH-SET dst -j RETURN";
        let mut patch = chain(Table::Filter, "KUBE-FORWARD", &["-j ACCEPT", bad]);
        let mark = chain(Table::Nat, "KUBE-MARK-MASQ", &["-j RETURN"]);
        patch.chains.extend(mark.chains.clone());
        let error = failure(kernel, change(Ipv4, patch));
        assert_eq!(error.kind(), &OpErrorKind::FilterRefused);
        let words = cause(&error);
        assert!(words.contains("Set NO-SUCH-SET doesn't exist."), "{words}");
        assert!(
            words.contains(&format!("`-A KUBE-FORWARD {bad}`")),
            "{words}"
        );
        // The table before it is already committed.
        let mut left = good;
        mark.apply(&mut left);
        assert_eq!(read(kernel).tables.rules[&Ipv4].print(), left.print());
    });
}

#[test]
fn a_missing_jump_cannot_be_deleted() {
    in_each(|kernel, _| {
        let input = ChainKey::new(Table::Filter, "INPUT");
        let patch = RulesPatch {
            delete_jumps: vec![(input, Rule::parse("-j ACCEPT"))],
            ..RulesPatch::default()
        };
        let error = failure(kernel, change(Ipv4, patch));
        assert_eq!(error.kind(), &OpErrorKind::FilterRefused);
        let words = cause(&error);
        assert!(words.contains("`-D INPUT -j ACCEPT`"), "{words}");
    });
}

/// nf_tables has no lock.
#[test]
fn the_wait_for_the_lock_is_limited() {
    let _alone = LOCK.write().unwrap_or_else(PoisonError::into_inner);
    in_namespace(|| {
        let mut kernel = open().with_iptables(IptablesBackend::Legacy);
        let op = || change(Ipv4, chain(Table::Nat, "KUBE-SERVICES", &["-j RETURN"]));
        do_all(&mut kernel, [op()]);
        let lock = File::create("/run/xtables.lock").expect("the lock file exists");
        lock.lock().expect("the lock is free");
        let error = failure(&mut kernel, op());
        assert_eq!(
            error.kind(),
            &OpErrorKind::FilterLocked,
            "{}",
            cause(&error)
        );
        read(&mut kernel);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_secs(1));
                lock.unlock().expect("the lock was held");
            });
            do_all(&mut kernel, [op()]);
        });
    });
}

/// Runs `command` in a namespace and checks the choice there: `wanted`, or legacy if this kernel
/// has no nf_tables.
fn check_choice(command: &str, wanted: (Variant, Reason)) {
    let choice = in_namespace(|| {
        run(command);
        let mut kernel = open();
        assert_eq!(kernel.iptables(), None);
        read(&mut kernel);
        let choice = kernel.iptables().expect("a packet filter was chosen");
        assert!(choice.version.is_some(), "{choice}");
        (choice.variant, choice.reason)
    });
    let wanted = match variants().contains(&NFT) {
        true => wanted,
        false => (Variant::Legacy, Reason::NftDoesNotWork),
    };
    assert_eq!(choice, wanted, "{command}");
}

#[test]
fn the_packet_filter_of_the_kubelet_is_chosen() {
    let _shared = LOCK.read().unwrap_or_else(PoisonError::into_inner);
    for (variant, _) in variants() {
        let hint = format!(
            "ip6{} -t mangle -N KUBE-IPTABLES-HINT",
            variant.to_string().replace("ip", "")
        );
        check_choice(&hint, (variant, Reason::Kubelet));
    }
}

#[test]
fn this_kernel_serves_all_families() {
    in_each(|kernel, variant| {
        // Before rules are written, and after.
        assert_eq!(vm::missing_family(kernel), None, "{variant}");
        run(&format!("{variant} -t nat -N OTHER"));
        assert_eq!(vm::missing_family(kernel), None, "{variant}");
        run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        let missing = vm::missing_family(kernel).expect("IPv6 is disabled");
        assert_eq!(missing.to_string(), "net.ipv6.conf.all.disable_ipv6 is 1");
        run("echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        assert_eq!(vm::missing_family(kernel), None, "{variant}");
    });
}

#[test]
fn the_packet_filter_with_more_rules_is_chosen() {
    let _shared = LOCK.read().unwrap_or_else(PoisonError::into_inner);
    let more = |nft, legacy| Reason::MoreRules { nft, legacy };
    let legacy = "iptables-legacy -A INPUT -j ACCEPT; ip6tables-legacy -A INPUT -j ACCEPT";
    check_choice(legacy, (Variant::Legacy, more(0, 2)));
    if variants().contains(&NFT) {
        let both = "iptables-legacy -A INPUT -j ACCEPT
                    iptables-nft -A INPUT -j ACCEPT; iptables-nft -A OUTPUT -j ACCEPT";
        check_choice(both, (Variant::Nft, more(2, 1)));
    }
}

#[test]
fn nf_tables_are_chosen_if_available() {
    let _shared = LOCK.read().unwrap_or_else(PoisonError::into_inner);
    check_choice("true", (Variant::Nft, Reason::NftWorks));
}
