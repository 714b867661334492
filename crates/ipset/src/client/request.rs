//! Requests to the kernel.

use std::collections::BTreeMap;
use std::fmt;

use crate::codec::convert::{changes, entry_attributes};
use crate::codec::{Attribute, Command, Message};
use crate::types::{Entry, Header, Set, SetName};

/// One change, or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a set. One of the same name, type and size is no error.
    Create(SetName, Header),
    /// Destroy a set. Refused while a rule or another set uses it; one that is not there is no error.
    Destroy(SetName),
    /// Delete all entries of a set.
    Flush(SetName),
    /// Give a set another name. Refused while a rule uses it.
    Rename(SetName, SetName),
    /// Exchange what two sets of the same family hold. Rules keep to the names.
    Swap(SetName, SetName),
    /// Add an entry.
    Add(SetName, Entry),
    /// Delete an entry.
    Del(SetName, Entry),
    /// Put a new set in the place of the one of this name, in one moment. Where the old one is of another
    /// type that takes two moments, and is refused while a rule or another set uses it.
    Replace(SetName, Set),
    /// Ask for an entry: fails with [`ErrorKind::NoSuchEntry`](super::ErrorKind::NoSuchEntry) where it is
    /// not there.
    Test(SetName, Entry),
}

impl Request {
    /// The message that does it; none where one message does not.
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

    /// The set, and whether entries are added; none where it is about no entry.
    fn entry(&self) -> Option<(bool, &SetName, Entry)> {
        match self {
            Self::Add(name, entry) => Some((true, name, *entry)),
            Self::Del(name, entry) => Some((false, name, *entry)),
            _ => None,
        }
    }
}

/// The message for requests of which all add, or all delete, entries of one set. Of none it is empty.
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

/// Requests that go together.
pub(super) enum Part<'a> {
    /// Entries of one set, all added or all deleted.
    Entries(&'a [Request]),
    /// Anything else.
    One(&'a Request),
}

/// Parts `requests` without changing their order.
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

/// In words: "add 10.96.0.1,tcp:80 to set KUBE-CLUSTER-IP".
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
