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
fn a_message_that_is_cut_short_is_left_out() {
    let datagram = [ack(1), message(7, 0, 2, b"payload.")].concat();
    for length in 0..datagram.len() {
        let count = usize::from(length >= ack(1).len());
        assert_eq!(parse(&datagram[..length]).len(), count, "{length} bytes");
    }
}

#[test]
fn attributes_are_padded_beyond_their_length() {
    let expected = [&7_u16.to_ne_bytes()[..], &9_u16.to_ne_bytes(), b"odd\0"];
    assert_eq!(attribute(9, b"odd"), expected.concat());
}
