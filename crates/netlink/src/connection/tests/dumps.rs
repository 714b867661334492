use netlink_packet_core::{DecodeError, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST};

use super::script::{
    Receive, WORD, Word, ack, connection, datagram, done, headers, message, part, refusal, words,
};
use crate::connection::{Connection, Integrity};
use crate::error::DumpError;
use crate::transport::Transport;

/// Returns the messages that a dump hands over, and its end.
fn dump<T: Transport>(
    connection: &mut Connection<T>,
) -> (Vec<Vec<u8>>, Result<Integrity, DumpError>) {
    let mut parts = Vec::new();
    let answer = connection.dump(&Word(Vec::new()), |payload| {
        parts.push(payload.to_vec());
        if payload == b"nonsense" {
            return Err(DecodeError::from("nonsense"));
        }
        Ok(())
    });
    (parts, answer)
}

#[test]
fn a_list_comes_in_several_datagrams() {
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
        [(WORD, NLM_F_REQUEST | NLM_F_DUMP, 1)]
    );
}

#[test]
fn an_empty_list_is_a_list() {
    let (parts, answer) = dump(&mut connection([datagram([done(1, 0)])]));
    assert_eq!(answer.expect("whole"), Integrity::Whole);
    assert!(parts.is_empty());
}

#[test]
fn a_list_that_was_disturbed_is_torn() {
    let disturbed = message(WORD, NLM_F_DUMP_INTR, 1, b"two.");
    let (parts, answer) = dump(&mut connection([
        datagram([part(1, b"one."), disturbed]),
        datagram([part(1, b"three"), done(1, 0)]),
    ]));
    assert_eq!(answer.expect("read"), Integrity::Torn);
    assert_eq!(parts.len(), 3);
}

#[test]
fn the_end_alone_may_say_that_it_is_torn() {
    let mut end = done(1, 0);
    end[6] |= 0x10;
    let (_, answer) = dump(&mut connection([datagram([end])]));
    assert_eq!(answer.expect("read"), Integrity::Torn);
}

#[test]
fn a_list_may_end_in_an_error() {
    let (parts, answer) = dump(&mut connection([datagram([
        part(1, b"one."),
        done(1, 105),
    ])]));
    assert!(matches!(answer, Err(DumpError::Refused { errno, .. }) if errno.0 == 105));
    assert_eq!(parts.len(), 1);
}

#[test]
fn an_end_without_a_result_is_an_end() {
    let end = message(netlink_packet_core::NLMSG_DONE, 0, 1, &[]);
    let (_, answer) = dump(&mut connection([datagram([end])]));
    assert_eq!(answer.expect("whole"), Integrity::Whole);
}

#[test]
fn a_list_may_be_refused() {
    let (_, answer) = dump(&mut connection([datagram([refusal(1, libc::EPERM)])]));
    assert!(matches!(answer, Err(DumpError::Refused { errno, .. }) if errno.0 == libc::EPERM));
}

#[test]
fn a_truncated_datagram_is_an_error_not_a_short_list() {
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
fn a_list_that_does_not_end_is_an_error() {
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
fn what_belongs_to_another_question_is_passed_over() {
    let mut connection = connection([Receive::Error(libc::EAGAIN)]);
    let (_, answer) = dump(&mut connection);
    assert!(answer.is_err());
    // The first question's answer comes late.
    (connection.transport.receives).extend([
        datagram([part(1, b"old"), done(1, 0)]),
        datagram([part(2, b"new"), done(2, 0)]),
    ]);
    let (parts, answer) = dump(&mut connection);
    assert_eq!(answer.expect("whole"), Integrity::Whole);
    assert_eq!(parts, [b"new"]);
}

#[test]
fn the_rest_of_a_broken_list_is_not_the_answer_to_the_next_question() {
    let mut connection = connection([
        datagram([part(1, b"nonsense"), part(1, b"sense")]),
        datagram([done(1, 0)]),
        datagram([ack(2)]),
    ]);
    let (parts, answer) = dump(&mut connection);
    assert!(matches!(answer, Err(DumpError::Decode(_))));
    assert_eq!(parts.len(), 2);
    assert!(connection.execute(words(1))[0].is_ok());
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    let (_, answer) = dump(&mut connection([Receive::Datagram(vec![7; 9])]));
    assert!(matches!(answer, Err(DumpError::Decode(_))));
}

#[test]
fn a_question_that_cannot_be_sent_has_no_answer() {
    let mut connection = connection([]);
    connection.transport.sends.push_back(Some(libc::EBADF));
    let (_, answer) = dump(&mut connection);
    assert!(matches!(answer, Err(DumpError::Send(_))));
}

#[test]
fn one_thing_ends_with_an_acknowledgement() {
    let mut connection = connection([datagram([message(WORD, 0, 1, b"it"), ack(1)])]);
    let mut got = Vec::new();
    let answer = connection.get(&Word(Vec::new()), |payload| {
        got.push(payload.to_vec());
        Ok(())
    });
    assert!(answer.is_ok());
    assert_eq!(got, [b"it"]);
}
