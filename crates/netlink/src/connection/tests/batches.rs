use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NLMSG_NOOP};

use super::script::{
    Receive, Script, WORD, Word, ack, connection, datagram, headers, message, refusal,
    refusal_in_words, words,
};
use crate::connection::{Connection, Request};
use crate::error::Failure;

/// Outcomes in short: done, an error number, lost, not sent.
#[derive(Debug, PartialEq)]
enum Short {
    Done,
    Errno(i32),
    Lost,
    NotSent,
}

use Short::{Done, Errno, Lost, NotSent};

fn execute(connection: &mut Connection<Script>, count: usize) -> Vec<Short> {
    let outcomes = connection.execute(words(count)).into_iter();
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
    assert!(connection.transport.receives.is_empty(), "answers are left");
}

#[test]
fn nothing_is_not_sent() {
    let mut connection = connection([]);
    assert_eq!(execute(&mut connection, 0), []);
    assert!(connection.transport.sent.borrow().is_empty());
}

#[test]
fn the_last_alone_is_to_be_acknowledged() {
    let mut connection = connection([datagram([ack(3)])]);
    assert_eq!(execute(&mut connection, 3), [Done, Done, Done]);
    let sent = connection.transport.sent.borrow();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        headers(&sent[0]),
        [
            (WORD, NLM_F_REQUEST, 1),
            (WORD, NLM_F_REQUEST, 2),
            (WORD, NLM_F_REQUEST | NLM_F_ACK, 3),
        ]
    );
}

#[test]
fn flags_and_payloads_are_sent_as_given() {
    let mut connection = connection([datagram([ack(1)])]);
    let request = Request {
        message: Word(b"odd".to_vec()),
        flags: 0x400,
    };
    assert!(connection.execute([request])[0].is_ok());
    let sent = &connection.transport.sent.borrow()[0];
    assert_eq!(headers(sent)[0].1, NLM_F_REQUEST | NLM_F_ACK | 0x400);
    assert_eq!(sent[..4], 19_u32.to_ne_bytes(), "without the padding");
    assert_eq!(sent[16..], *b"odd\0");
}

#[test]
fn a_refusal_belongs_to_its_request() {
    check(
        [datagram([refusal(2, 17)]), datagram([ack(3)])],
        &[Done, Errno(17), Done],
    );
    check([datagram([refusal(3, 2)])], &[Done, Done, Errno(2)]);
}

#[test]
fn several_answers_come_in_one_datagram() {
    check(
        [datagram([refusal(1, 3), refusal(2, 17), ack(3)])],
        &[Errno(3), Errno(17), Done],
    );
}

#[test]
fn a_batch_too_long_for_one_send_goes_in_several() {
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
fn large_requests_go_in_smaller_batches() {
    let large = Request {
        message: Word(vec![0; 30_000]),
        flags: 0,
    };
    let mut connection = connection([datagram([ack(3)]), datagram([ack(4)])]);
    let outcomes = connection.execute(vec![large; 4]);
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(connection.transport.sent.borrow().len(), 2);
}

#[test]
fn stale_answers_are_passed_over() {
    let mut connection = connection([datagram([ack(1)])]);
    assert_eq!(execute(&mut connection, 1), [Done]);
    // Numbers before the batch, and beyond it.
    let stale = [refusal(1, 17), refusal(77, 2), message(WORD, 0, 3, b"news")];
    (connection.transport.receives).extend([datagram(stale), datagram([ack(3)])]);
    assert_eq!(execute(&mut connection, 2), [Done, Done]);
}

#[test]
fn sequence_numbers_go_round() {
    let mut connection = connection([datagram([refusal(u32::MAX, 17), refusal(0, 2), ack(1)])]);
    connection.sequence = u32::MAX - 1;
    assert_eq!(execute(&mut connection, 3), [Errno(17), Errno(2), Done]);
}

#[test]
fn what_was_dropped_is_lost_and_what_was_said_is_known() {
    // The barrier's number follows the batch's.
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
fn a_last_answer_that_was_dropped_is_not_waited_for() {
    check(
        [
            Receive::Error(libc::ENOBUFS),
            datagram([refusal(1, 17), ack(4)]),
        ],
        &[Errno(17), Lost, Lost],
    );
}

#[test]
fn answers_dropped_again_need_another_barrier() {
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
fn without_a_last_answer_nothing_is_taken_for_done() {
    check(
        [datagram([refusal(1, 17)]), Receive::Error(libc::EAGAIN)],
        &[Errno(17), Lost, Lost],
    );
}

#[test]
fn the_next_batch_is_not_confused_by_a_late_answer() {
    let mut connection = connection([Receive::Error(libc::EAGAIN)]);
    assert_eq!(execute(&mut connection, 2), [Lost, Lost]);
    (connection.transport.receives).extend([datagram([ack(2)]), datagram([refusal(3, 2), ack(4)])]);
    assert_eq!(execute(&mut connection, 2), [Errno(2), Done]);
}

#[test]
fn a_truncated_answer_is_lost() {
    check([Receive::Cut(ack(2), 4_096)], &[Lost, Lost]);
}

#[test]
fn an_answer_that_makes_no_sense_is_lost() {
    check([Receive::Datagram(vec![1, 2, 3])], &[Lost, Lost]);
    // It claims to be longer than it is.
    let mut long = ack(2);
    long[0] += 4;
    check([Receive::Datagram(long)], &[Lost, Lost]);
}

#[test]
fn what_could_not_be_sent_was_not_done() {
    let mut connection = connection([datagram([ack(256)])]);
    connection
        .transport
        .sends
        .extend([None, Some(libc::EMSGSIZE)]);
    let outcomes = connection.execute(words(258));
    assert!(outcomes[..256].iter().all(Result::is_ok));
    for outcome in &outcomes[256..] {
        let Err(Failure::NotSent(error)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}

#[test]
fn the_kernels_words_are_kept() {
    for capped in [true, false] {
        let answer = refusal_in_words(1, 22, "loopback is down", capped);
        let mut connection = connection([datagram([answer])]);
        let outcome = connection.execute(words(1)).remove(0);
        let Err(failure @ Failure::Refused { .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            failure.to_string(),
            "the kernel refused: Invalid argument (os error 22) (loopback is down)"
        );
    }
}

/// Whatever the kernel's answer is cut to, the outcome is known to be unknown.
#[test]
fn answers_cut_at_every_length() {
    let answer = refusal_in_words(1, 22, "loopback is down", false);
    for length in 1..answer.len() {
        let mut connection = connection([Receive::Datagram(answer[..length].to_vec())]);
        let outcome = connection.execute(words(1)).remove(0);
        assert!(outcome.is_err(), "{length}: {outcome:?}");
    }
}

/// Requests are counted over all sends; a capped refusal brings nothing back.
#[test]
fn a_request_that_the_kernel_sends_back() {
    let echoed = refusal_in_words(258, 22, "", false);
    let mut connection = connection([
        datagram([refusal(1, 17), ack(256)]),
        datagram([ack(257), echoed, ack(259)]),
    ]);
    let mut echoes = Vec::new();
    let outcomes = connection.execute_echoing(words(259), |index, payload| {
        echoes.push((index, payload.to_vec()));
    });
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_err()).count(),
        2
    );
    assert_eq!(echoes, [(257, b"a request of 23 bytes..".to_vec())]);
}

/// Answers come before the last acknowledgement, each with the number of its question; a refused one has none.
#[test]
fn many_questions_in_one_send() {
    let mut connection = connection([
        datagram([message(WORD, 0, 1, b"one")]),
        datagram([refusal(2, libc::ESRCH)]),
        datagram([message(WORD, 0, 3, b"three"), ack(3)]),
    ]);
    let questions = words(3).into_iter().map(|request| request.message);
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

/// An answer to another program's question is none of ours.
#[test]
fn an_answer_with_a_strange_number_is_passed_over() {
    let mut connection = connection([
        datagram([message(WORD, 0, 77, b"what?")]),
        datagram([message(WORD, 0, 1, b"one"), ack(1)]),
    ]);
    let mut answers = Vec::new();
    let question = words(1).remove(0).message;
    let outcomes = connection.get_each([question], |index, payload| {
        answers.push((index, payload.to_vec()));
    });
    assert!(outcomes[0].is_ok());
    assert_eq!(answers, [(0, b"one".to_vec())]);
}
