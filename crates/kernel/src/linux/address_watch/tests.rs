use super::known::{DEL_ADDRESS, DEL_LINK, Known, NEW_ADDRESS, NEW_LINK};

const UNSPEC: u8 = 0;
const BRIDGE: u8 = 7;
const INET: u8 = 2;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("it is short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A `struct ifinfomsg` with a name.
fn link(family: u8, index: u32, name: &str) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(attribute(3, format!("{name}\0").as_bytes()));
    bytes
}

/// A `struct ifaddrmsg` with an address of 24 bits.
fn address(index: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![INET, 24, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(2, &[192, 0, 2, last]));
    bytes
}

/// Whether each message is a change, one after the other.
fn check(messages: &[(u16, Vec<u8>, bool)]) {
    let mut known = Known::default();
    for (place, (kind, payload, wanted)) in messages.iter().enumerate() {
        let changed = known.take(*kind, payload).expect("it is well formed");
        assert_eq!(changed, *wanted, "message {place}");
    }
}

#[test]
fn links_that_appear_vanish_or_are_renamed() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_LINK, link(UNSPEC, 2, "eth0"), false),
        (NEW_LINK, link(UNSPEC, 2, "eth1"), true),
        (DEL_LINK, link(UNSPEC, 2, "eth1"), true),
    ]);
}

#[test]
fn addresses_that_come_and_go() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_ADDRESS, address(2, 1), true),
        (NEW_ADDRESS, address(2, 1), false),
        (NEW_ADDRESS, address(2, 2), true),
        (DEL_ADDRESS, address(2, 1), true),
        (NEW_ADDRESS, address(2, 1), true),
    ]);
}

#[test]
fn an_address_that_is_not_known_to_be_there_can_go() {
    check(&[(DEL_ADDRESS, address(2, 1), true)]);
}

#[test]
fn nothing_of_our_own_device_is_a_change() {
    check(&[
        (NEW_LINK, link(UNSPEC, 5, "kube-ipvs0"), false),
        (NEW_ADDRESS, address(5, 1), false),
        (DEL_ADDRESS, address(5, 1), false),
        (DEL_LINK, link(UNSPEC, 5, "kube-ipvs0"), false),
    ]);
}

/// And its index may then be another's.
#[test]
fn our_device_with_another_name_is_another_device() {
    check(&[
        (NEW_LINK, link(UNSPEC, 5, "kube-ipvs0"), false),
        (NEW_LINK, link(UNSPEC, 5, "other"), true),
        (NEW_ADDRESS, address(5, 1), true),
        (DEL_LINK, link(UNSPEC, 5, "other"), true),
        (NEW_LINK, link(UNSPEC, 5, "kube-ipvs0"), false),
    ]);
}

#[test]
fn a_port_that_leaves_its_bridge_is_still_there() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_LINK, link(BRIDGE, 2, "eth0"), false),
        (DEL_LINK, link(BRIDGE, 2, "eth0"), false),
        (DEL_LINK, link(UNSPEC, 2, "eth0"), true),
    ]);
}

#[test]
fn the_addresses_of_a_link_go_with_it() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_ADDRESS, address(2, 1), true),
        (DEL_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_ADDRESS, address(2, 1), true),
    ]);
}

#[test]
fn what_else_the_kernel_tells_is_no_change() {
    check(&[(24, vec![0; 12], false)]);
}

fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).expect("it is short");
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend(payload);
    bytes
}

#[test]
fn a_datagram_may_have_several_messages() {
    let ours = message(NEW_LINK, &link(UNSPEC, 5, "kube-ipvs0"));
    let other = message(NEW_ADDRESS, &address(2, 1));
    let mut known = Known::default();
    assert!(!known.take_all(&ours));
    assert!(known.take_all(&[ours, other].concat()));
}

#[test]
fn a_message_that_is_not_understood_is_a_change() {
    let mut known = Known::default();
    assert!(known.take_all(&message(NEW_LINK, &[0, 0, 0])));
    assert!(!known.take_all(&[]));
}
