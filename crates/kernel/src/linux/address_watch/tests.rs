use support::messages::{self, attribute};

use super::changes::{Changes, DeviceLosses, LostAddresses};
use super::known::{DEL_ADDRESS, DEL_LINK, Known, NEW_ADDRESS, NEW_LINK};

const UNSPEC: u8 = 0;
const BRIDGE: u8 = 7;
const INET: u8 = 2;

/// Encodes a `struct ifinfomsg` with a name.
fn link(family: u8, index: u32, name: &str) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(attribute(3, format!("{name}\0").as_bytes()));
    bytes
}

/// Encodes a device with the name of the dummy device and this kind.
fn device(index: u32, kind: &str) -> Vec<u8> {
    let mut bytes = link(UNSPEC, index, "kube-ipvs0");
    let kind = attribute(1, format!("{kind}\0").as_bytes());
    bytes.extend(attribute(18, &kind));
    bytes
}

/// Encodes a `struct ifaddrmsg` with an address of prefix 24.
fn address(index: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![INET, 24, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(2, &[192, 0, 2, last]));
    bytes
}

/// Encodes a `struct ifaddrmsg` with a virtual address.
fn virtual_address(index: u32, last: u8) -> Vec<u8> {
    let mut bytes = vec![INET, 32, 0, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(attribute(2, &[10, 96, 0, last]));
    bytes
}

/// Checks whether each message changes interfaces other than the dummy device, and that nothing is
/// lost.
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
    taken.expect("the message is well formed");
    changes
}

/// Returns the losses of the dummy device 5 by these messages, in one burst.
fn lost(messages: &[(u16, Vec<u8>)]) -> DeviceLosses {
    let mut known = Known::default();
    assert!(take(&mut known, NEW_LINK, &device(5, "dummy")).is_empty());
    let mut changes = Changes::default();
    for (kind, payload) in messages {
        let taken = known.take(*kind, payload, &mut changes);
        taken.expect("the message is well formed");
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
fn added_and_deleted_addresses_are_changes() {
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
fn deleting_an_unknown_address_is_a_change() {
    check(&[(DEL_ADDRESS, address(2, 1), true)]);
}

#[test]
fn gains_of_the_dummy_device_are_not_changes() {
    check(&[
        (NEW_LINK, device(5, "dummy"), false),
        (NEW_LINK, device(5, "dummy"), false),
        (NEW_ADDRESS, virtual_address(5, 1), false),
    ]);
}

#[test]
fn addresses_lost_by_the_dummy_device_are_named() {
    let gone = lost(&[
        (NEW_ADDRESS, virtual_address(5, 1)),
        (DEL_ADDRESS, virtual_address(5, 1)),
        (DEL_ADDRESS, virtual_address(5, 2)),
        // This address is not a virtual address.
        (DEL_ADDRESS, address(5, 3)),
    ]);
    assert_eq!(gone.addresses, addresses([1, 2]));
    assert!(!gone.device);
}

#[test]
fn lost_addresses_are_named_up_to_a_limit() {
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
fn the_dummy_device_can_be_deleted_renamed_or_replaced() {
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

/// Another device may then get its index.
#[test]
fn a_renamed_dummy_device_is_an_ordinary_device() {
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
fn a_port_that_leaves_its_bridge_is_not_deleted() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_LINK, link(BRIDGE, 2, "eth0"), false),
        (DEL_LINK, link(BRIDGE, 2, "eth0"), false),
        (DEL_LINK, link(UNSPEC, 2, "eth0"), true),
    ]);
}

#[test]
fn a_deleted_link_loses_its_addresses() {
    check(&[
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_ADDRESS, address(2, 1), true),
        (DEL_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_LINK, link(UNSPEC, 2, "eth0"), true),
        (NEW_ADDRESS, address(2, 1), true),
    ]);
}

#[test]
fn other_notices_are_not_changes() {
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
fn an_undecodable_message_is_a_change() {
    let mut known = Known::default();
    assert!(take_all(&mut known, &message(NEW_LINK, &[0, 0, 0])).interfaces);
    assert!(take_all(&mut known, &[]).is_empty());
}
