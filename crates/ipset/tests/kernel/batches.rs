//! Tests of many entries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use ipnetwork::IpNetwork;
use ipset::client::{ErrorKind, Request, RequestError};
use ipset::{Entry, Header, Protocol, Set};

use crate::namespace::{adds, attempts, do_all, in_namespace, ip_port, kernel, name, one};

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

fn at(number: u32) -> Entry {
    Entry::IpPort(address(number), Protocol::TCP, 80)
}

/// Returns an entry that the set does not accept: an address of the other family.
fn unfit() -> Entry {
    Entry::IpPort(Ipv6Addr::LOCALHOST.into(), Protocol::TCP, 80)
}

fn add(entry: Entry) -> Request {
    Request::Add(name("A"), entry)
}

fn set(header: Header, entries: impl Iterator<Item = Entry>) -> Set {
    let entries = entries.collect();
    Set { header, entries }
}

#[test]
fn twenty_thousand_entries_of_each_family() {
    let (_, four) = one("create A hash:ip,port,net");
    let (_, six) = one("create A hash:ip,port,net family inet6");
    let of_four = |number| {
        let network = IpNetwork::new(address(number << 8), 24).expect("a network");
        Entry::IpPortNet(address(number), Protocol::UDP, 53, network)
    };
    let of_six = |number: u32| {
        let [low, high] = [
            Ipv6Addr::from(u128::from(number)),
            Ipv6Addr::from(u128::from(number) << 64),
        ];
        let network = IpNetwork::new(high.into(), 64).expect("a network");
        Entry::IpPortNet(low.into(), Protocol::UDP, 53, network)
    };
    for set in [
        set(four.header, (0..20_000).map(of_four)),
        set(six.header, (0..20_000).map(of_six)),
    ] {
        in_namespace(|client| {
            let mut requests = vec![Request::Create(name("A"), set.header)];
            requests.extend(adds(&name("A"), &set));
            let start = Instant::now();
            do_all(client, &requests);
            let added = start.elapsed();
            let read = client.set(&name("A")).expect("read").expect("there");
            println!("added in {added:?}, read in {:?}", start.elapsed() - added);
            assert_eq!(read, set);
            let deletes: Vec<Request> = (set.entries.iter())
                .map(|entry| Request::Del(name("A"), *entry))
                .collect();
            do_all(client, &deletes);
            // Deleted entries can be deleted again.
            do_all(client, &deletes);
            let left = client.set(&name("A")).expect("read").expect("there");
            assert!(left.entries.is_empty());
        });
    }
}

#[test]
fn every_port() {
    let (_, empty) = one("create A bitmap:port range 0-65535");
    let set = set(empty.header, (0..=u16::MAX).map(Entry::Port));
    in_namespace(|client| {
        do_all(client, &[Request::Create(name("A"), set.header)]);
        do_all(client, &adds(&name("A"), &set));
        assert_eq!(client.set(&name("A")).expect("read"), Some(set));
    });
}

/// Each entry has its own outcome, whatever the outcomes of its neighbours.
#[test]
fn entries_that_fail_among_others() {
    // The first and last entry of a message, several in a row, and one in ten.
    let fails =
        |number: u32| matches!(number, 0 | 699 | 700 | 1_399 | 1_500..1_520) || number % 10 == 3;
    let expected: Vec<Option<ErrorKind>> = (0..3_000)
        .map(|number| fails(number).then_some(ErrorKind::Unfit))
        .collect();
    in_namespace(|client| {
        do_all(client, &[Request::Create(name("A"), ip_port(65_536))]);
        let requests: Vec<Request> = (0..3_000)
            .map(|number| add(if fails(number) { unfit() } else { at(number) }))
            .collect();
        assert_eq!(attempts(client, &requests), expected);
        let there = set(
            ip_port(65_536),
            (0..3_000).filter(|number| !fails(*number)).map(at),
        );
        assert_eq!(client.set(&name("A")).expect("read"), Some(there));
    });
}

#[test]
fn two_thousand_failures_have_two_thousand_outcomes() {
    in_namespace(|client| {
        do_all(client, &[Request::Create(name("A"), ip_port(65_536))]);
        let requests = vec![add(unfit()); 2_000];
        let outcomes = attempts(client, &requests);
        assert_eq!(outcomes, vec![Some(ErrorKind::Unfit); 2_000]);
        let requests: Vec<Request> = (0..2_000)
            .map(|number| Request::Add(name("B"), at(number)))
            .collect();
        let outcomes = attempts(client, &requests);
        assert_eq!(outcomes, vec![Some(ErrorKind::NoSuchSet); 2_000]);
    });
}

#[test]
fn a_set_takes_entries_up_to_its_maximum() {
    in_namespace(|client| {
        do_all(client, &[Request::Create(name("A"), ip_port(1_000))]);
        let requests: Vec<Request> = (0..1_500).map(|number| add(at(number))).collect();
        let outcomes = client.execute(&requests);
        for (number, outcome) in (0..).zip(&outcomes) {
            let kind = outcome.as_ref().err().map(RequestError::kind);
            assert_eq!(
                kind,
                (number >= 1_000).then_some(ErrorKind::Full),
                "{number}"
            );
        }
        let error = outcomes[1_200].as_ref().expect_err("full");
        assert_eq!(
            error.to_string(),
            "failed to add 10.0.4.176,tcp:80 to set A"
        );
        let cause = std::error::Error::source(error).expect("a cause");
        assert_eq!(cause.to_string(), "the set is full (error 4352)");
        // An existing entry can be added again, and a deleted one makes room.
        let again = [
            add(at(5)),
            Request::Del(name("A"), at(5)),
            add(at(1_001)),
            add(at(1_002)),
        ];
        let expected = [None, None, None, Some(ErrorKind::Full)];
        assert_eq!(attempts(client, &again), expected);
    });
}

#[test]
fn entries_of_several_sets_in_turn() {
    in_namespace(|client| {
        let mut requests: Vec<Request> = ["A", "B"]
            .map(|set| Request::Create(name(set), ip_port(100)))
            .into();
        for number in 0..5 {
            requests.push(Request::Add(name("A"), at(number)));
            requests.push(Request::Add(name("B"), at(number)));
            requests.push(Request::Add(name("B"), at(100)));
            requests.push(Request::Del(name("B"), at(100)));
        }
        do_all(client, &requests);
        let mut expected = String::new();
        for set in ["A", "B"] {
            expected += &format!("create {set} hash:ip,port family inet maxelem 100\n");
            for last in 0..5 {
                expected += &format!("add {set} 10.0.0.{last},tcp:80\n");
            }
        }
        assert_eq!(kernel(client), expected);
    });
}

#[test]
fn empty_batch_has_no_outcomes() {
    in_namespace(|client| {
        assert!(client.execute(&[]).is_empty());
        assert_eq!(kernel(client), "");
    });
}

/// The initial size suits the entries that the same requests add; otherwise the kernel would have
/// to grow the hash.
#[test]
fn initial_size_suits_the_added_entries() {
    in_namespace(|client| {
        let all = set(ip_port(65_536), (0..20_000).map(at));
        do_all(client, &[Request::Create(name("A"), all.header)]);
        assert_eq!(size(client), 1_024);
        let mut requests = vec![
            Request::Destroy(name("A")),
            Request::Create(name("A"), all.header),
        ];
        requests.extend(adds(&name("A"), &all));
        do_all(client, &requests);
        assert_eq!(size(client), 8_192);
    });

    fn size(_: &ipset::client::Client) -> u32 {
        let text = support::program::run("ipset", "list -t A", "");
        let (_, rest) = text.split_once("hashsize ").expect("a hash");
        let number = rest.split(' ').next().expect("a number");
        number.parse().expect("a number")
    }
}
