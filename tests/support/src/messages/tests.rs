use super::*;

#[test]
fn encoded_messages_are_parsed() {
    let datagram = [message(7, 2, 3, b"odd"), ack(4), done(5, 6)].concat();
    let [odd, ack, done] = parse(&datagram)[..] else {
        panic!("three messages");
    };
    let expected = Message {
        kind: 7,
        flags: 2,
        sequence: 3,
        payload: b"odd",
    };
    assert_eq!(odd, expected);
    assert_eq!((ack.kind, ack.sequence), (NLMSG_ERROR, 4));
    assert_eq!(ack.payload.len(), 4 + HEADER_BYTES);
    assert_eq!(
        (done.kind, done.payload),
        (NLMSG_DONE, &(-6_i32).to_ne_bytes()[..])
    );
}

#[test]
fn truncated_messages_are_omitted() {
    let datagram = [ack(1), message(7, 0, 2, b"payload.")].concat();
    for length in 0..datagram.len() {
        let count = usize::from(length >= ack(1).len());
        assert_eq!(parse(&datagram[..length]).len(), count, "{length} bytes");
    }
}

#[test]
fn attribute_length_excludes_the_padding() {
    let expected = [&7_u16.to_ne_bytes()[..], &9_u16.to_ne_bytes(), b"odd\0"];
    assert_eq!(attribute(9, b"odd"), expected.concat());
}
