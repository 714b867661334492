use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use super::{Line, parse, parse_line, print, print_create, print_entry};
use crate::testing::{name, set};
use crate::{Entry, Protocol};

/// Parses a line and prints it.
fn printed(line: &str) -> String {
    match parse_line(line) {
        Ok(Line::Create(name, header)) => print_create(&name, &header),
        Ok(Line::Add(name, entry)) => print_entry(&name, &entry),
        Err(problem) => panic!("{line}: {problem}"),
    }
}

#[test]
fn sets() {
    for line in [
        "create KUBE-IPVS-IPS hash:ip family inet maxelem 65536",
        "create KUBE-CLUSTER-IP hash:ip,port family inet maxelem 65536",
        "create KUBE-6-LOOP-BACK hash:ip,port,ip family inet6 maxelem 65536",
        "create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 maxelem 131072",
        "create KUBE-NODE-PORT-TCP bitmap:port range 0-65535",
        "create B bitmap:port range 80-100",
    ] {
        assert_eq!(printed(line), line);
    }
}

#[test]
fn entries() {
    for line in [
        "add KUBE-IPVS-IPS 10.96.0.1",
        "add KUBE-6-IPVS-IPS fd00:10:96::15",
        "add KUBE-CLUSTER-IP 10.96.0.1,tcp:443",
        "add KUBE-CLUSTER-IP 10.96.2.1,udp:53",
        "add KUBE-NODE-PORT-SCTP-HASH 192.168.78.10,sctp:30099",
        "add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5",
        "add KUBE-6-LOOP-BACK fd00:10:244:1::5,tcp:8080,fd00:10:244:1::5",
        "add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.15,tcp:80,198.51.100.0/24",
        "add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.15,tcp:80,128.0.0.0/1",
        "add N6 fd00::1,tcp:80,fd00::/64",
        "add KUBE-NODE-PORT-TCP 30480",
        "add X 10.0.0.1,udplite:80",
        "add X 10.0.0.1,253:0",
    ] {
        assert_eq!(printed(line), line);
    }
}

#[test]
fn lines_are_printed_in_the_form_of_ipset() {
    for (what, line, expected) in [
        (
            "options chosen by the kernel are skipped",
            "create N hash:ip,port,net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xdf1a4c84",
            "create N hash:ip,port,net family inet maxelem 65536",
        ),
        (
            "defaults are added",
            "create N hash:ip",
            "create N hash:ip family inet maxelem 65536",
        ),
        (
            "host bits of networks are cleared",
            "add N 10.0.0.1,tcp:80,10.2.3.4/25",
            "add N 10.0.0.1,tcp:80,10.2.3.0/25",
        ),
        // As ipset 7.17 does.
        (
            "a network of one host has no length",
            "add N 10.0.0.1,tcp:80,10.2.3.4/32",
            "add N 10.0.0.1,tcp:80,10.2.3.4",
        ),
        (
            "nor has one of IPv6",
            "add N6 fd00::1,tcp:80,fd00::2/128",
            "add N6 fd00::1,tcp:80,fd00::2",
        ),
    ] {
        assert_eq!(printed(line), expected, "{what}");
    }
}

#[test]
fn last_address_is_converted_to_the_type_of_the_set() {
    let add = "add S 10.0.0.1,tcp:80,10.2.3.4";
    let (address, host) = ([10, 0, 0, 1].into(), [10, 2, 3, 4].into());
    let network = IpNetwork::from(host);
    for (last, expected) in [
        ("net", Entry::IpPortNet(address, Protocol::TCP, 80, network)),
        ("ip", Entry::IpPortIp(address, Protocol::TCP, 80, host)),
    ] {
        for length in ["", "/32"] {
            let text = format!("{add}{length}\ncreate S hash:ip,port,{last}\n");
            let sets = parse(&text).expect("it parses");
            let entries = sets.values().flat_map(|set| &set.entries);
            assert_eq!(entries.collect::<Vec<_>>(), [&expected], "{text}");
        }
    }
}

#[test]
fn errors_in_a_line_name_the_problem() {
    let cases = [
        ("", "expected create or add, but the line ends"),
        ("flush X", "`flush` is not create or add"),
        ("create", "expected a set's name, but the line ends"),
        ("create X", "expected a set's type, but the line ends"),
        (
            "create X hash:mac",
            "`hash:mac` is not bitmap:port or a supported type of hash",
        ),
        (
            "create X hash:ip family inet timeout 5",
            "option `timeout` of hash:ip is not supported",
        ),
        (
            "create X hash:ip family inet4",
            "`inet4` is not inet or inet6",
        ),
        (
            "create X hash:ip maxelem many",
            "maxelem: `many` is not a number in its range",
        ),
        (
            "create X hash:ip hashsize",
            "expected a number, but the line ends",
        ),
        (
            "create X bitmap:port timeout 5",
            "option `timeout` of bitmap:port is not supported",
        ),
        (
            "create X bitmap:port range 9-1",
            "`9-1` is not a range of ports such as 0-65535",
        ),
        (
            "create X bitmap:port range 0-1 counters",
            "unexpected `counters` at the end of the line",
        ),
        (
            "create KUBE-6-LOAD-BALANCER-SOURCE-CIDR hash:ip",
            "`KUBE-6-LOAD-BALANCER-SOURCE-CIDR` is not a name of a set: \
             a name has 1 to 31 bytes and no zero byte",
        ),
        ("add X", "expected an entry, but the line ends"),
        ("add X 70000", "`70000` is not an address"),
        ("add X 10.0.0.300", "`10.0.0.300` is not an address"),
        (
            "add X 10.0.0.1,80",
            "`80` is not a protocol and port such as tcp:80",
        ),
        (
            "add X 10.0.0.1,gre:0",
            "`gre` is not tcp, udp, sctp, udplite or a number",
        ),
        (
            "add X 10.0.0.1,tcp:70000",
            "a port: `70000` is not a number in its range",
        ),
        (
            "add X 10.0.0.1,tcp:80,net",
            "`net` is not an address or a network",
        ),
        (
            "add X 10.0.0.1,tcp:80,0.0.0.0/0",
            "`0.0.0.0/0` has length 0, which sets of this type do not accept",
        ),
        (
            "add X 10.0.0.1,tcp:80,fd00::1",
            "10.0.0.1 and fd00::1 are of different families",
        ),
        (
            "add X 10.0.0.1,tcp:80,fd00::/64",
            "10.0.0.1 and fd00:: are of different families",
        ),
        (
            "add X 10.0.0.1,tcp:80,10.0.0.1,tcp:80",
            "`10.0.0.1,tcp:80,10.0.0.1,tcp:80` has more than three parts",
        ),
        (
            "add X 10.0.0.1 timeout 5",
            "unexpected `timeout` at the end of the line",
        ),
    ];
    for (line, problem) in cases {
        assert_eq!(parse_line(line), Err(problem.to_owned()));
    }
}

#[test]
fn errors_between_lines_name_the_line() {
    let cases = [
        ("add X 80\n", "line 1: no line creates the set X"),
        (
            "create X hash:ip\n\n# again\ncreate X hash:ip\n",
            "line 4: set X is created twice",
        ),
        (
            "create X hash:ip\nadd X 80\n",
            "line 2: `80` does not fit a set of type hash:ip family inet maxelem 65536",
        ),
        (
            "create X hash:ip\nadd X fd00::1\n",
            "line 2: `fd00::1` does not fit a set of type hash:ip family inet maxelem 65536",
        ),
        (
            "create X bitmap:port range 1-9\nadd X 10\n",
            "line 2: `10` does not fit a set of type bitmap:port range 1-9",
        ),
        (
            "create X hash:ip,port,ip\nadd X 10.0.0.1,tcp:1,10.0.0.0/8\n",
            "line 2: `10.0.0.1,tcp:1,10.0.0.0/8` does not fit a set of type \
             hash:ip,port,ip family inet maxelem 65536",
        ),
    ];
    for (text, problem) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), problem);
    }
}

proptest! {
    #[test]
    fn printed_sets_parse_back(sets in prop::collection::btree_map(name(), set(), 0..5)) {
        prop_assert_eq!(parse(&print(&sets)), Ok(sets));
    }

    #[test]
    fn the_order_of_lines_does_not_matter(sets in prop::collection::btree_map(name(), set(), 0..5)) {
        let text = print(&sets);
        let reversed: String = text.lines().rev().flat_map(|line| [line, "\n"]).collect();
        prop_assert_eq!(parse(&reversed), Ok::<BTreeMap<_, _>, _>(sets));
    }

    #[test]
    fn parse_never_panics(line in "\\PC{0,60}") {
        let _ = parse_line(&line);
        let _ = parse_line(&format!("add X {line}"));
        let _ = parse_line(&format!("create X {line}"));
    }
}
