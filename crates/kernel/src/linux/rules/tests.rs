//! Programs of other versions are shell scripts here. The VM tests run real ones.

use std::cell::RefCell;
use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use model::rules::Table;
use tempfile::TempDir;

use super::choice::decide;
use super::programs::read_version;
use super::*;

use AddressFamily::{Ipv4, Ipv6};
use Variant::{Legacy, Nft};

/// A folder with the programs of one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn with(self, name: &str, script: &str) -> Self {
        let text = format!("#!/bin/sh\nhere={}\n{script}\n", self.path().display());
        // A separate process writes the file. Otherwise a child that another test starts meanwhile
        // would inherit the open file, and the program could not be run.
        let made = Command::new("sh")
            .args(["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"])
            .args([self.path().join(name).as_os_str(), text.as_ref()])
            .status();
        assert!(made.expect("sh is installed").success());
        self
    }

    /// Adds programs without a variant, of this version, that store their input.
    fn with_plain(self, version: &str) -> Self {
        self.with("iptables", &format!("echo '{version}'"))
            .with("iptables-save", "cat $here/saved 2>/dev/null; exit 0")
            .with(
                "iptables-restore",
                "echo \"$@\" >$here/options; cat >$here/saved",
            )
    }

    fn search(&self) -> Search {
        Search {
            folders: vec![self.path().to_owned()],
        }
    }

    fn rules(&self, backend: IptablesBackend) -> Rules {
        Rules::search(backend, self.search(), StopSignal::default())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("the file exists")
    }
}

fn patch(rule: &str) -> Op {
    let key = ChainKey::new(Table::Nat, "KUBE-POSTROUTING");
    let patch = RulesPatch {
        chains: [(key, vec![Rule::parse(rule)])].into(),
        ..RulesPatch::default()
    };
    Op::PatchRules(Ipv4, patch.into())
}

fn apply(rules: &mut Rules, op: &Op) -> OpOutcome {
    let Op::PatchRules(family, patch) = op else {
        panic!("{op} does not change rules");
    };
    rules.apply(op, *family, patch)
}

fn failure(rules: &mut Rules, op: &Op) -> (OpErrorKind, String) {
    let outcome = apply(rules, op);
    let error = outcome.expect_err("it fails");
    let cause = error.source().expect("the error has a cause").to_string();
    (error.kind().clone(), cause)
}

/// Returns the choice for these outputs of the variants. nf_tables works.
fn decided(nft: &str, legacy: &str) -> (Variant, Reason) {
    let read = |variant, _: Option<&str>| {
        Ok(match variant {
            Nft => nft.to_owned(),
            Legacy => legacy.to_owned(),
        })
    };
    decide(read, || true).expect("all tables can be read")
}

#[test]
fn versions_are_read() {
    for (text, wanted) in [
        (
            "iptables v1.8.9 (nf_tables)\n",
            Some((Version(1, 8, 9), Nft)),
        ),
        (
            "iptables v1.8.9 (legacy)\n",
            Some((Version(1, 8, 9), Legacy)),
        ),
        ("iptables v1.6.1\n", Some((Version(1, 6, 1), Legacy))),
        (
            "iptables-restore v1.8 (nf_tables)",
            Some((Version(1, 8, 0), Nft)),
        ),
        ("usage: iptables", None),
    ] {
        assert_eq!(read_version(text), wanted, "{text}");
    }
}

#[test]
fn the_kubelets_chain_selects_the_variant() {
    let two = "*filter\n-A INPUT -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n";
    for hint in ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"] {
        let hint = format!("*mangle\n:{hint} - [0:0]\nCOMMIT\n");
        assert_eq!(decided(&hint, two), (Nft, Reason::Kubelet));
        assert_eq!(decided(two, &hint), (Legacy, Reason::Kubelet));
        assert_eq!(decided(&hint, &hint), (Nft, Reason::Kubelet));
    }
}

#[test]
fn more_rules_select_the_variant() {
    let one = "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n";
    let two =
        "*filter\n-A INPUT -j ACCEPT\n-A INPUT -m comment --comment KUBE-IPTABLES-HINT\nCOMMIT\n";
    let more = |nft, legacy| Reason::MoreRules { nft, legacy };
    assert_eq!(decided(one, two), (Legacy, more(1, 2)));
    assert_eq!(decided(two, one), (Nft, more(2, 1)));
}

#[test]
fn equal_numbers_of_rules_select_nf_tables() {
    assert_eq!(decided("", ""), (Nft, Reason::NftWorks));
}

#[test]
fn without_nf_tables_nothing_is_read() {
    let read = |_, _: Option<&str>| panic!("no table may be read");
    let decided = decide(read, || false).expect("the choice needs no reading");
    assert_eq!(decided, (Legacy, Reason::NftDoesNotWork));
}

#[test]
fn legacy_tables_are_not_named() {
    let asked = RefCell::new(Vec::new());
    let read = |variant, table: Option<&str>| {
        asked.borrow_mut().push((variant, table.map(str::to_owned)));
        Ok(String::new())
    };
    decide(read, || true).expect("all tables can be read");
    let asked = asked.into_inner();
    assert_eq!(
        asked
            .iter()
            .filter(|(variant, _)| *variant == Legacy)
            .count(),
        1
    );
    assert!(asked.contains(&(Legacy, None)), "{asked:?}");
}

#[test]
fn a_multi_call_binary_provides_all_programs() {
    let folder = Folder::new().with(
        "xtables-nft-multi",
        "case \"$2\" in --version) echo 'x v1.8.7 (nf_tables)';; *) echo \"$@\" >>$here/ran;; esac",
    );
    let mut rules = folder.rules(IptablesBackend::Auto);
    rules.observe(&mut Snapshot::default()).expect("it is read");
    assert_eq!(apply(&mut rules, &patch("-j RETURN")), Ok(()));
    assert_eq!(
        folder.read("ran"),
        "iptables-save\nip6tables-save\niptables-restore --noflush -w 5\n"
    );
    let chosen = rules
        .chosen()
        .expect("the programs were chosen")
        .to_string();
    let wanted = format!(
        "iptables-nft 1.8.7 ({}/xtables-nft-multi iptables-restore): the other one is not installed",
        folder.path().display()
    );
    assert_eq!(chosen, wanted);
}

#[test]
fn plain_programs_print_their_variant() {
    let folder = Folder::new().with_plain("iptables v1.8.9 (nf_tables)");
    let of = |variant| (folder.search()).suite(variant, &StopSignal::default());
    assert!(matches!(of(Nft), Ok(Some(_))));
    assert!(matches!(of(Legacy), Ok(None)));
}

#[test]
fn missing_programs_are_named_with_their_package() {
    let folder = Folder::new();
    let here = folder.path().display();
    for (backend, wanted) in [
        (
            IptablesBackend::Auto,
            format!(
                "none of the programs iptables-nft-restore, iptables-legacy-restore, \
                 xtables-nft-multi, xtables-legacy-multi, iptables-restore is in one of {here}: \
                 install the package iptables"
            ),
        ),
        (
            IptablesBackend::Legacy,
            format!(
                "none of the programs iptables-legacy-restore, xtables-legacy-multi, \
                 iptables-restore is in one of {here}: install the package iptables"
            ),
        ),
    ] {
        let mut rules = folder.rules(backend);
        let (kind, cause) = failure(&mut rules, &patch("-j RETURN"));
        assert_eq!(kind, OpErrorKind::NoFilterProgram);
        assert!(cause.contains(&wanted), "{cause}");
        assert_eq!(rules.chosen(), None);
        let error = rules.observe(&mut Snapshot::default());
        let error = error.expect_err("no program can be run");
        assert_eq!(error.to_string(), "failed to read the IPv4 packet filter");
    }
}

/// They are usually installed with those of IPv4, but not everywhere.
#[test]
fn missing_ipv6_programs_do_not_affect_ipv4() {
    let folder = Folder::new().with_plain("iptables v1.8.9 (legacy)");
    let mut rules = folder.rules(IptablesBackend::Auto);
    let Op::PatchRules(_, change) = patch("-j RETURN") else {
        unreachable!("it is one");
    };
    let (kind, cause) = failure(&mut rules, &Op::PatchRules(Ipv6, change));
    assert_eq!(kind, OpErrorKind::NoFilterProgram);
    assert!(cause.contains("ip6tables-legacy-restore"), "{cause}");
    assert_eq!(apply(&mut rules, &patch("-j RETURN")), Ok(()));
    let mut snapshot = Snapshot::default();
    rules.observe(&mut snapshot).expect("it is read");
    assert_eq!(snapshot.tables.rules[&Ipv6], rules::Rules::default());
    assert_eq!(snapshot.tables.rules[&Ipv4].chains.len(), 1);
}

#[test]
fn an_old_version_gets_no_unknown_options() {
    let folder = Folder::new().with_plain("iptables v1.6.1");
    let mut rules = folder.rules(IptablesBackend::Auto);
    let wanted = Rule::parse("-m comment --comment SNAT -j MASQUERADE --random-fully");
    assert_eq!(apply(&mut rules, &patch(&wanted.to_string())), Ok(()));
    assert_eq!(folder.read("options"), "--noflush\n");
    let written = "*nat\n:KUBE-POSTROUTING - [0:0]\n\
                   -A KUBE-POSTROUTING -m comment --comment SNAT -j MASQUERADE\nCOMMIT\n";
    assert_eq!(folder.read("saved"), written);
    // The rule reads as desired until another rule replaces it.
    let key = ChainKey::new(Table::Nat, "KUBE-POSTROUTING");
    let mut read = || {
        let mut snapshot = Snapshot::default();
        rules.observe(&mut snapshot).expect("it is read");
        snapshot.tables.rules[&Ipv4].chains[&key].clone()
    };
    assert_eq!(read(), [wanted]);
    let plain = Rule::parse("-m comment --comment SNAT -j MASQUERADE");
    assert_eq!(apply(&mut rules, &patch(&plain.to_string())), Ok(()));
    let mut snapshot = Snapshot::default();
    rules.observe(&mut snapshot).expect("it is read");
    assert_eq!(snapshot.tables.rules[&Ipv4].chains[&key], [plain]);
}

#[test]
fn a_refusal_names_the_program_and_the_rule() {
    let folder = Folder::new().with_plain("iptables v1.8.9 (legacy)").with(
        "iptables-restore",
        "cat >/dev/null; echo \"iptables-restore v1.8.9 (legacy): Set X doesn't exist.\" >&2
             echo >&2; echo 'Error occurred at line: 3' >&2
             echo \"Try \\`iptables-restore -h' for more information.\" >&2; exit 2",
    );
    let mut rules = folder.rules(IptablesBackend::Auto);
    let (kind, cause) = failure(&mut rules, &patch("-m set --match-set X dst -j RETURN"));
    assert_eq!(kind, OpErrorKind::FilterRefused);
    let wanted = format!(
        "the packet filter refused the rules ({}/iptables-restore: exit status: 2: \
         iptables-restore v1.8.9 (legacy): Set X doesn't exist.; Error occurred at line: 3; that \
         line is `-A KUBE-POSTROUTING -m set --match-set X dst -j RETURN`)",
        folder.path().display()
    );
    assert_eq!(cause, wanted);
}

#[test]
fn the_message_of_a_program_that_reads_nothing_is_kept() {
    let folder = Folder::new().with_plain("iptables v1.8.9 (legacy)").with(
        "iptables-restore",
        "exec <&-; echo 'out of order' >&2; exit 3",
    );
    let mut rules = folder.rules(IptablesBackend::Auto);
    let rule = format!("-m comment --comment {} -j RETURN", "x".repeat(200_000));
    let (kind, cause) = failure(&mut rules, &patch(&rule));
    assert_eq!(kind, OpErrorKind::FilterRefused);
    assert!(cause.contains("exit status: 3: out of order"), "{cause}");
}

/// Without its answer the wrong packet filter might be chosen. The next change runs it again.
#[test]
fn a_hanging_program_is_killed_without_a_choice() {
    let folder = Folder::new()
        .with_plain("iptables v1.8.9 (nf_tables)")
        .with("iptables", "exec sleep 1000");
    let mut rules = folder.rules(IptablesBackend::Auto);
    let (kind, cause) = failure(&mut rules, &patch("-j RETURN"));
    assert_eq!(kind, OpErrorKind::ProgramKilled);
    let wanted = format!(
        "the program that changes the packet filter was killed ({}/iptables: it did not end within 5 s \
         and was killed: run it by hand to see what it waits for)",
        folder.path().display()
    );
    assert_eq!(cause, wanted);
    assert_eq!(rules.chosen(), None);
    let _folder = folder.with("iptables", "echo 'iptables v1.8.9 (nf_tables)'");
    assert_eq!(apply(&mut rules, &patch("-j RETURN")), Ok(()));
    assert_eq!(rules.chosen().map(|choice| choice.variant), Some(Nft));
}

#[test]
fn a_stop_kills_the_program_and_is_named() {
    let folder = Folder::new()
        .with_plain("iptables v1.8.9 (legacy)")
        .with("iptables-restore", "exec sleep 1000")
        .with("iptables-save", "exec sleep 1000");
    let mut rules = folder.rules(IptablesBackend::Legacy);
    let stop = StopSignal::new().expect("a pipe");
    rules.set_stop(stop.clone());
    let setter = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        stop.set();
    });
    let (kind, cause) = failure(&mut rules, &patch("-j RETURN"));
    setter.join().expect("it is set");
    assert_eq!(kind, OpErrorKind::Stopping);
    assert!(cause.starts_with("the daemon is stopping ("), "{cause}");
    let error = rules.observe(&mut Snapshot::default());
    let error = error.expect_err("the reading was stopped");
    assert_eq!(
        error.to_string(),
        "stopped reading the IPv4 packet filter: the daemon is stopping"
    );
}

#[test]
fn chains_of_a_proxy_are_found_among_others() {
    let kubelets = ":KUBE-KUBELET-CANARY - [0:0]\n:KUBE-FIREWALL - [0:0]\n";
    let table = |chains: &str| format!("*nat\n:PREROUTING ACCEPT [0:0]\n{chains}COMMIT\n");
    assert!(!super::choice::has_ours(""));
    assert!(!super::choice::has_ours(&table(kubelets)));
    let ours = format!("{kubelets}:KUBE-SERVICES - [0:0]\n");
    assert!(super::choice::has_ours(&table(&ours)));
}
