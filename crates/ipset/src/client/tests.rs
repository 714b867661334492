use std::error::Error as _;
use std::rc::Rc;

use netlink::Connection;
use support::Script;
use support::messages::{ack, done, error, message, refusal};

use super::replace::temporary_name;
use super::{Client, ErrorKind, OpenError, Request};
use crate::codec::convert::{changes, create, entries_of};
use crate::codec::{Attribute, Command, Message};
use crate::types::{Entry, Header, Set, SetName};

fn answer(sequence: u32, message_: &Message) -> Vec<u8> {
    let kind = 0x0600 | u16::from(message_.command.number());
    message(kind, 0, sequence, &message_.encode())
}

/// A refusal of the entry `line` of the request of this number, which is sent back.
fn refused(sequence: u32, errno: i32, line: u32) -> Vec<u8> {
    let attributes = vec![Attribute::Protocol(7), Attribute::Line(line)];
    let request = answer(sequence, &Message::new(Command::Add, attributes));
    error(0, sequence, errno, &request)
}

fn protocols(newest: u8, oldest: u8) -> Vec<u8> {
    let attributes = vec![Attribute::Protocol(newest), Attribute::Minimum(oldest)];
    let spoken = Message::new(Command::Protocol, attributes);
    [answer(1, &spoken), ack(1)].concat()
}

fn over(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> Connection<Script> {
    Connection::over(Script::new(answers))
}

/// A client whose requests have numbers from 2.
fn client(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> Client<Script> {
    let answers = std::iter::once(Ok(protocols(7, 6))).chain(answers);
    Client::over(over(answers)).expect("it speaks 7")
}

fn open_error(answer: Result<Vec<u8>, i32>) -> OpenError {
    Client::over(over([answer])).expect_err("not to be used")
}

fn name() -> SetName {
    SetName::cut("A")
}

fn adds(count: u16) -> Vec<Request> {
    (0..count)
        .map(|port| Request::Add(name(), Entry::Port(port)))
        .collect()
}

fn kinds(outcomes: Vec<Result<(), super::RequestError>>) -> Vec<Option<ErrorKind>> {
    let outcomes = outcomes.into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind()))
        .collect()
}

#[test]
fn a_kernel_without_sets_is_told_apart() {
    let error = open_error(Ok(refusal(1, libc::EINVAL)));
    assert!(matches!(error, OpenError::NoModule));
    assert_eq!(
        error.to_string(),
        "the kernel has no sets: its module ip_set is not loaded (modprobe ip_set)"
    );
    let error = open_error(Ok(refusal(1, libc::EPERM)));
    assert!(matches!(error, OpenError::NotPermitted));
    let error = open_error(Ok(refusal(1, libc::ENOMEM)));
    assert!(matches!(error, OpenError::Refused(_)));
    assert!(matches!(open_error(Err(libc::EAGAIN)), OpenError::Ask(_)));
}

#[test]
fn the_newest_protocol_of_both_is_spoken() {
    for (newest, oldest, spoken) in [(6, 6, 6), (7, 6, 7), (9, 7, 7), (9, 5, 7)] {
        let client = Client::over(over([Ok(protocols(newest, oldest))])).expect("one of both");
        assert_eq!(client.protocol(), spoken);
    }
    for (newest, oldest) in [(5, 5), (9, 8)] {
        let error = open_error(Ok(protocols(newest, oldest)));
        assert_eq!(
            error.to_string(),
            format!(
                "the kernel speaks ipset protocols {oldest} to {newest}, known here are 6 and 7"
            )
        );
    }
}

/// Entries behind a refused one are sent again.
#[test]
fn an_entry_is_refused_by_its_line() {
    let script = Script::new([protocols(7, 6), refused(2, 4103, 2), ack(3)].map(Ok));
    let sent = Rc::clone(&script.sent);
    let mut client = Client::over(Connection::over(script)).expect("it speaks 7");
    let outcomes = kinds(client.execute(&adds(4)));
    assert_eq!(outcomes, [None, Some(ErrorKind::AlreadyExists), None, None]);
    let again = sent.borrow().last().map(|bytes| bytes[16..].to_vec());
    let again = Message::decode(Command::Add, &again.expect("sent")).expect("readable");
    let ports = Header::BitmapPort { first: 0, last: 9 };
    assert_eq!(
        entries_of(&again, ports),
        Some(vec![Entry::Port(2), Entry::Port(3)])
    );
}

/// A refusal that names no entry says nothing about any, so each goes alone.
#[test]
fn a_refusal_without_a_line() {
    let mut client = client([
        Ok(refusal(2, libc::ENOMEM)),
        Ok(refusal(3, libc::ENOMEM)),
        Ok(refusal(4, libc::ENOMEM)),
        Ok([refusal(5, libc::ENOMEM), ack(6)].concat()),
    ]);
    let outcomes = kinds(client.execute(&adds(2)));
    assert_eq!(outcomes, [Some(ErrorKind::Other), None]);
}

/// But where there is no set each entry has the same reason.
#[test]
fn a_refusal_of_all() {
    let mut client = client([Ok(refusal(2, libc::ENOENT))]);
    let outcomes = kinds(client.execute(&adds(3)));
    assert_eq!(outcomes, [Some(ErrorKind::NoSuchSet); 3]);
}

/// A line that there is not: the kernel speaks of something else.
#[test]
fn a_line_beyond_the_last() {
    let mut client = client([Ok(refused(2, 4103, 9))]);
    let outcomes = kinds(client.execute(&adds(2)));
    assert_eq!(outcomes, [Some(ErrorKind::AlreadyExists); 2]);
}

#[test]
fn lost_answers_are_not_success() {
    let outcomes = kinds(client([]).execute(&adds(2)));
    assert_eq!(outcomes, [Some(ErrorKind::Lost); 2]);
    let error = client([]).list().expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert_eq!(error.to_string(), "failed to read sets");
    let error = client([]).test(&name(), Entry::Port(1)).expect_err("lost");
    assert_eq!(error.kind(), ErrorKind::Lost);
    let create = Request::Create(name(), Header::BitmapPort { first: 0, last: 9 });
    let outcomes = kinds(client([]).execute(&[create]));
    assert_eq!(outcomes, [Some(ErrorKind::Lost)]);
}

/// Older kernels, Linux 5.4 among them, say that it is not there.
#[test]
fn destroying_what_is_not_there_is_no_error() {
    let mut client = client([Ok(refusal(2, libc::ENOENT)), Ok(refusal(3, 4100))]);
    let destroy = Request::Destroy(name());
    let outcomes = kinds(client.execute(&[destroy.clone(), destroy]));
    assert_eq!(outcomes, [None, Some(ErrorKind::InUse)]);
}

#[test]
fn a_list_in_several_messages() {
    let header = Header::BitmapPort { first: 0, last: 9 };
    let head = create(7, &name(), header, 0, 0).expect("a known type");
    let entries = |ports: [u16; 2]| {
        let entries = ports.map(Entry::Port).into_iter();
        let mut message = changes(7, Command::Add, &name(), entries);
        message.command = Command::List;
        message
    };
    let mut first = head.clone();
    first.command = Command::List;
    let parts = [first, entries([1, 2]), entries([3, 4])];
    let mut datagram: Vec<u8> = parts.iter().flat_map(|part| answer(2, part)).collect();
    datagram.extend(done(2, 0));
    let entries = [1, 2, 3, 4].map(Entry::Port).into();
    let set = Set { header, entries };
    let sets = client([Ok(datagram)]).list().expect("read");
    assert_eq!(sets, [(name(), set)].into());
}

#[test]
fn temporary_names() {
    let check = |name: &str, temporary: &str| {
        let name = SetName::new(name).expect("a name");
        assert_eq!(temporary_name(&name).as_str(), temporary);
    };
    check("A", "~A");
    check("~A", "_~A");
    check(
        "a-name-of-thirty-one-bytes-long",
        "~a-name-of-thirty-one-bytes-lon",
    );
    check(&"~".repeat(31), &format!("_{}", "~".repeat(30)));
}

#[test]
fn the_cause_is_said_once() {
    let mut client = client([Ok(refused(2, 4352, 1))]);
    let error = client.execute(&adds(1)).remove(0).expect_err("refused");
    assert_eq!(error.to_string(), "failed to add 0 to set A");
    let cause = error.source().expect("a cause");
    assert_eq!(
        cause.to_string(),
        "the port is outside the range of the set (error 4352)"
    );
    assert!(cause.source().is_none());
}
