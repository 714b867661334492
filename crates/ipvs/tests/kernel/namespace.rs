//! A network namespace for each test, and what the tests share.

use ipvs::client::{Client, ErrorKind, Request};
use ipvs::text::{Line, parse_line, parse_lines};
use ipvs::{RealServer, VirtualServer, VirtualServerKey};
use support::namespace::{self, NEEDS_VM};

/// Runs `test` on a client in a fresh network namespace whose `lo` is up.
///
/// # Panics
///
/// Panics as `test` does, and if the namespace cannot be created or the kernel has no IPVS.
pub(crate) fn in_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    namespace::in_namespace(|| test(&mut open()))
}

/// Runs `test` like [`in_namespace`], but with `lo` down.
pub(crate) fn in_bare_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    namespace::in_bare_namespace(|| test(&mut open()))
}

/// A client in this thread's namespace.
pub(crate) fn open() -> Client {
    Client::open().unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})"))
}

/// The virtual server of a line of `ipvsadm-save`.
pub(crate) fn server(line: &str) -> VirtualServer {
    match parse_line(line) {
        Ok(Line::VirtualServer(server)) => server,
        other => panic!("{line}: {other:?}"),
    }
}

/// The real server of a line of `ipvsadm-save`, and its virtual server's key.
pub(crate) fn real(line: &str) -> (VirtualServerKey, RealServer) {
    match parse_line(line) {
        Ok(Line::RealServer(key, real)) => (key, real),
        other => panic!("{line}: {other:?}"),
    }
}

/// Returns the requests that add the lines of `text`.
pub(crate) fn requests(text: &str) -> Vec<Request> {
    let lines = parse_lines(text).unwrap_or_else(|error| panic!("{error}"));
    lines
        .into_iter()
        .map(|line| match line {
            Line::VirtualServer(server) => Request::NewService(server),
            Line::RealServer(key, real) => Request::NewDest(key, real),
        })
        .collect()
}

/// Does every request; each succeeds.
pub(crate) fn do_all(client: &mut Client, requests: &[Request]) {
    for outcome in client.execute(requests) {
        if let Err(error) = outcome {
            panic!("{error}: {:?}", error.failure());
        }
    }
}

/// Adds the lines of `text`; each succeeds.
pub(crate) fn add(client: &mut Client, text: &str) {
    do_all(client, &requests(text));
}

/// Sends one request; returns its failure, if it has one.
pub(crate) fn attempt(client: &mut Client, request: Request) -> Option<ErrorKind> {
    attempts(client, &[request])[0]
}

/// Sends the requests; returns the failure of each, if it has one.
pub(crate) fn attempts(client: &mut Client, requests: &[Request]) -> Vec<Option<ErrorKind>> {
    let outcomes = client.execute(requests).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind()))
        .collect()
}

/// Returns the kernel's tables as text, sorted; read whole.
pub(crate) fn text(client: &mut Client) -> Vec<String> {
    use ipvs::text::{print_real_server, print_virtual_server};

    let table = client.table().unwrap_or_else(|error| panic!("{error}"));
    assert!(!table.torn, "no other program writes here");
    let mut lines = Vec::new();
    for entry in table.entries.values() {
        lines.push(print_virtual_server(&entry.server));
        for status in &entry.real_servers {
            lines.push(print_real_server(&entry.server.key, &status.server));
        }
    }
    lines.sort();
    lines
}

/// Virtual servers 10.96.x.y:80/TCP, `count` of them, with `reals` real servers each.
pub(crate) fn table_text(count: u16, reals: u8) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let _ = writeln!(text, "-A -t 10.96.{high}.{low}:80 -s rr");
        for each in 1..=reals {
            let _ = writeln!(
                text,
                "-a -t 10.96.{high}.{low}:80 -r 10.{each}.{high}.{low}:8080 -m -w 1"
            );
        }
    }
    text
}
