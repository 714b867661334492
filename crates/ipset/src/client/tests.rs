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

/// Returns a refusal of the entry `line` of the request with this number, with the request in it.
fn refused(sequence: u32, errno: i32, line: u32) -> Vec<u8> {
    let attributes = vec![Attribute::Protocol(7), Attribute::Line(line)];
    let request = answer(sequence, &Message::new(Command::Add, attributes));
    error(0, sequence, errno, &request)
}

fn protocols(newest: u8, oldest: u8) -> Vec<u8> {
    let attributes = vec![Attribute::Protocol(newest), Attribute::Minimum(oldest)];
    let message = Message::new(Command::Protocol, attributes);
    [answer(1, &message), ack(1)].concat()
}

fn over(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> Connection<Script> {
    Connection::over(Script::new(answers))
}

/// Returns a client whose next request has the sequence number 2.
fn client(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> Client<Script> {
    let answers = std::iter::once(Ok(protocols(7, 6))).chain(answers);
    Client::over(over(answers)).expect("protocol 7 is supported")
}

fn open_error(answer: Result<Vec<u8>, i32>) -> OpenError {
    Client::over(over([answer])).expect_err("the client cannot be opened")
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
fn kernel_without_sets_has_its_own_error() {
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
fn newest_common_protocol_is_used() {
    for (newest, oldest, used) in [(6, 6, 6), (7, 6, 7), (9, 7, 7), (9, 5, 7)] {
        let client =
            Client::over(over([Ok(protocols(newest, oldest))])).expect("a common protocol");
        assert_eq!(client.protocol(), used);
    }
    for (newest, oldest) in [(5, 5), (9, 8)] {
        let error = open_error(Ok(protocols(newest, oldest)));
        assert_eq!(
            error.to_string(),
            format!(
                "the kernel supports ipset protocols {oldest} to {newest}, this program 6 and 7"
            )
        );
    }
}

/// Entries after a refused one are sent again.
#[test]
fn an_entry_is_refused_by_its_line() {
    let script = Script::new([protocols(7, 6), refused(2, 4103, 2), ack(3)].map(Ok));
    let sent = Rc::clone(&script.sent);
    let mut client = Client::over(Connection::over(script)).expect("protocol 7 is supported");
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

/// A refusal without a line does not name an entry, so that each entry is sent separately.
#[test]
fn refusal_without_line_sends_entries_separately() {
    let mut client = client([
        Ok(refusal(2, libc::ENOMEM)),
        Ok(refusal(3, libc::ENOMEM)),
        Ok(refusal(4, libc::ENOMEM)),
        Ok([refusal(5, libc::ENOMEM), ack(6)].concat()),
    ]);
    let outcomes = kinds(client.execute(&adds(2)));
    assert_eq!(outcomes, [Some(ErrorKind::Other), None]);
}

/// If the set does not exist, all entries have the same error.
#[test]
fn missing_set_fails_every_entry() {
    let mut client = client([Ok(refusal(2, libc::ENOENT))]);
    let outcomes = kinds(client.execute(&adds(3)));
    assert_eq!(outcomes, [Some(ErrorKind::NoSuchSet); 3]);
}

/// A line beyond the last entry does not name an entry.
#[test]
fn line_beyond_the_last_entry_fails_every_entry() {
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

/// Older kernels, for example Linux 5.4, report `ENOENT` for a set that does not exist.
#[test]
fn destroying_a_missing_set_is_not_an_error() {
    let mut client = client([Ok(refusal(2, libc::ENOENT)), Ok(refusal(3, 4100))]);
    let destroy = Request::Destroy(name());
    let outcomes = kinds(client.execute(&[destroy.clone(), destroy]));
    assert_eq!(outcomes, [None, Some(ErrorKind::InUse)]);
}

#[test]
fn list_may_have_several_messages() {
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
fn the_cause_is_printed_once() {
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
