//! A network namespace for each test, and what the tests share.

use std::collections::BTreeMap;

use ipset::client::{Client, ErrorKind, Request};
use ipset::{Header, Set, SetName, text};
use support::namespace::{NEEDS_VM, in_bare_namespace};

/// Runs `test` on a client in a fresh network namespace.
///
/// # Panics
///
/// Panics as `test` does, and if the namespace cannot be created or the kernel has no ip_set.
pub(crate) fn in_namespace<R: Send>(test: impl FnOnce(&mut Client) -> R + Send) -> R {
    in_bare_namespace(|| {
        let client = Client::open();
        test(&mut client.unwrap_or_else(|error| panic!("{NEEDS_VM} ({error})")))
    })
}

pub(crate) fn name(name: &str) -> SetName {
    SetName::new(name).expect("a name")
}

/// The sets of the lines of `ipset save`.
pub(crate) fn parse(lines: &str) -> BTreeMap<SetName, Set> {
    text::parse(lines).unwrap_or_else(|error| panic!("{error}"))
}

/// The one set of the lines of `ipset save`.
pub(crate) fn one(lines: &str) -> (SetName, Set) {
    parse(lines).pop_first().expect("a set")
}

/// Returns the requests that create and fill the sets of the lines.
pub(crate) fn requests(lines: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    for (name, set) in parse(lines) {
        requests.push(Request::Create(name.clone(), set.header));
        requests.extend(adds(&name, &set));
    }
    requests
}

/// Returns the requests that fill a set.
pub(crate) fn adds(name: &SetName, set: &Set) -> Vec<Request> {
    let entries = set.entries.iter();
    entries
        .map(|entry| Request::Add(name.clone(), *entry))
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

/// Creates and fills the sets of the lines.
pub(crate) fn make(client: &mut Client, lines: &str) {
    do_all(client, &requests(lines));
}

/// Sends the requests; returns the failure of each, if it has one.
pub(crate) fn attempts(client: &mut Client, requests: &[Request]) -> Vec<Option<ErrorKind>> {
    let outcomes = client.execute(requests).into_iter();
    outcomes
        .map(|outcome| outcome.err().map(|error| error.kind()))
        .collect()
}

/// Returns the sets of the kernel, as text.
pub(crate) fn kernel(client: &mut Client) -> String {
    text::print(&client.list().unwrap_or_else(|error| panic!("{error}")))
}

/// A hash of addresses and ports and how many entries it may have.
pub(crate) fn ip_port(max_elements: u32) -> Header {
    let (_, set) = one(&format!("create A hash:ip,port maxelem {max_elements}"));
    set.header
}
