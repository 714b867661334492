use std::error::Error as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netlink::Connection;
use support::messages::{ack, attribute, message, parse, refusal};
use support::{Script, Sent};

use super::{Client, ErrorKind, OpenError, Request};
use crate::text::{Line, parse_line};
use crate::types::{RealServer, VirtualServer, VirtualServerKey};

const FAMILY: u16 = 0x21;

/// Returns the answer to the request for the family: `CTRL_CMD_NEWFAMILY` with
/// `CTRL_ATTR_FAMILY_ID`.
fn family(sequence: u32, id: u16) -> Vec<u8> {
    let payload = [vec![1, 2, 0, 0], attribute(1, &id.to_ne_bytes())].concat();
    [message(16, 0, sequence, &payload), ack(sequence)].concat()
}

fn client(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> Client<Script> {
    watched(answers).0
}

fn open_error(answer: Result<Vec<u8>, i32>) -> OpenError {
    Client::over(Connection::over(Script::new([answer]))).expect_err("no family")
}

fn server() -> VirtualServer {
    match parse_line("-A -t 10.96.0.10:80 -s rr") {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{other:?}"),
    }
}

fn real() -> (VirtualServerKey, RealServer) {
    match parse_line("-a -t 10.96.0.10:80 -r 10.1.2.3:8080 -m -w 1") {
        Ok(Line::RealServer(key, real)) => (key, real),
        other => panic!("{other:?}"),
    }
}

#[test]
fn kernel_without_ipvs_has_its_own_error() {
    let error = open_error(Ok(refusal(1, libc::ENOENT)));
    assert!(matches!(error, OpenError::NoFamily));
    assert_eq!(
        error.to_string(),
        "the kernel has no IPVS: its module ip_vs is not loaded"
    );
    let error = open_error(Ok(refusal(1, libc::ENOMEM)));
    assert!(matches!(error, OpenError::Resolve(_)));
    // An answer without a family.
    assert!(matches!(open_error(Ok(ack(1))), OpenError::NoFamily));
}

/// Checks the error of `request` if the kernel refuses it with `errno`.
fn check(request: &Request, errno: i32, kind: ErrorKind, text: &str) {
    let mut client = client([Ok(refusal(2, errno))]);
    let error = client.execute(std::slice::from_ref(request)).remove(0);
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), text);
    assert_eq!(error.request(), request);
    // The source has the cause; the error itself does not repeat it.
    let source = error.source().expect("a cause").to_string();
    assert!(source.starts_with("the kernel refused: "), "{source}");
}

#[test]
fn errors_name_the_request_and_its_key() {
    let (key, real) = real();
    check(
        &Request::NewService(server()),
        libc::EEXIST,
        ErrorKind::AlreadyExists,
        "failed to add virtual server 10.96.0.10:80/TCP",
    );
    check(
        &Request::SetService(server()),
        libc::ENOENT,
        ErrorKind::UnknownScheduler,
        "failed to change virtual server 10.96.0.10:80/TCP",
    );
    check(
        &Request::DelService(key),
        libc::ESRCH,
        ErrorKind::NoSuchService,
        "failed to delete virtual server 10.96.0.10:80/TCP",
    );
    check(
        &Request::NewDest(key, real),
        libc::ERANGE,
        ErrorKind::OutOfRange,
        "failed to add real server 10.1.2.3:8080 to 10.96.0.10:80/TCP",
    );
    check(
        &Request::SetDest(key, real),
        libc::EINVAL,
        ErrorKind::Invalid,
        "failed to change real server 10.1.2.3:8080 of 10.96.0.10:80/TCP",
    );
    check(
        &Request::DelDest(key, real.key),
        libc::ENOENT,
        ErrorKind::NoSuchDestination,
        "failed to delete real server 10.1.2.3:8080 of 10.96.0.10:80/TCP",
    );
    check(
        &Request::Flush,
        libc::EPERM,
        ErrorKind::NotPermitted,
        "failed to delete all virtual servers",
    );
    check(
        &Request::Zero(None),
        libc::ENOMEM,
        ErrorKind::Other(libc::ENOMEM),
        "failed to zero the counters of all virtual servers",
    );
}

#[test]
fn lost_answer_is_not_success() {
    let mut client = client([Err(libc::EAGAIN)]);
    let error = client.execute(&[Request::Flush]).remove(0);
    assert_eq!(error.expect_err("lost").kind(), ErrorKind::Lost);
}

#[test]
fn errors_of_readings_name_the_part() {
    let (key, _) = real();
    let refused = |errno| client([Ok(refusal(2, errno))]);
    let check = |error: super::ReadError, kind, text: &str| {
        assert_eq!(error.kind(), kind);
        assert_eq!(error.to_string(), text);
    };
    check(
        refused(libc::EPERM).virtual_servers().expect_err("refused"),
        ErrorKind::NotPermitted,
        "failed to read virtual servers",
    );
    check(
        refused(libc::EBUSY)
            .real_servers(&key)
            .expect_err("refused"),
        ErrorKind::Other(libc::EBUSY),
        "failed to read real servers of 10.96.0.10:80/TCP",
    );
    check(
        refused(libc::EPERM)
            .virtual_server(&key)
            .expect_err("refused"),
        ErrorKind::NotPermitted,
        "failed to read virtual server 10.96.0.10:80/TCP",
    );
    check(
        client([]).info().expect_err("no answer"),
        ErrorKind::Lost,
        "failed to read version",
    );
    let missing = refused(libc::ESRCH).virtual_server(&key);
    assert_eq!(missing.expect("an answer"), None);
}

/// Number of the family after the module was loaded again.
const OTHER: u16 = 0x22;
/// `GENL_ID_CTRL`: the family that resolves names of families.
const CONTROL: u16 = 0x10;

/// Returns a client whose next request has the sequence number 2, and the datagrams that it will
/// send.
fn watched(answers: impl IntoIterator<Item = Result<Vec<u8>, i32>>) -> (Client<Script>, Sent) {
    let script = Script::new(std::iter::once(Ok(family(1, FAMILY))).chain(answers));
    let sent = Rc::clone(&script.sent);
    let client = Client::over(Connection::over(script)).expect("the family exists");
    sent.borrow_mut().clear();
    (client, sent)
}

/// Returns the type of each message that was sent.
fn types(sent: &Sent) -> Vec<u16> {
    let sent = sent.borrow();
    let messages = sent.iter().flat_map(|datagram| parse(datagram));
    messages.map(|message| message.kind).collect()
}

#[test]
fn refused_requests_are_repeated_after_a_reload() {
    let (key, real) = real();
    let requests = [
        Request::DelService(key),
        Request::NewService(server()),
        Request::NewDest(key, real),
    ];
    let (mut client, sent) = watched([
        Ok(refusal(2, libc::ESRCH)),
        Ok(refusal(3, libc::ENOENT)),
        Ok(refusal(4, libc::ENOENT)),
        Ok(family(5, OTHER)),
        Ok(ack(7)),
    ]);
    let outcomes = client.execute(&requests);
    let kinds: Vec<_> = (outcomes.iter())
        .map(|outcome| outcome.as_ref().err().map(super::RequestError::kind))
        .collect();
    // A request that was refused for another reason is not repeated.
    assert_eq!(kinds, [Some(ErrorKind::NoSuchService), None, None]);
    assert_eq!(
        types(&sent),
        [FAMILY, FAMILY, FAMILY, CONTROL, OTHER, OTHER]
    );
    assert_eq!(client.family_id(), OTHER);
}

#[test]
fn unknown_scheduler_is_not_a_reload() {
    let (mut client, sent) = watched([Ok(refusal(2, libc::ENOENT)), Ok(family(3, FAMILY))]);
    let error = client.execute(&[Request::NewService(server())]).remove(0);
    assert_eq!(
        error.expect_err("refused").kind(),
        ErrorKind::UnknownScheduler
    );
    assert_eq!(types(&sent), [FAMILY, CONTROL]);
}

#[test]
fn change_without_the_module_reports_no_family() {
    let (mut client, _) = watched([Ok(refusal(2, libc::ENOENT)), Ok(refusal(3, libc::ENOENT))]);
    let error = client.execute(&[Request::NewService(server())]).remove(0);
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NoFamily);
    assert!(error.failure().is_none());
    let cause = error.source().expect("a cause").to_string();
    assert_eq!(
        cause,
        "the kernel no longer has IPVS: its module ip_vs was unloaded"
    );
}

#[test]
fn reading_follows_a_reload() {
    let (key, _) = real();
    let reloaded = || {
        [
            Ok(refusal(2, libc::ENOENT)),
            Ok(family(3, OTHER)),
            Ok(ack(4)),
        ]
    };
    let (mut client, sent) = watched(reloaded());
    assert_eq!(client.virtual_servers().expect("an empty list"), []);
    assert_eq!(types(&sent), [FAMILY, CONTROL, OTHER]);
    let (mut client, _) = watched(reloaded());
    assert_eq!(client.real_servers(&key).expect("an empty list"), []);
    let gone = [
        Ok(refusal(2, libc::ENOENT)),
        Ok(family(3, OTHER)),
        Ok(refusal(4, libc::ESRCH)),
    ];
    let (mut client, sent) = watched(gone);
    assert_eq!(client.virtual_server(&key).expect("an answer"), None);
    assert_eq!(types(&sent), [FAMILY, CONTROL, OTHER]);
}

#[test]
fn reading_without_the_module_reports_no_family() {
    let (key, _) = real();
    let gone = || watched([Ok(refusal(2, libc::ENOENT)), Ok(refusal(3, libc::ENOENT))]).0;
    let errors = [
        gone().virtual_servers().map(drop),
        gone().virtual_server(&key).map(drop),
        gone().timeouts().map(drop),
    ];
    for error in errors {
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::NoFamily, "{error}");
    }
}

#[test]
fn interrupted_reading_ends_before_its_next_list() {
    let (key, _) = real();
    let interrupt: Arc<AtomicBool> = Arc::default();
    let mut client = client([Ok(ack(2))]);
    client.set_interrupt(Arc::clone(&interrupt));
    assert_eq!(client.virtual_servers().expect("an empty list"), []);
    interrupt.store(true, Ordering::Relaxed);
    let errors = [
        client.virtual_servers().map(drop),
        client.real_servers(&key).map(drop),
        client.virtual_servers_of(&[key]).map(drop),
        client.timeouts().map(drop),
    ];
    for error in errors {
        let error = error.expect_err("interrupted");
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
}

/// Requests more keys than fit into one send; every third exists.
#[test]
fn many_virtual_servers_are_requested_in_few_sends() {
    let keys: Vec<VirtualServerKey> = (1..=80)
        .map(
            |number| match parse_line(&format!("-A -t 10.96.0.{number}:80 -s rr")) {
                Ok(Line::VirtualServer(server)) => server.key,
                other => panic!("{other:?}"),
            },
        )
        .collect();
    let mut answers = Vec::new();
    for (sequence, key) in (2..).zip(&keys) {
        // The answer to a request by key has the form of a `NewService` request.
        let found = server_with(*key);
        let last = (sequence - 1) % 32 == 0 || sequence == 81;
        if sequence % 3 == 0 {
            answers.push(Ok(message(
                FAMILY,
                0,
                sequence,
                &payload(&Request::NewService(found)),
            )));
            answers.extend(last.then(|| Ok(ack(sequence))));
        } else {
            answers.push(Ok(refusal(sequence, libc::ESRCH)));
        }
    }
    let mut client = client(answers);
    let found = client
        .virtual_servers_of(&keys)
        .expect("the kernel answers");
    let expected: Vec<_> = (2..)
        .zip(&keys)
        .map(|(sequence, key)| (sequence % 3 == 0).then_some(*key))
        .collect();
    let found: Vec<_> = found
        .into_iter()
        .map(|server| server.map(|(server, _)| server.key))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn error_names_the_virtual_server_that_could_not_be_read() {
    let (key, _) = real();
    let other = match parse_line("-A -u 10.96.0.11:53 -s rr") {
        Ok(Line::VirtualServer(server)) => server.key,
        other => panic!("{other:?}"),
    };
    let mut client = client([Ok(refusal(2, libc::ESRCH)), Ok(refusal(3, libc::EPERM))]);
    let error = client.virtual_servers_of(&[other, key]);
    let error = error.expect_err("refused");
    assert_eq!(
        error.to_string(),
        "failed to read virtual server 10.96.0.10:80/TCP"
    );
}

fn server_with(key: VirtualServerKey) -> VirtualServer {
    VirtualServer { key, ..server() }
}

/// Returns the request as sent, without the netlink header.
fn payload(request: &Request) -> Vec<u8> {
    let message = super::envelope(FAMILY, request.message());
    let mut bytes = vec![0; netlink_packet_core::NetlinkSerializable::buffer_len(&message)];
    netlink_packet_core::NetlinkSerializable::serialize(&message, &mut bytes);
    bytes
}
