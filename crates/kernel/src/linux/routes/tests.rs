use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{Name, chain};
use netlink::Failure;
use netlink_packet_core::DecodeError;

use super::{Hop, NO_ROUTE, Route, decode, route, routes};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn loopback_is_reached_by_lo() {
    let found = routes(&BTreeSet::from([LOOPBACK])).expect("routes");
    let route = found.routes.get(&LOOPBACK).expect("a route");
    assert_eq!(&*route.interface, "lo");
    assert_eq!(route.source, Some(LOOPBACK));
    assert!(found.interfaces.iter().any(|name| &**name == "lo"));
}

#[test]
fn message_is_decoded() {
    let mut payload = vec![2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
    assert!(decode(&payload).is_err(), "no interface");
    payload.extend([8, 0, 4, 0]);
    payload.extend(3_u32.to_ne_bytes());
    let hop = |source: Option<&str>, local: bool| {
        Some(Hop {
            index: 3,
            source: source.and_then(|source| source.parse().ok()),
            local,
        })
    };
    assert_eq!(decode(&payload).expect("a message"), hop(None, false));
    payload.extend([8, 0, 7, 0, 192, 0, 2, 1]);
    payload[7] = 2;
    let local = hop(Some("192.0.2.1"), true);
    assert_eq!(decode(&payload).expect("a message"), local);
    payload[7] = 7;
    assert_eq!(decode(&payload).expect("a message"), None);
    assert!(decode(&payload[..5]).is_err());
    payload[7] = 1;
    assert!(decode(&payload[..14]).is_err());
}

fn links() -> BTreeMap<u32, Name> {
    BTreeMap::from([(3, "eth0".into())])
}

fn refused(errno: i32) -> Failure {
    Failure::Refused {
        errno: netlink::Errno(errno),
        message: None,
    }
}

#[test]
fn a_missing_route_is_no_error() {
    for errno in NO_ROUTE {
        let found = route(LOOPBACK, Err(refused(errno)), None, &links());
        assert_eq!(found.expect("an answer"), None, "{errno}");
    }
    let found = route(LOOPBACK, Ok(()), Some(Ok(None)), &links());
    assert_eq!(found.expect("an answer"), None);
    let hop = Hop {
        index: 3,
        source: None,
        local: false,
    };
    let found = route(LOOPBACK, Ok(()), Some(Ok(Some(hop))), &links());
    let expected = Route {
        interface: "eth0".into(),
        source: None,
        local: false,
    };
    assert_eq!(found.expect("an answer"), Some(expected));
}

#[test]
fn a_failed_lookup_names_its_destination() {
    type Answer = Option<Result<Option<Hop>, DecodeError>>;
    let check = |outcome: Result<(), Failure>, answer: Answer, expected: &str| {
        let error = route(LOOPBACK, outcome, answer, &links()).expect_err("an error");
        assert_eq!(chain(&error), expected);
    };
    let unknown = "the route to 127.0.0.1 is unknown: ";
    let lost = format!("{unknown}the kernel's answer was lost");
    check(Err(Failure::Lost), None, &lost);
    check(Ok(()), None, &lost);
    let full = std::io::Error::other("the buffer is full");
    check(
        Err(Failure::NotSent(full)),
        None,
        &format!("{unknown}failed to send to the kernel: the buffer is full"),
    );
    let refusal = refused(libc::ENOBUFS);
    let expected = format!("{unknown}{refusal}");
    check(Err(refusal), None, &expected);
    check(
        Ok(()),
        Some(Err(DecodeError::from("too short"))),
        "the answer with the route to 127.0.0.1 cannot be decoded: too short",
    );
    let hop = Hop {
        index: 9,
        source: None,
        local: false,
    };
    check(
        Ok(()),
        Some(Ok(Some(hop))),
        "the route to 127.0.0.1 is by interface number 9, which appeared meanwhile: run the command again",
    );
}
