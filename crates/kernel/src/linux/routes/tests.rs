use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Route, decode, routes};

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
    let links = BTreeMap::from([(3, "eth0".into())]);
    let mut payload = vec![2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(decode(&payload, &links).expect("a message"), None);
    payload.extend([8, 0, 4, 0]);
    payload.extend(3_u32.to_ne_bytes());
    let mut expected = Route {
        interface: "eth0".into(),
        source: None,
        local: false,
    };
    assert_eq!(
        decode(&payload, &links).expect("a message"),
        Some(expected.clone())
    );
    payload.extend([8, 0, 7, 0, 192, 0, 2, 1]);
    expected.source = "192.0.2.1".parse().ok();
    payload[7] = 2;
    expected.local = true;
    assert_eq!(decode(&payload, &links).expect("a message"), Some(expected));
    payload[7] = 7;
    assert_eq!(decode(&payload, &links).expect("a message"), None);
    assert!(decode(&payload[..5], &links).is_err());
    payload[7] = 1;
    assert!(decode(&payload[..14], &links).is_err());
}
