//! Tests that ipset and this crate understand each other's sets.

use ipset::client::Request;
use ipset::text;
use support::program::run;

use crate::namespace::{in_namespace, kernel, make, name, one, parse};

/// Sets of every type and family, sorted.
const SETS: &str = "\
create H hash:ip family inet maxelem 65536
add H 10.96.0.1
add H 10.96.0.2
create H6 hash:ip family inet6 maxelem 1024
add H6 fd00:10:96::1
create I hash:ip,port,ip family inet maxelem 65536
add I 10.244.1.5,tcp:8080,10.244.1.5
add I 10.244.1.5,tcp:8080,10.244.1.6
create I6 hash:ip,port,ip family inet6 maxelem 65536
add I6 fd00:10:244:1::5,sctp:8080,fd00:10:244:1::5
create N hash:ip,port,net family inet maxelem 65536
add N 203.0.113.15,tcp:80,128.0.0.0/1
add N 203.0.113.15,tcp:80,198.51.100.0/24
add N 203.0.113.15,tcp:80,198.51.100.7
create N6 hash:ip,port,net family inet6 maxelem 65536
add N6 2001:db8::15,udp:80,2001:db8:1::/48
add N6 2001:db8::15,udp:80,2001:db8:1::1
create P hash:ip,port family inet maxelem 2
add P 10.96.0.1,tcp:443
add P 10.96.0.1,udp:53
create P6 hash:ip,port family inet6 maxelem 65536
add P6 fd00:10:96::1,tcp:443
create Q bitmap:port range 0-65535
add Q 0
add Q 30480
add Q 65535
create R bitmap:port range 80-100
add R 90
";

#[test]
fn client_reads_back_its_own_sets() {
    in_namespace(|client| {
        make(client, SETS);
        assert_eq!(kernel(client), SETS);
        for (name, set) in parse(SETS) {
            assert_eq!(client.set(&name).expect("read"), Some(set), "{name}");
        }
    });
}

#[test]
fn ipset_lists_our_sets() {
    in_namespace(|client| {
        make(client, SETS);
        assert_eq!(text::print(&parse(&run("ipset", "save", ""))), SETS);
    });
}

#[test]
fn client_reads_sets_of_ipset() {
    in_namespace(|client| {
        run("ipset", "restore", SETS);
        assert_eq!(kernel(client), SETS);
    });
}

#[test]
fn names_and_headers_without_entries() {
    in_namespace(|client| {
        make(client, SETS);
        let sets = parse(SETS);
        let headers = client.headers().expect("read");
        let expected = sets.iter().map(|(name, set)| (name.clone(), set.header));
        assert_eq!(headers, expected.collect());
        assert_eq!(client.names().expect("read"), sets.into_keys().collect());
    });
}

#[test]
fn missing_sets() {
    in_namespace(|client| {
        assert_eq!(client.set(&name("A")).expect("read"), None);
        assert_eq!(kernel(client), "");
        assert!(client.headers().expect("read").is_empty());
        assert!(client.names().expect("read").is_empty());
    });
}

/// Unsupported sets are listed by name and do not affect the others.
#[test]
fn unsupported_sets() {
    const FOREIGN: &str = "\
create ADDRESSES hash:ip,mark
add ADDRESSES 10.0.0.1,7
create COUNTERS hash:ip counters
add COUNTERS 10.0.0.1
create LIST list:set
add LIST COUNTERS
create MACS hash:mac
add MACS 02:00:00:00:00:01
create NETS hash:net,iface
add NETS 10.0.0.0/8,eth0
create NOMATCH hash:ip,port,net
add NOMATCH 10.0.0.1,80,10.0.0.0/8
add NOMATCH 10.0.0.1,80,10.1.0.0/16 nomatch
create RANGE bitmap:ip range 10.0.0.0/24
add RANGE 10.0.0.1
create TIMES hash:ip,port timeout 600 comment
add TIMES 10.0.0.1,80 timeout 60 comment words
";
    in_namespace(|client| {
        run("ipset", "restore", FOREIGN);
        make(client, SETS);
        let mut sets = client.list().expect("read");
        for word in FOREIGN
            .lines()
            .filter_map(|line| line.strip_prefix("create "))
        {
            let foreign = name(word.split(' ').next().expect("a name"));
            let set = sets.remove(&foreign).expect("listed");
            assert_eq!(set.header, ipset::Header::Unsupported, "{foreign}");
            assert!(set.entries.is_empty());
        }
        assert_eq!(text::print(&sets), SETS);
    });
}

#[test]
fn queried_entries() {
    in_namespace(|client| {
        make(client, SETS);
        for (name, set) in parse(SETS) {
            for entry in set.entries {
                assert!(client.test(&name, entry).expect("asked"), "{name} {entry}");
            }
        }
        let other = one("create R bitmap:port range 80-100\nadd R 91").1;
        let entry = *other.entries.first().expect("an entry");
        assert!(!client.test(&name("R"), entry).expect("asked"));
    });
}

#[test]
fn sets_are_flushed_renamed_swapped_and_destroyed() {
    in_namespace(|client| {
        make(
            client,
            "create A hash:ip\nadd A 10.0.0.1\ncreate B hash:ip maxelem 7",
        );
        let [a, b, c] = ["A", "B", "C"].map(name);
        crate::namespace::do_all(client, &[Request::Swap(a.clone(), b.clone())]);
        let swapped = "create A hash:ip family inet maxelem 7\n\
                       create B hash:ip family inet maxelem 65536\nadd B 10.0.0.1\n";
        assert_eq!(kernel(client), swapped);
        crate::namespace::do_all(
            client,
            &[
                Request::Flush(b.clone()),
                Request::Destroy(a),
                Request::Rename(b, c.clone()),
            ],
        );
        assert_eq!(
            kernel(client),
            "create C hash:ip family inet maxelem 65536\n"
        );
        crate::namespace::do_all(client, &[Request::Destroy(c.clone()), Request::Destroy(c)]);
        assert_eq!(kernel(client), "");
    });
}

/// Linux 4.20 and later support protocol 7.
#[test]
fn newest_common_protocol_is_used() {
    in_namespace(|client| assert_eq!(client.protocol(), 7));
}
