use std::collections::BTreeSet;

use ipset::Set;
use ipvs::AddressFamily::{self, Ipv4};
use model::host_rules::HostRules;
use model::rules::Rules;
use model::sets::SetKind;
use model::snapshot::Snapshot;
use model::text;

use super::{harmful_rules, harmful_rules_with_servers};
use crate::rules::{LocalTraffic, NodePortPlaces, rules};
use crate::testing::{config, texts};

/// A cluster IP, a load balancer, a node port and a foreign virtual server.
const TABLES: &str = "# ipvs\n-A -t 10.96.0.30:80 -s rr\n-A -u 10.96.0.10:53 -s rr\n-A -t 192.0.2.11:30080 -s rr\n\
     -A -t 192.0.2.11:443 -s rr\n-A -t 198.51.100.50:80 -s rr\n\
     # ipset\ncreate KUBE-CLUSTER-IP hash:ip,port family inet\nadd KUBE-CLUSTER-IP 10.96.0.30,tcp:80\n\
     add KUBE-CLUSTER-IP 10.96.0.10,udp:53\ncreate KUBE-LOAD-BALANCER hash:ip,port family inet\n\
     add KUBE-LOAD-BALANCER 198.51.100.50,tcp:80\ncreate KUBE-NODE-PORT-TCP bitmap:port range 0-65535\n\
     add KUBE-NODE-PORT-TCP 30080\n";

fn live(saved: &str, accepted: Option<&NodePortPlaces>) -> Snapshot {
    let mut live = Snapshot {
        tables: text::parse(TABLES).expect("tables"),
        ..Snapshot::default()
    };
    for kind in SetKind::ALL {
        let empty = || Set {
            header: kind.header(Ipv4, 0),
            entries: BTreeSet::new(),
        };
        let sets = &mut live.tables.sets;
        sets.entry(kind.name(Ipv4)).or_insert_with(empty);
    }
    live.host_rules.insert(Ipv4, HostRules::parse(saved));
    let rules: fn(AddressFamily, Option<&NodePortPlaces>) -> Rules = |family, accepted| {
        rules(
            family,
            config().masquerade,
            &LocalTraffic::Unknown,
            accepted,
        )
    };
    for family in AddressFamily::ALL {
        live.tables.rules.insert(family, rules(family, accepted));
    }
    live
}

fn check(saved: &str, accepts: bool, expected: &[&str]) {
    let mut config = config();
    config.accept_served_traffic = accepts;
    let accepted = accepts.then_some(&NodePortPlaces::Everywhere);
    let found = texts(harmful_rules(&live(saved, accepted), &config));
    assert_eq!(found, expected, "{saved}");
}

const DROP: &str = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";

#[test]
fn a_policy_is_named_once_and_with_the_setting() {
    check(
        DROP,
        false,
        &[
            "KIV0406 warning Node node1: acceptServedTraffic: policy DROP of chain INPUT of the IPv4 packet filter drops packets to \
             Services, such as 10.96.0.10:53/UDP; connections from pods and from outside get no answer; set acceptServedTraffic: true, \
             or accept them by a rule of your own",
        ],
    );
    check("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", false, &[]);
    check(DROP, true, &[]);
}

#[test]
fn a_rule_before_ours_is_named_despite_the_setting() {
    let before = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-NODE-PORT - [0:0]\n-A INPUT -p udp -j DROP\n\
         -A INPUT -j KUBE-NODE-PORT\nCOMMIT\n";
    check(
        before,
        true,
        &[
            "KIV0406 warning Node node1: acceptServedTraffic: rule `-A INPUT -p udp -j DROP` of the IPv4 packet filter drops packets \
             to Services, such as 10.96.0.10:53/UDP; connections from pods and from outside get no answer: the rule stands before \
             those of kube-ipvsd; move it behind the jump to KUBE-NODE-PORT",
        ],
    );
}

#[test]
fn an_earlier_accepting_rule_lowers_the_severity() {
    let saved = DROP.replace("-i lo", "-i cni0");
    check(
        &saved,
        false,
        &[
            "KIV0409 info Node node1: acceptServedTraffic: policy DROP of chain INPUT of the IPv4 packet filter drops packets to \
             Services, such as 10.96.0.10:53/UDP, that no earlier rule accepts; the first one that accepts some is `-A INPUT -i cni0 \
             -j ACCEPT`; other connections get no answer; where they should, set acceptServedTraffic: true",
        ],
    );
}

/// Packets that the administrator's rules accept raise no finding, nor do packets to a foreign
/// virtual server.
#[test]
fn accepted_packets_raise_no_finding() {
    let rest = "-A INPUT -d 10.96.0.0/12 -j ACCEPT\n-A INPUT -d 198.51.100.50/32 -j ACCEPT\n\
         -A INPUT -p tcp -m tcp --dport 30000:32767 -j ACCEPT\nCOMMIT\n";
    check(&DROP.replace("COMMIT\n", rest), false, &[]);
}

/// node-local-dns has the address of the cluster DNS and disables tracking for it.
#[test]
fn a_rule_against_tracking_of_a_virtual_address_is_named() {
    let saved = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
         -A OUTPUT -d 169.254.20.10/32 -p udp -m udp --dport 53 -j CT --notrack\n\
         -A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j CT --notrack\nCOMMIT\n";
    for accepts in [false, true] {
        check(
            saved,
            accepts,
            &[
                "KIV0407 warning Node node1: rules: rule `-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j CT --notrack` of the \
                 IPv4 packet filter keeps packets to 10.96.0.10:53/UDP from connection tracking; IPVS cannot masquerade them, so \
                 connections that need it get no answer; delete the rule, or leave this address out of the program that wrote it",
            ],
        );
    }
}

#[test]
fn findings_are_limited() {
    let rules: String = (0..20)
        .map(|port| {
            format!(
                "-A OUTPUT -p tcp -m multiport --dports {},80 -j NOTRACK\n",
                port + 1000
            )
        })
        .collect();
    let prerouting = rules.replace("OUTPUT", "PREROUTING");
    let saved = format!("*raw\n{rules}{prerouting}COMMIT\n");
    let found = harmful_rules(&live(&saved, None), &config());
    assert!((2..=super::FINDINGS).contains(&found.len()), "{found:?}");
}

#[test]
fn every_affected_virtual_server_is_named() {
    let rules = harmful_rules_with_servers(&live(DROP, None), &config());
    let servers = rules.iter().map(|rule| {
        let servers = rule.servers.iter().map(ToString::to_string);
        servers.collect::<Vec<_>>()
    });
    let expected = [
        "10.96.0.10:53/UDP",
        "10.96.0.30:80/TCP",
        "192.0.2.11:30080/TCP",
        "198.51.100.50:80/TCP",
    ];
    assert_eq!(servers.collect::<Vec<_>>(), [expected]);
}
