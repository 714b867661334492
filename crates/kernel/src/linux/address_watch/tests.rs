use support::messages::{self, attribute};

use super::changes::{Changes, Lost, LostAddresses};
use super::known::{DEL_ADDRESS, DEL_LINK, Known, NEW_ADDRESS, NEW_LINK};

const UNSPEC: u8 = 0;
const BRIDGE: u8 = 7;
const INET: u8 = 2;

/// A `struct ifinfomsg` with a name.
fn link(family: u8, index: u32, name: &str) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(attribute(3, format!("{name}\0").as_bytes()));
    bytes
}

/// The dummy device, or a device of its name and of this kind.
fn device(index: u32, kind: &str) -> Vec<u8> {
    let mut bytes = link(UNSPEC, index, "kube-ipvs0");
    let kind = attribute(1, format!("{kind}\0").as_bytes());
    bytes.extend(attribute(18, &kind));
    bytes
}

/// A `struct ifaddrmsg` with an address of 24 bits.
fn address(index: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![INET, 24, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(2, &[192, 0, 2, last]));
    bytes
}

/// A `struct ifaddrmsg` with a virtual address.
fn virtual_address(index: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![INET, 32, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(2, &[10, 96, 0, last]));
    bytes
}

/// Checks that each message changes other interfaces than the dummy device, or does not, and that nothing is lost.
fn check(messages: &[(u16, Vec<u8>, bool)]) {
    let mut known = Known::default();
    for (place, (kind, payload, interfaces)) in messages.iter().enumerate() {
        let wanted = Changes {
            interfaces: *interfaces,
            ..Changes::default()
        };
        assert_eq!(take(&mut known, *kind, payload), wanted, "message {place}");
    }
}

fn take(known: &mut Known, kind: u16, payload: &[u8]) -> Changes {
    let mut changes = Changes::default();
    let taken = known.take(kind, payload, &mut changes);
    taken.expect("it is well formed");
    changes
}

/// Losses of the dummy device 5 by these messages, all in one burst.
fn lost(messages: &[(u16, Vec<u8>)]) -> Lost {
    let mut known = Known::default();
    assert!(take(&mut known, NEW_LINK, &device(5, "dummy")).is_empty());
    let mut changes = Changes::default();
    for (kind, payload) in messages {
        let taken = known.take(*kind, payload, &mut changes);
        taken.expect("it is well formed");
    }
    changes.lost
}

fn addresses(last: impl IntoIterator<Item = u8>) -> LostAddresses {
    let addresses = last.into_iter().map(|last| [10, 96, 0, last].into());
    LostAddresses::These(addresses.collect())
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
fn gains_of_our_own_device_are_no_changes() {
    check(&[
        (NEW_LINK, device(5, "dummy"), false),
        (NEW_LINK, device(5, "dummy"), false),
        (NEW_ADDRESS, virtual_address(5, 1), false),
    ]);
}

#[test]
fn addresses_that_leave_our_own_device_are_named() {
    let gone = lost(&[
        (NEW_ADDRESS, virtual_address(5, 1)),
        (DEL_ADDRESS, virtual_address(5, 1)),
        (DEL_ADDRESS, virtual_address(5, 2)),
        // No virtual address.
        (DEL_ADDRESS, address(5, 3)),
    ]);
    assert_eq!(gone.addresses, addresses([1, 2]));
    assert!(!gone.device);
}

#[test]
fn addresses_that_left_our_own_device_are_named_up_to_a_limit() {
    let gone = |count: u16| {
        let messages: Vec<_> = (0..count)
            .map(|number| {
                let mut message = virtual_address(5, 0);
                let end = message.len() - 2;
                message[end..].copy_from_slice(&number.to_be_bytes());
                (DEL_ADDRESS, message)
            })
            .collect();
        lost(&messages).addresses
    };
    assert!(matches!(gone(1024), LostAddresses::These(addresses) if addresses.len() == 1024));
    assert_eq!(gone(1025), LostAddresses::Many);
}

#[test]
fn our_own_device_can_vanish_be_renamed_or_be_another_kind_of_device() {
    let renamed = link(UNSPEC, 5, "other");
    for messages in [
        vec![(DEL_LINK, device(5, "dummy"))],
        vec![(NEW_LINK, renamed)],
        vec![
            (DEL_LINK, device(5, "dummy")),
            (NEW_LINK, device(6, "dummy")),
        ],
        vec![(NEW_LINK, device(6, "veth"))],
    ] {
        let gone = lost(&messages);
        assert!(gone.device, "{messages:?}");
        assert_eq!(gone.addresses, LostAddresses::default());
    }
}

/// And its index may then be another's.
#[test]
fn our_device_with_another_name_is_another_device() {
    let mut known = Known::default();
    take(&mut known, NEW_LINK, &device(5, "dummy"));
    let renamed = take(&mut known, NEW_LINK, &link(UNSPEC, 5, "other"));
    assert!(renamed.interfaces && renamed.lost.device);
    let added = take(&mut known, NEW_ADDRESS, &address(5, 1));
    assert!(added.interfaces && added.lost.is_empty());
    let removed = take(&mut known, DEL_LINK, &link(UNSPEC, 5, "other"));
    assert!(removed.interfaces && removed.lost.is_empty());
    assert!(take(&mut known, NEW_LINK, &device(5, "dummy")).is_empty());
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
    messages::message(kind, 0, 0, payload)
}

fn take_all(known: &mut Known, datagram: &[u8]) -> Changes {
    let mut changes = Changes::default();
    known.take_all(datagram, &mut changes);
    changes
}

#[test]
fn a_datagram_may_have_several_messages() {
    let ours = message(NEW_LINK, &device(5, "dummy"));
    let other = message(NEW_ADDRESS, &address(2, 1));
    let gone = message(DEL_ADDRESS, &virtual_address(5, 1));
    let mut known = Known::default();
    assert!(take_all(&mut known, &ours).is_empty());
    let changes = take_all(&mut known, &[ours, other, gone].concat());
    assert!(changes.interfaces);
    assert_eq!(changes.lost.addresses, addresses([1]));
}

#[test]
fn a_message_that_is_not_understood_is_a_change() {
    let mut known = Known::default();
    assert!(take_all(&mut known, &message(NEW_LINK, &[0, 0, 0])).interfaces);
    assert!(take_all(&mut known, &[]).is_empty());
}
