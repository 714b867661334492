use netlink_packet_core::{DecodeError, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST};

use super::script::{
    Receive, TEST_TYPE, TestMessage, ack, connection, datagram, done, headers, message, part,
    refusal, requests,
};
use crate::connection::{Connection, Integrity};
use crate::error::DumpError;
use crate::transport::Transport;

/// Returns the payloads of a dump, and its result.
fn dump<T: Transport>(
    connection: &mut Connection<T>,
) -> (Vec<Vec<u8>>, Result<Integrity, DumpError>) {
    let mut parts = Vec::new();
    let answer = connection.dump(&TestMessage(Vec::new()), |payload| {
        parts.push(payload.to_vec());
        if payload == b"nonsense" {
            return Err(DecodeError::from("nonsense"));
        }
        Ok(())
    });
    (parts, answer)
}

#[test]
fn list_may_have_several_datagrams() {
    let mut connection = connection([
        datagram([part(1, b"one."), part(1, b"two.")]),
        datagram([part(1, b"three")]),
        datagram([done(1, 0)]),
    ]);
    let (parts, answer) = dump(&mut connection);
    assert_eq!(answer.expect("whole"), Integrity::Whole);
    assert_eq!(parts, [&b"one."[..], b"two.", b"three"]);
    assert_eq!(
        headers(&connection.transport.sent.borrow()[0]),
        [(TEST_TYPE, NLM_F_REQUEST | NLM_F_DUMP, 1)]
    );
}

#[test]
fn empty_list_is_whole() {
    let (parts, answer) = dump(&mut connection([datagram([done(1, 0)])]));
    assert_eq!(answer.expect("whole"), Integrity::Whole);
    assert!(parts.is_empty());
}

#[test]
fn interrupted_list_is_torn() {
    let disturbed = message(TEST_TYPE, NLM_F_DUMP_INTR, 1, b"two.");
    let (parts, answer) = dump(&mut connection([
        datagram([part(1, b"one."), disturbed]),
        datagram([part(1, b"three"), done(1, 0)]),
    ]));
    assert_eq!(answer.expect("read"), Integrity::Torn);
    assert_eq!(parts.len(), 3);
}

#[test]
fn mark_at_the_end_makes_the_list_torn() {
    let mut end = done(1, 0);
    end[6] |= 0x10;
    let (_, answer) = dump(&mut connection([datagram([end])]));
    assert_eq!(answer.expect("read"), Integrity::Torn);
}

#[test]
fn list_may_end_with_an_error() {
    let (parts, answer) = dump(&mut connection([datagram([
        part(1, b"one."),
        done(1, 105),
    ])]));
    assert!(matches!(answer, Err(DumpError::Refused { errno, .. }) if errno.0 == 105));
    assert_eq!(parts.len(), 1);
}

#[test]
fn end_without_result_is_success() {
    let end = message(netlink_packet_core::NLMSG_DONE, 0, 1, &[]);
    let (_, answer) = dump(&mut connection([datagram([end])]));
    assert_eq!(answer.expect("whole"), Integrity::Whole);
}

#[test]
fn list_may_be_refused() {
    let (_, answer) = dump(&mut connection([datagram([refusal(1, libc::EPERM)])]));
    assert!(matches!(answer, Err(DumpError::Refused { errno, .. }) if errno.0 == libc::EPERM));
}

#[test]
fn truncated_datagram_is_an_error() {
    let (_, answer) = dump(&mut connection([
        datagram([part(1, b"one.")]),
        Receive::Cut(part(1, b"two."), 70_000),
        datagram([done(1, 0)]),
    ]));
    assert!(matches!(
        answer,
        Err(DumpError::Truncated { length: 70_000 })
    ));
}

#[test]
fn list_without_end_is_an_error() {
    for errno in [libc::EAGAIN, libc::ENOBUFS] {
        let (_, answer) = dump(&mut connection([
            datagram([part(1, b"one.")]),
            Receive::Error(errno),
        ]));
        let Err(DumpError::Receive(error)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(error.raw_os_error(), Some(errno));
    }
}

#[test]
fn answers_to_an_earlier_request_are_skipped() {
    let mut connection = connection([Receive::Error(libc::EAGAIN)]);
    let (_, answer) = dump(&mut connection);
    assert!(answer.is_err());
    // The answer to the first request arrives late.
    (connection.transport.receives).extend([
        datagram([part(1, b"old"), done(1, 0)]),
        datagram([part(2, b"new"), done(2, 0)]),
    ]);
    let (parts, answer) = dump(&mut connection);
    assert_eq!(answer.expect("whole"), Integrity::Whole);
    assert_eq!(parts, [b"new"]);
}

#[test]
fn undecodable_entry_does_not_end_the_reading() {
    let mut connection = connection([
        datagram([part(1, b"nonsense"), part(1, b"sense")]),
        datagram([done(1, 0)]),
        datagram([ack(2)]),
    ]);
    let (parts, answer) = dump(&mut connection);
    assert!(matches!(answer, Err(DumpError::Decode(_))));
    assert_eq!(parts.len(), 2);
    assert!(connection.execute(requests(1))[0].is_ok());
}

#[test]
fn malformed_message_is_an_error() {
    let (_, answer) = dump(&mut connection([Receive::Datagram(vec![7; 9])]));
    assert!(matches!(answer, Err(DumpError::Decode(_))));
}

#[test]
fn failed_send_is_an_error() {
    let mut connection = connection([]);
    connection.transport.sends.push_back(Some(libc::EBADF));
    let (_, answer) = dump(&mut connection);
    assert!(matches!(answer, Err(DumpError::Send(_))));
}

#[test]
fn get_ends_with_an_acknowledgement() {
    let mut connection = connection([datagram([message(TEST_TYPE, 0, 1, b"it"), ack(1)])]);
    let mut got = Vec::new();
    let answer = connection.get(&TestMessage(Vec::new()), |payload| {
        got.push(payload.to_vec());
        Ok(())
    });
    assert!(answer.is_ok());
    assert_eq!(got, [b"it"]);
}
