//! Leftovers of kube-proxy's other modes, with real programs. Legacy tables exist everywhere.
//! nf_tables are tested if the kernel has them; User-Mode Linux does not.

mod vm;

use ipvs::AddressFamily::{Ipv4, Ipv6};
use kernel::linux::IptablesBackend::{Legacy, Nft};
use kernel::linux::leftovers::Sweeper;
use model::Leftovers;
use netlink::{Protocol, Socket, Transport as _};
use support::messages;
use support::namespace::in_namespace;
use support::program::run;

/// Rules of kube-proxy 1.30 in iptables mode for one Service with an endpoint and one without, and
/// a foreign rule and chain.
const IPTABLES_MODE: &str = r#"*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -p tcp -m comment --comment "default/web:http has no endpoints" -m tcp --dport 80 -j REJECT
COMMIT
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SEP-IT2ZTR26TO4XFPTO - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
:MINE - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -j MINE
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SEP-IT2ZTR26TO4XFPTO -m comment --comment "kube-system/kube-dns:dns" -j KUBE-MARK-MASQ
-A KUBE-SERVICES -p udp -m comment --comment "kube-system/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-TCOU7JCQXEZGVUNU -m comment --comment "kube-system/kube-dns:dns -> 10.244.0.2:53" -j KUBE-SEP-IT2ZTR26TO4XFPTO
COMMIT
"#;

/// The part that is not specific to kube-proxy's iptables mode.
const KEPT: &str = r#"*filter
:FORWARD ACCEPT
:INPUT ACCEPT
:KUBE-FIREWALL -
:KUBE-FORWARD -
:OUTPUT ACCEPT
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A INPUT -j KUBE-FIREWALL
*mangle
:FORWARD ACCEPT
:INPUT ACCEPT
:KUBE-IPTABLES-HINT -
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:PREROUTING ACCEPT
*nat
:INPUT ACCEPT
:KUBE-KUBELET-CANARY -
:KUBE-MARK-MASQ -
:KUBE-SERVICES -
:MINE -
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:PREROUTING ACCEPT
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A OUTPUT -j MINE
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
"#;

fn has_nf_tables() -> bool {
    std::env::var("VM_BACKEND").as_deref() != Ok("uml")
}

/// Returns the saved rules without counters, with the lines of each table in alphabetical order.
fn saved(program: &str) -> String {
    let text = run(program, "", "");
    let mut tables: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        if line.starts_with('*') {
            tables.push(vec![line.to_owned()]);
        } else if let (Some(table), [b':' | b'-', ..]) = (tables.last_mut(), line.as_bytes()) {
            let line = line.split(" [").next().unwrap_or_default();
            table.push(line.to_owned());
        }
    }
    tables
        .iter_mut()
        .for_each(|table| table[1..].sort_by_key(|line| (!line.starts_with(':'), line.clone())));
    tables.sort();
    tables.concat().join("\n") + "\n"
}

#[test]
fn rules_of_iptables_mode_are_deleted_and_others_kept() {
    let variants: &[_] = if has_nf_tables() {
        &[(Legacy, "legacy"), (Nft, "nft")]
    } else {
        &[(Legacy, "legacy")]
    };
    for (backend, word) in variants {
        in_namespace(|| {
            let program = |family: &str, tool: &str| format!("{family}-{word}-{tool}");
            for family in ["iptables", "ip6tables"] {
                run(&program(family, "restore"), "--noflush", IPTABLES_MODE);
            }
            let mut sweeper = Sweeper::open(*backend);
            let found = sweeper.find().expect("it can be read");
            for family in [Ipv4, Ipv6] {
                let rules = &found.rules[&family];
                assert_eq!((rules.chains(), rules.jumps(), rules.held()), (8, 6, 0));
            }
            assert_eq!(sweeper.sweep().expect("all goes"), found);
            for family in ["iptables", "ip6tables"] {
                assert_eq!(saved(&program(family, "save")), KEPT, "{family} {word}");
            }
            assert_eq!(sweeper.sweep().expect("none left"), Leftovers::default());
        });
    }
}

#[test]
fn a_clean_node_has_no_leftovers() {
    in_namespace(|| {
        let found = Sweeper::open(Legacy).find().expect("it can be read");
        assert_eq!(found, Leftovers::default());
    });
}

#[test]
fn sets_of_old_versions_are_deleted_and_others_kept() {
    in_namespace(|| {
        for set in [
            "KUBE-NODE-PORT-SCTP",
            "KUBE-6-NODE-PORT-LOCAL-SCTP",
            "KUBE-SRC-ABC",
        ] {
            run(
                "ipset",
                &format!("create {set} bitmap:port range 0-65535"),
                "",
            );
        }
        run("ipset", "create KUBE-IPVS-IPS hash:ip", "");
        let found = Sweeper::open(Legacy).sweep().expect("all goes");
        let sets: Vec<String> = found.sets.iter().map(ToString::to_string).collect();
        assert_eq!(sets, ["KUBE-6-NODE-PORT-LOCAL-SCTP", "KUBE-NODE-PORT-SCTP"]);
        let mut left: Vec<String> = run("ipset", "list -n", "")
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        left.sort();
        assert_eq!(left, ["KUBE-IPVS-IPS", "KUBE-SRC-ABC"]);
    });
}

#[test]
fn a_set_in_use_stays_and_is_named() {
    in_namespace(|| {
        run(
            "ipset",
            "create KUBE-NODE-PORT-SCTP bitmap:port range 0-9",
            "",
        );
        let rule = "*nat\n-A OUTPUT -m set --match-set KUBE-NODE-PORT-SCTP dst -j ACCEPT\nCOMMIT\n";
        run("iptables-legacy-restore", "--noflush", rule);
        let failed = Sweeper::open(Legacy).sweep().expect_err("it is in use");
        let [failed] = &failed[..] else {
            panic!("{failed:?}");
        };
        let said = model::chain(failed);
        let start = "failed to delete set KUBE-NODE-PORT-SCTP that kube-proxy left: ";
        assert!(said.starts_with(start), "{said}");
    });
}

/// Creates the table `name` and returns true if it did not exist. The guest has no `nft`.
fn make_table(family: u8, name: &str) -> bool {
    const NFTABLES: u16 = 10;
    let message = |kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]| {
        let [high, low] = resource.to_be_bytes();
        let payload = [&[family, 0, high, low], attributes].concat();
        messages::message(kind, flags, 0, &payload)
    };
    let attribute = messages::attribute(1, name.as_bytes());
    let batch = [
        message(0x10, 1, 0, NFTABLES, &[]),
        message(NFTABLES << 8, 0x605, family, 0, &attribute),
        message(0x11, 1, 0, NFTABLES, &[]),
    ];
    let mut socket = Socket::open(Protocol::Netfilter).expect("a socket");
    socket.send(&batch.concat()).expect("it is sent");
    let mut answer = Vec::new();
    socket.receive(&mut answer).expect("an answer");
    let errno = i32::from_ne_bytes(answer[16..20].try_into().expect("the answer has an errno"));
    assert!([0, -libc::EEXIST].contains(&errno), "table {name}: {errno}");
    errno == 0
}

#[test]
fn tables_of_nftables_mode_are_deleted_and_others_kept() {
    in_namespace(|| {
        let mut sweeper = Sweeper::open(Legacy);
        if has_nf_tables() {
            for (family, name) in [(2, "kube-proxy"), (10, "kube-proxy"), (2, "mine")] {
                assert!(make_table(family, name));
            }
            let found = sweeper.sweep().expect("all goes");
            assert_eq!(found.nft_tables, [Ipv4, Ipv6].into());
            assert!(!make_table(2, "mine"), "the foreign table was deleted");
        }
        assert_eq!(sweeper.find().expect("none left"), Leftovers::default());
    });
}
