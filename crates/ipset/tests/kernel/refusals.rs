//! Tests of requests that the kernel refuses, and of the errors' texts.

use std::error::Error as _;

use ipset::client::{Client, ErrorKind, OpenError, Request};
use ipset::{Entry, Header, Protocol};
use support::namespace::drop_capabilities;
use support::program::run;

use crate::namespace::{attempts, do_all, in_namespace, ip_port, make, name, one};

const SETS: &str = "create A hash:ip,port maxelem 1\nadd A 10.0.0.1,tcp:80\n\
                    create B bitmap:port range 80-90\ncreate N hash:ip,port,net\n";

/// Checks that `request` fails with `kind` and these texts.
fn check(request: &Request, kind: ErrorKind, words: &str, cause: &str) {
    in_namespace(|client| {
        make(client, SETS);
        run(
            "iptables",
            "-A INPUT -m set --match-set A dst,dst -j ACCEPT",
            "",
        );
        let outcome = client.execute(std::slice::from_ref(request)).remove(0);
        let error = outcome.expect_err("refused");
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), words);
        assert_eq!(error.source().expect("a cause").to_string(), cause);
        assert_eq!(error.request(), request);
    });
}

fn add(set: &str, entry: &str) -> Request {
    Request::Add(name(set), entry.parse().expect("an entry"))
}

#[test]
fn another_set_of_this_name() {
    check(
        &Request::Create(name("A"), ip_port(2)),
        ErrorKind::AlreadyExists,
        "failed to create set A hash:ip,port family inet maxelem 2",
        "there is another set of this name (error 17)",
    );
    check(
        &Request::Rename(name("B"), name("A")),
        ErrorKind::AlreadyExists,
        "failed to rename set B to A",
        "there is another set of this name (error 4101)",
    );
}

#[test]
fn creating_an_equal_set_is_not_an_error() {
    in_namespace(|client| {
        make(client, SETS);
        make(client, SETS);
    });
}

#[test]
fn an_unsupported_type() {
    check(
        &Request::Create(name("X"), Header::Unsupported),
        ErrorKind::Invalid,
        "failed to create set X unsupported",
        "the kernel does not understand the request (error 22)",
    );
}

#[test]
fn a_set_in_use() {
    check(
        &Request::Destroy(name("A")),
        ErrorKind::InUse,
        "failed to destroy set A",
        "a rule or another set uses it (error 4100)",
    );
    check(
        &Request::Rename(name("A"), name("X")),
        ErrorKind::InUse,
        "failed to rename set A to X",
        "a rule or another set uses it (error 4108)",
    );
}

#[test]
fn a_missing_set() {
    for (request, words) in [
        (
            add("X", "10.0.0.1,tcp:80"),
            "failed to add 10.0.0.1,tcp:80 to set X",
        ),
        (Request::Flush(name("X")), "failed to flush set X"),
        (
            Request::Rename(name("X"), name("Y")),
            "failed to rename set X to Y",
        ),
        (
            Request::Swap(name("X"), name("A")),
            "failed to swap sets X and A",
        ),
    ] {
        check(
            &request,
            ErrorKind::NoSuchSet,
            words,
            "there is no such set (error 2)",
        );
    }
    check(
        &Request::Swap(name("A"), name("X")),
        ErrorKind::NoSuchSet,
        "failed to swap sets A and X",
        "there is no such set (error 4101)",
    );
}

#[test]
fn sets_of_different_types() {
    check(
        &Request::Swap(name("A"), name("B")),
        ErrorKind::TypeMismatch,
        "failed to swap sets A and B",
        "the two sets are of different types (error 4102)",
    );
}

#[test]
fn a_full_set() {
    check(
        &add("A", "10.0.0.2,udp:53"),
        ErrorKind::Full,
        "failed to add 10.0.0.2,udp:53 to set A",
        "the set is full (error 4352)",
    );
}

#[test]
fn a_port_out_of_range() {
    check(
        &add("B", "91"),
        ErrorKind::OutOfRange,
        "failed to add 91 to set B",
        "the port is outside the range of the set (error 4352)",
    );
}

#[test]
fn entries_that_do_not_fit() {
    for (set, entry, number) in [
        // An address of the other family.
        ("A", "fd00::1,tcp:80", 4097),
        // No network.
        ("N", "10.0.0.1,tcp:80", 4097),
    ] {
        let request = add(set, entry);
        in_namespace(|client| {
            make(client, SETS);
            let error = client.execute(&[request]).remove(0).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Unfit);
            let cause = error.source().expect("a cause").to_string();
            assert!(cause.ends_with(&format!("(error {number})")), "{cause}");
        });
    }
    let everything = "0.0.0.0/0".parse().expect("a network");
    let address = "10.0.0.1".parse().expect("an address");
    let entry = Entry::IpPortNet(address, Protocol::TCP, 80, everything);
    check(
        &Request::Add(name("N"), entry),
        ErrorKind::Unfit,
        "failed to add 10.0.0.1,tcp:80,0.0.0.0/0 to set N",
        "the entry does not fit the set (error 4104)",
    );
    check(
        &Request::Add(name("A"), Entry::IpPort(address, Protocol(0), 80)),
        ErrorKind::Unfit,
        "failed to add 10.0.0.1,0:80 to set A",
        "the entry does not fit the set (error 4354)",
    );
}

#[test]
fn a_missing_entry() {
    check(
        &Request::Test(name("B"), Entry::Port(85)),
        ErrorKind::NoSuchEntry,
        "failed to look for 85 in set B",
        "the set does not hold this entry (error 4103)",
    );
}

#[test]
fn without_capabilities() {
    in_namespace(|client| {
        make(client, SETS);
        drop_capabilities();
        // The socket was opened with capabilities, but the kernel checks them for each request.
        let requests = [Request::Flush(name("A")), add("A", "10.0.0.2,tcp:80")];
        let outcomes = attempts(client, &requests);
        assert_eq!(outcomes, [Some(ErrorKind::NotPermitted); 2]);
        let error = client.list().expect_err("not permitted");
        assert_eq!(error.kind(), ErrorKind::NotPermitted);
        let error = Client::open().expect_err("not permitted");
        assert!(matches!(error, OpenError::NotPermitted), "{error}");
    });
}

#[test]
fn refusal_does_not_stop_others() {
    in_namespace(|client| {
        do_all(client, &[Request::Create(name("A"), ip_port(9))]);
        let requests = [
            Request::Destroy(name("A")),
            add("A", "10.0.0.1,tcp:80"),
            Request::Create(name("A"), one("create A hash:ip").1.header),
            add("A", "10.0.0.1"),
        ];
        let outcomes = attempts(client, &requests);
        assert_eq!(outcomes, [None, Some(ErrorKind::NoSuchSet), None, None]);
    });
}
