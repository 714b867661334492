use std::net::SocketAddr;

use ipvs::AddressFamily;
use model::udp_flows::Flow;

use super::codec::{Entry, Message};

/// A UDP flow as the kernel lists it (Linux 6.1): 10.0.0.2:4000 sends to 10.96.0.10:53, and
/// 10.1.0.1:5353 answers. From a little-endian machine.
#[rustfmt::skip]
const LISTED: &[u8] = &[
    // family, version, resource
    2, 0, 0, 0,
    // CTA_TUPLE_ORIG
    52, 0, 1, 0x80,
        20, 0, 1, 0x80,
            8, 0, 1, 0, 10, 0, 0, 2,
            8, 0, 2, 0, 10, 96, 0, 10,
        28, 0, 2, 0x80,
            5, 0, 1, 0, 17, 0, 0, 0,
            6, 0, 2, 0, 0x0f, 0xa0, 0, 0,
            6, 0, 3, 0, 0, 53, 0, 0,
    // CTA_TUPLE_REPLY
    52, 0, 2, 0x80,
        20, 0, 1, 0x80,
            8, 0, 1, 0, 10, 1, 0, 1,
            8, 0, 2, 0, 10, 0, 0, 2,
        28, 0, 2, 0x80,
            5, 0, 1, 0, 17, 0, 0, 0,
            6, 0, 2, 0, 0x14, 0xe9, 0, 0,
            6, 0, 3, 0, 0x0f, 0xa0, 0, 0,
    // CTA_STATUS, which is not decoded
    8, 0, 3, 0, 0, 0, 1, 0x88,
    // CTA_ID
    8, 0, 12, 0, 0xde, 0xad, 0xbe, 0xef,
];

fn at(text: &str) -> SocketAddr {
    text.parse().expect("valid address and port")
}

fn listed() -> Entry {
    let entry = Entry::decode(LISTED).expect("the message is valid");
    entry.expect("it is UDP")
}

#[test]
fn a_flow_is_decoded() {
    let flow = Flow {
        destination: at("10.96.0.10:53"),
        answered_by: at("10.1.0.1:5353"),
    };
    assert_eq!(listed().flow, flow);
    assert_eq!(
        listed().to_string(),
        "10.0.0.2:4000 -> 10.96.0.10:53, answered by 10.1.0.1:5353"
    );
}

#[test]
fn flows_of_other_protocols_are_skipped() {
    let mut tcp = LISTED.to_vec();
    let place = tcp
        .iter()
        .position(|byte| *byte == 17)
        .expect("the protocol attribute exists");
    tcp[place] = 6;
    assert_eq!(Entry::decode(&tcp).expect("the message is valid"), None);
}

#[test]
fn a_truncated_flow_does_not_panic() {
    for length in 0..LISTED.len() {
        // A message that is cut between two attributes may be valid.
        let _ = Entry::decode(&LISTED[..length]);
    }
}

#[test]
fn a_flow_is_deleted_by_its_tuple_and_id() {
    let message = Message::delete(&listed());
    let mut expected = LISTED[..56].to_vec();
    expected.extend([8, 0, 12, 0, 0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(message.body(), expected);
}

#[test]
fn only_udp_is_requested() {
    let message = Message::list(AddressFamily::Ipv6);
    #[rustfmt::skip]
    let expected = [
        10, 0, 0, 0,
        16, 0, 1, 0x80, 12, 0, 2, 0x80, 5, 0, 1, 0, 17, 0, 0, 0,
        20, 0, 25, 0x80, 8, 0, 1, 0, 8, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0,
    ];
    assert_eq!(message.body(), expected);
}
