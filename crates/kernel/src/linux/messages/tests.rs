use netlink_packet_core::NetlinkSerializable as _;
use netlink_packet_route::RouteNetlinkMessage;

use super::{Link, LinkAddress, delete_address, device, new_address, new_device};

fn bytes(message: &RouteNetlinkMessage) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[test]
fn the_device_is_requested_and_created_by_name() {
    let asked = Link::decode(&bytes(&device())).expect("a link");
    assert_eq!(
        (asked.name.as_str(), asked.is_dummy()),
        ("kube-ipvs0", false)
    );
    let made = Link::decode(&bytes(&new_device())).expect("a link");
    assert_eq!((made.name.as_str(), made.is_dummy()), ("kube-ipvs0", true));
}

#[test]
fn an_address_has_a_host_prefix() {
    for (address, network) in [
        ("10.96.0.10", "10.96.0.10/32"),
        ("fd00::10", "fd00::10/128"),
    ] {
        let address = address.parse().expect("an address");
        for message in [new_address(7, address), delete_address(7, address)] {
            let read = LinkAddress::decode(&bytes(&message)).expect("it decodes");
            let read = read.expect("an address");
            assert_eq!(read.link, 7);
            assert_eq!(read.network.to_string(), network);
            assert!(read.is_host());
        }
    }
}

#[test]
fn duplicate_address_detection_is_disabled() {
    const IFA_F_NODAD: u8 = 2;
    let v6 = bytes(&new_address(7, "fd00::10".parse().expect("an address")));
    assert_eq!(v6[2], IFA_F_NODAD);
    let v4 = bytes(&new_address(7, "10.0.0.1".parse().expect("an address")));
    assert_eq!(v4[2], 0);
}

#[test]
fn the_local_end_of_a_point_to_point_link_is_the_nodes_address() {
    let mut payload = vec![2, 24, 0, 0, 3, 0, 0, 0];
    payload.extend([8, 0, 1, 0, 192, 0, 2, 9]); // IFA_ADDRESS, the peer
    payload.extend([8, 0, 2, 0, 192, 0, 2, 1]); // IFA_LOCAL
    let read = LinkAddress::decode(&payload).expect("it decodes");
    let read = read.expect("an address");
    assert_eq!(read.network.to_string(), "192.0.2.1/24");
    assert!(!read.is_host());
}

#[test]
fn other_families_are_skipped() {
    let payload = [28, 24, 0, 0, 3, 0, 0, 0]; // AF_MPLS
    assert!(matches!(LinkAddress::decode(&payload), Ok(None)));
}

#[test]
fn unknown_link_attributes_are_skipped() {
    let mut payload = bytes(&new_device());
    payload.extend([7, 0, 0xff, 0x7f, 1, 2, 3, 0]);
    let link = Link::decode(&payload).expect("a link");
    assert!(link.is_dummy());
}

#[test]
fn truncated_messages_do_not_panic() {
    let link = bytes(&new_device());
    let address = bytes(&new_address(7, "fd00::10".parse().expect("an address")));
    for length in 0..link.len() {
        let _ = Link::decode(&link[..length]);
    }
    for length in 0..address.len() {
        let cut = LinkAddress::decode(&address[..length]);
        assert!(!matches!(cut, Ok(Some(read)) if read.network.to_string() != "fd00::10/128"));
    }
}
