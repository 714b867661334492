//! Requests to the kernel.

use std::collections::BTreeMap;
use std::fmt;

use crate::codec::convert::{changes, entry_attributes};
use crate::codec::{Attribute, Command, Message};
use crate::types::{Entry, Header, Set, SetName};

/// A change, or a query for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a set. An existing set with the same name, type and size is not an error.
    Create(SetName, Header),
    /// Destroy a set. The kernel refuses this while a rule or another set uses it. A set that does
    /// not exist is not an error.
    Destroy(SetName),
    /// Delete all entries of a set.
    Flush(SetName),
    /// Rename a set. The kernel refuses this while a rule uses it.
    Rename(SetName, SetName),
    /// Swap the contents of two sets of the same family. Rules keep referring to the names.
    Swap(SetName, SetName),
    /// Add an entry.
    Add(SetName, Entry),
    /// Delete an entry.
    Del(SetName, Entry),
    /// Replace the set of this name atomically. If the old set has another type, this takes two
    /// steps, and the kernel refuses it while a rule or another set uses the old one.
    Replace(SetName, Set),
    /// Query an entry. Fails with [`ErrorKind::NoSuchEntry`](super::ErrorKind::NoSuchEntry) if the
    /// set does not contain it.
    Test(SetName, Entry),
}

impl Request {
    /// Returns the message of the request; `None` if it needs several messages.
    pub(super) fn message(&self, protocol: u8) -> Option<Message> {
        let about = |command, name: &SetName| {
            let attributes = vec![
                Attribute::Protocol(protocol),
                Attribute::SetName(name.to_string()),
            ];
            Message::new(command, attributes)
        };
        let with = |command, name: &SetName, other: &SetName| {
            let mut message = about(command, name);
            (message.attributes).push(Attribute::TypeName(other.to_string()));
            message
        };
        Some(match self {
            Self::Destroy(name) => about(Command::Destroy, name),
            Self::Flush(name) => about(Command::Flush, name),
            Self::Rename(from, to) => with(Command::Rename, from, to),
            Self::Swap(one, other) => with(Command::Swap, one, other),
            Self::Add(..) | Self::Del(..) => of_entries(protocol, std::slice::from_ref(self)),
            Self::Test(name, entry) => {
                let mut message = about(Command::Test, name);
                let entry = entry_attributes(*entry);
                (message.attributes).push(Attribute::Entry(entry));
                message
            }
            Self::Create(..) | Self::Replace(..) => return None,
        })
    }

    /// Returns true for an addition, the set and the entry; `None` if the request is not about an
    /// entry.
    fn entry(&self) -> Option<(bool, &SetName, Entry)> {
        match self {
            Self::Add(name, entry) => Some((true, name, *entry)),
            Self::Del(name, entry) => Some((false, name, *entry)),
            _ => None,
        }
    }
}

/// Returns the message for requests that all add, or all delete, entries of one set. Without
/// requests the message has no effect.
pub(super) fn of_entries(protocol: u8, requests: &[Request]) -> Message {
    let entries = || requests.iter().filter_map(Request::entry);
    match entries().next() {
        Some((adds, name, _)) => {
            let command = if adds { Command::Add } else { Command::Del };
            changes(
                protocol,
                command,
                name,
                entries().map(|(_, _, entry)| entry),
            )
        }
        None => Message::new(Command::Protocol, vec![Attribute::Protocol(protocol)]),
    }
}

/// Returns the number of entries that `requests` add to each set.
pub(super) fn additions(requests: &[Request]) -> BTreeMap<&SetName, usize> {
    let mut additions = BTreeMap::new();
    for request in requests {
        if let Request::Add(name, _) = request {
            *additions.entry(name).or_default() += 1;
        }
    }
    additions
}

/// Consecutive requests that are executed together.
pub(super) enum Part<'a> {
    /// Entries of one set, all to be added or all to be deleted.
    Entries(&'a [Request]),
    /// Any other request.
    One(&'a Request),
}

/// Groups `requests` without changing their order.
pub(super) fn parts(requests: &[Request]) -> impl Iterator<Item = Part<'_>> {
    let together = |a: &Request, b: &Request| match (a.entry(), b.entry()) {
        (Some((adds, name, _)), Some((also, other, _))) => adds == also && name == other,
        _ => false,
    };
    requests.chunk_by(together).map(|chunk| match chunk {
        [request] if request.entry().is_none() => Part::One(request),
        entries => Part::Entries(entries),
    })
}

/// Prints the request as errors show it: "add 10.96.0.1,tcp:80 to set KUBE-CLUSTER-IP".
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name, header) => write!(f, "create set {name} {header}"),
            Self::Destroy(name) => write!(f, "destroy set {name}"),
            Self::Flush(name) => write!(f, "flush set {name}"),
            Self::Rename(from, to) => write!(f, "rename set {from} to {to}"),
            Self::Swap(one, other) => write!(f, "swap sets {one} and {other}"),
            Self::Add(name, entry) => write!(f, "add {entry} to set {name}"),
            Self::Del(name, entry) => write!(f, "delete {entry} from set {name}"),
            Self::Replace(name, set) => write!(f, "replace set {name} by {}", set.header),
            Self::Test(name, entry) => write!(f, "look for {entry} in set {name}"),
        }
    }
}
