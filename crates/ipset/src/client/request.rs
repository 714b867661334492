//! What can be asked of the kernel.

use std::fmt;

use crate::codec::convert::changes;
use crate::codec::{Attribute, Command, Message};
use crate::types::{Entry, Header, Set, SetName};

/// How many entries travel in one message: an entry has 68 bytes at most, an attribute 64 KiB.
pub(super) const ENTRIES: usize = 800;

/// One change, or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a set. One of the same name, type and size is no error.
    Create(SetName, Header),
    /// Destroy a set. Refused while a rule or another set uses it.
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
    /// Put a new set in the place of the one of this name, in one moment; the old one may have another
    /// type, but not another family.
    Replace(SetName, Set),
    /// Ask for an entry.
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
            Self::Create(..) | Self::Replace(..) | Self::Test(..) => return None,
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
