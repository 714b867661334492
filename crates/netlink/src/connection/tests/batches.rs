use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_NOOP};

use super::script::{
    Receive, Script, TEST_TYPE, TestMessage, ack, connection, datagram, headers, message, refusal,
    refusal_with_text, requests,
};
use crate::connection::{Connection, Request};
use crate::error::Failure;

/// Short form of an outcome.
#[derive(Debug, PartialEq)]
enum Short {
    Done,
    Errno(i32),
    Lost,
    NotSent,
}

use Short::{Done, Errno, Lost, NotSent};

fn execute(connection: &mut Connection<Script>, count: usize) -> Vec<Short> {
    let outcomes = connection.execute(requests(count)).into_iter();
    outcomes
        .map(|outcome| match outcome {
            Ok(()) => Done,
            Err(Failure::Refused { errno, .. }) => Errno(errno.0),
            Err(Failure::Lost) => Lost,
            Err(Failure::NotSent(_)) => NotSent,
        })
        .collect()
}

fn check(receives: impl IntoIterator<Item = Receive>, outcomes: &[Short]) {
    let mut connection = connection(receives);
    assert_eq!(execute(&mut connection, outcomes.len()), outcomes);
    assert!(connection.transport.receives.is_empty(), "unread answers");
}

#[test]
fn empty_batch_sends_nothing() {
    let mut connection = connection([]);
    assert_eq!(execute(&mut connection, 0), []);
    assert!(connection.transport.sent.borrow().is_empty());
}

#[test]
fn only_the_last_request_is_acknowledged() {
    let mut connection = connection([datagram([ack(3)])]);
    assert_eq!(execute(&mut connection, 3), [Done, Done, Done]);
    let sent = connection.transport.sent.borrow();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        headers(&sent[0]),
        [
            (TEST_TYPE, NLM_F_REQUEST, 1),
            (TEST_TYPE, NLM_F_REQUEST, 2),
            (TEST_TYPE, NLM_F_REQUEST | NLM_F_ACK, 3),
        ]
    );
}

#[test]
fn flags_and_payloads_are_sent_as_given() {
    let mut connection = connection([datagram([ack(1)])]);
    let request = Request {
        message: TestMessage(b"odd".to_vec()),
        flags: 0x400,
    };
    assert!(connection.execute([request])[0].is_ok());
    let sent = &connection.transport.sent.borrow()[0];
    assert_eq!(headers(sent)[0].1, NLM_F_REQUEST | NLM_F_ACK | 0x400);
    assert_eq!(sent[..4], 19_u32.to_ne_bytes(), "without the padding");
    assert_eq!(sent[16..], *b"odd\0");
}

#[test]
fn refusal_belongs_to_its_request() {
    check(
        [datagram([refusal(2, 17)]), datagram([ack(3)])],
        &[Done, Errno(17), Done],
    );
    check([datagram([refusal(3, 2)])], &[Done, Done, Errno(2)]);
}

#[test]
fn one_datagram_may_have_several_answers() {
    check(
        [datagram([refusal(1, 3), refusal(2, 17), ack(3)])],
        &[Errno(3), Errno(17), Done],
    );
}

#[test]
fn long_batch_is_split_into_sends() {
    let mut connection = connection([
        datagram([refusal(256, 1)]),
        datagram([refusal(257, 2), ack(512)]),
        datagram([ack(600)]),
    ]);
    let outcomes = execute(&mut connection, 600);
    assert_eq!(outcomes.len(), 600);
    assert_eq!(outcomes[255..258], [Errno(1), Errno(2), Done]);
    assert!(outcomes[258..].iter().all(|outcome| *outcome == Done));
    let counts: Vec<usize> = (connection.transport.sent.borrow().iter())
        .map(|sent| headers(sent).len())
        .collect();
    assert_eq!(counts, [256, 256, 88]);
}

#[test]
fn large_requests_are_sent_in_smaller_batches() {
    let large = Request {
        message: TestMessage(vec![0; 30_000]),
        flags: 0,
    };
    let mut connection = connection([datagram([ack(3)]), datagram([ack(4)])]);
    let outcomes = connection.execute(vec![large; 4]);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(connection.transport.sent.borrow().len(), 2);
}

#[test]
fn stale_answers_are_skipped() {
    let mut connection = connection([datagram([ack(1)])]);
    assert_eq!(execute(&mut connection, 1), [Done]);
    // Sequence numbers before the batch and after it.
    let stale = [
        refusal(1, 17),
        refusal(77, 2),
        message(TEST_TYPE, 0, 3, b"news"),
    ];
    (connection.transport.receives).extend([datagram(stale), datagram([ack(3)])]);
    assert_eq!(execute(&mut connection, 2), [Done, Done]);
}

#[test]
fn sequence_numbers_wrap_around() {
    let mut connection = connection([datagram([refusal(u32::MAX, 17), refusal(0, 2), ack(1)])]);
    connection.sequence = u32::MAX - 1;
    assert_eq!(execute(&mut connection, 3), [Errno(17), Errno(2), Done]);
}

#[test]
fn dropped_answers_are_lost_and_received_ones_count() {
    // The barrier has the sequence number after the batch.
    let mut connection = connection([
        datagram([refusal(1, 17)]),
        Receive::Error(libc::ENOBUFS),
        datagram([refusal(3, 2), ack(4)]),
        datagram([ack(5)]),
    ]);
    assert_eq!(
        execute(&mut connection, 4),
        [Errno(17), Lost, Errno(2), Done]
    );
    let sent = connection.transport.sent.borrow();
    assert_eq!(
        headers(&sent[1]),
        [(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 5)]
    );
}

#[test]
fn dropped_last_answer_does_not_block() {
    check(
        [
            Receive::Error(libc::ENOBUFS),
            datagram([refusal(1, 17), ack(4)]),
        ],
        &[Errno(17), Lost, Lost],
    );
}

#[test]
fn second_overrun_sends_another_barrier() {
    let mut connection = connection([
        Receive::Error(libc::ENOBUFS),
        Receive::Error(libc::ENOBUFS),
        datagram([ack(3)]),
        datagram([ack(4)]),
    ]);
    assert_eq!(execute(&mut connection, 2), [Lost, Lost]);
    assert_eq!(connection.transport.sent.borrow().len(), 3);
}

#[test]
fn without_the_last_answer_nothing_counts_as_done() {
    check(
        [datagram([refusal(1, 17)]), Receive::Error(libc::EAGAIN)],
        &[Errno(17), Lost, Lost],
    );
}

#[test]
fn late_answer_is_not_taken_for_the_next_batch() {
    let mut connection = connection([Receive::Error(libc::EAGAIN)]);
    assert_eq!(execute(&mut connection, 2), [Lost, Lost]);
    (connection.transport.receives).extend([datagram([ack(2)]), datagram([refusal(3, 2), ack(4)])]);
    assert_eq!(execute(&mut connection, 2), [Errno(2), Done]);
}

#[test]
fn truncated_answer_is_lost() {
    check([Receive::Cut(ack(2), 4_096)], &[Lost, Lost]);
}

#[test]
fn malformed_answer_is_lost() {
    check([Receive::Datagram(vec![1, 2, 3])], &[Lost, Lost]);
    // The length in the header exceeds the datagram.
    let mut long = ack(2);
    long[0] += 4;
    check([Receive::Datagram(long)], &[Lost, Lost]);
}

#[test]
fn failed_send_reports_not_sent() {
    let mut connection = connection([datagram([ack(256)])]);
    connection
        .transport
        .sends
        .extend([None, Some(libc::EMSGSIZE)]);
    let outcomes = connection.execute(requests(258));
    assert!(outcomes[..256].iter().all(Result::is_ok));
    for outcome in &outcomes[256..] {
        let Err(Failure::NotSent(error)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}

#[test]
fn error_text_of_the_kernel_is_kept() {
    for capped in [true, false] {
        let answer = refusal_with_text(1, 22, "loopback is down", capped);
        let mut connection = connection([datagram([answer])]);
        let outcome = connection.execute(requests(1)).remove(0);
        let Err(failure @ Failure::Refused { .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            failure.to_string(),
            "the kernel refused: Invalid argument (os error 22) (loopback is down)"
        );
    }
}

/// A cut answer never counts as success, whatever its length.
#[test]
fn cut_answers_are_never_success() {
    let answer = refusal_with_text(1, 22, "loopback is down", false);
    for length in 1..answer.len() {
        let mut connection = connection([Receive::Datagram(answer[..length].to_vec())]);
        let outcome = connection.execute(requests(1)).remove(0);
        assert!(outcome.is_err(), "{length}: {outcome:?}");
    }
}

/// The index counts requests over all sends. A capped refusal has no payload.
#[test]
fn echoed_request_is_passed_with_its_index() {
    let echoed = refusal_with_text(258, 22, "", false);
    let mut connection = connection([
        datagram([refusal(1, 17), ack(256)]),
        datagram([ack(257), echoed, ack(259)]),
    ]);
    let mut echoes = Vec::new();
    let outcomes = connection.execute_echoing(requests(259), |index, payload| {
        echoes.push((index, payload.to_vec()));
    });
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        2
    );
    assert_eq!(echoes, [(257, b"a request of 23 bytes..".to_vec())]);
}

/// Answers arrive before the last acknowledgement, each with the sequence number of its request. A
/// refused request has no answer.
#[test]
fn many_gets_are_sent_at_once() {
    let mut connection = connection([
        datagram([message(TEST_TYPE, 0, 1, b"one")]),
        datagram([refusal(2, libc::ESRCH)]),
        datagram([message(TEST_TYPE, 0, 3, b"three"), ack(3)]),
    ]);
    let questions = requests(3).into_iter().map(|request| request.message);
    let mut answers = Vec::new();
    let outcomes = connection.get_each(questions, |index, payload| {
        answers.push((index, payload.to_vec()));
    });
    assert_eq!(connection.transport.sent.borrow().len(), 1);
    assert!(matches!(
        outcomes[..],
        [Ok(()), Err(Failure::Refused { .. }), Ok(())]
    ));
    assert_eq!(answers, [(0, b"one".to_vec()), (2, b"three".to_vec())]);
}

/// An answer with an unknown sequence number belongs to another request.
#[test]
fn answer_with_unknown_sequence_number_is_skipped() {
    let mut connection = connection([
        datagram([message(TEST_TYPE, 0, 77, b"what?")]),
        datagram([message(TEST_TYPE, 0, 1, b"one"), ack(1)]),
    ]);
    let mut answers = Vec::new();
    let question = requests(1).remove(0).message;
    let outcomes = connection.get_each([question], |index, payload| {
        answers.push((index, payload.to_vec()));
    });
    assert!(outcomes[0].is_ok());
    assert_eq!(answers, [(0, b"one".to_vec())]);
}
