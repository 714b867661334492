//! Talking to the running kernel. Every command needs `CAP_NET_ADMIN` in the user namespace that owns the
//! network namespace.
//!
//! [`Client::execute`] does each [`Request`] by itself, in order, and gives one outcome for each. Entries
//! of one set that follow each other travel many in a message. Adding an entry that is there, and
//! deleting one that is not, is no error: what is asked for is so afterwards.
//!
//! [`Client::list`] reads sets with all that they hold.

mod error;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use netlink::{
    Connection, DumpError, Errno, Failure, Protocol as NetlinkProtocol, Socket, Transport,
};
use netlink_packet_core::NLM_F_CREATE;

use crate::codec::convert::{
    create, create_type, entries_of, entry_attributes, header_of, set_name_of, type_request,
};
use crate::codec::{Attribute, Command, Message, PROTOCOL, PROTOCOL_MIN};
use crate::types::{Entry, Header, Set, SetName};

pub use error::{ErrorKind, OpenError, ReadError, RequestError};
pub use request::Request;
use request::{ENTRIES, Part, parts};

/// The highest revision of a type that is asked for. Later ones bring options that are not used here,
/// and a set of an early one can be read by old programs too.
const REVISION_MAX: u8 = 5;

/// A connection to the sets of one network namespace.
#[derive(Debug)]
pub struct Client<T = Socket> {
    connection: Connection<T>,
    protocol: u8,
    /// What the kernel said about each type.
    revisions: BTreeMap<(String, u8), u8>,
}

impl Client<Socket> {
    /// Connects to the sets of the network namespace of the calling thread. The kernel loads its module
    /// where it may.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoModule`] where the kernel has no `ip_set`; [`OpenError::NotPermitted`] without
    /// `CAP_NET_ADMIN`.
    pub fn open() -> Result<Self, OpenError> {
        let connection = Connection::open(NetlinkProtocol::Netfilter).map_err(OpenError::Socket)?;
        Self::over(connection)
    }
}

impl<T: Transport> Client<T> {
    /// Uses `connection`, which is one of netfilter.
    ///
    /// # Errors
    ///
    /// As [`Client::open`].
    pub fn over(connection: Connection<T>) -> Result<Self, OpenError> {
        let mut client = Self {
            connection,
            protocol: PROTOCOL_MIN,
            revisions: BTreeMap::new(),
        };
        let (newest, oldest) = client.protocols()?;
        if newest < PROTOCOL_MIN || oldest > PROTOCOL {
            return Err(OpenError::Protocol { newest, oldest });
        }
        client.protocol = newest.min(PROTOCOL);
        Ok(client)
    }

    fn protocols(&mut self) -> Result<(u8, u8), OpenError> {
        let request = Message::new(Command::Protocol, vec![Attribute::Protocol(PROTOCOL_MIN)]);
        let (mut newest, mut oldest) = (PROTOCOL_MIN, PROTOCOL_MIN);
        let answer = self.connection.get(&request, |payload| {
            for attribute in Message::decode(Command::Protocol, payload)?.attributes {
                match attribute {
                    Attribute::Protocol(number) => newest = number,
                    Attribute::Minimum(number) => oldest = number,
                    _ => {}
                }
            }
            Ok(())
        });
        match answer {
            Ok(()) => Ok((newest, oldest)),
            Err(DumpError::Refused { errno, .. }) => Err(match errno.0 {
                libc::EPERM => OpenError::NotPermitted,
                // nfnetlink has no such subsystem (`nfnetlink_rcv_msg`).
                libc::EINVAL | libc::EOPNOTSUPP => OpenError::NoModule,
                _ => OpenError::Refused(errno),
            }),
            Err(source) => Err(OpenError::Ask(source)),
        }
    }

    /// The protocol that is spoken with the kernel.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Every set, by name, with its entries.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn list(&mut self) -> Result<BTreeMap<SetName, Set>, ReadError> {
        let request = self.list_request(None);
        self.read(&request)
            .map_err(|source| ReadError::new("sets", source))
    }

    /// The set `name` with its entries, none where there is none.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn set(&mut self, name: &SetName) -> Result<Option<Set>, ReadError> {
        let request = self.list_request(Some(name));
        match self.read(&request) {
            Ok(mut sets) => Ok(sets.remove(name)),
            Err(DumpError::Refused { errno, .. }) if errno.0 == libc::ENOENT => Ok(None),
            Err(source) => Err(ReadError::new(format!("set {name}"), source)),
        }
    }

    /// Whether the set `name` holds `entry`, as a packet would find it.
    ///
    /// # Errors
    ///
    /// There is no such set, or the entry is none of its.
    pub fn test(&mut self, name: &SetName, entry: Entry) -> Result<bool, RequestError> {
        let message = Message::new(
            Command::Test,
            vec![
                Attribute::Protocol(self.protocol),
                Attribute::SetName(name.to_string()),
                Attribute::Entry(entry_attributes(entry)),
            ],
        );
        match self.one(message, 0) {
            Ok(()) => Ok(true),
            Err(Failure::Refused { errno, .. }) if errno.0 == error::EXISTS => Ok(false),
            Err(failure) => Err(RequestError::new(
                Request::Test(name.clone(), entry),
                failure,
            )),
        }
    }

    /// Does every request, in order, whatever becomes of the ones before. One outcome for each, in the
    /// same order.
    pub fn execute(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for part in parts(requests) {
            match part {
                Part::Entries(of) => outcomes.extend(self.entries(of)),
                Part::One(request) => outcomes.push(self.request(request)),
            }
        }
        outcomes
    }

    /// Adds or deletes entries, all of one kind and one set. A message that fails tells nothing about
    /// which of its entries did: these are sent again, each alone.
    fn entries(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let protocol = self.protocol;
        let chunks: Vec<&[Request]> = requests.chunks(ENTRIES).collect();
        let messages = chunks.iter().map(|chunk| netlink::Request {
            message: request::of_entries(protocol, chunk),
            flags: 0,
        });
        let answers = self.connection.execute(messages);
        let mut outcomes = Vec::with_capacity(requests.len());
        for (chunk, answer) in chunks.into_iter().zip(answers) {
            match (answer, chunk) {
                (Ok(()), _) => outcomes.extend(chunk.iter().map(|_| Ok(()))),
                (Err(failure), [request]) => {
                    outcomes.push(Err(RequestError::new(request.clone(), failure)));
                }
                (Err(Failure::Refused { .. }), _) => outcomes.extend(self.one_by_one(chunk)),
                (Err(failure), _) => {
                    outcomes.extend(chunk.iter().map(|request| {
                        Err(RequestError::new(request.clone(), error::copy(&failure)))
                    }));
                }
            }
        }
        outcomes
    }

    fn one_by_one(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let protocol = self.protocol;
        let messages = requests.iter().map(|request| netlink::Request {
            message: request::of_entries(protocol, std::slice::from_ref(request)),
            flags: 0,
        });
        let answers = self.connection.execute(messages);
        (requests.iter().zip(answers))
            .map(|(request, answer)| {
                answer.map_err(|failure| RequestError::new(request.clone(), failure))
            })
            .collect()
    }

    fn request(&mut self, request: &Request) -> Result<(), RequestError> {
        let done = match request {
            Request::Create(name, header) => self.create(name, *header, 0),
            Request::Replace(name, set) => return self.replace(name, set),
            Request::Test(name, entry) => {
                return self.test(name, *entry).map(|_| ());
            }
            _ => match request.message(self.protocol) {
                Some(message) => self.one(message, 0),
                None => Ok(()),
            },
        };
        done.map_err(|failure| RequestError::new(request.clone(), failure))
    }

    fn create(&mut self, name: &SetName, header: Header, expected: usize) -> Result<(), Failure> {
        let invalid = || Failure::Refused {
            errno: Errno(libc::EINVAL),
            message: Some("a set of this type cannot be created".to_owned()),
        };
        let (type_name, family) = create_type(header).ok_or_else(invalid)?;
        let revision = self.revision(type_name, family)?;
        let message =
            create(self.protocol, name, header, revision, expected).ok_or_else(invalid)?;
        self.one(message, NLM_F_CREATE)
    }

    /// The revision of a type to ask for.
    fn revision(&mut self, type_name: String, family: u8) -> Result<u8, Failure> {
        let key = (type_name, family);
        if let Some(revision) = self.revisions.get(&key) {
            return Ok(*revision);
        }
        let request = type_request(self.protocol, key.0.clone(), family);
        let (mut newest, mut oldest) = (0, 0);
        let answer = self.connection.get(&request, |payload| {
            for attribute in Message::decode(Command::Type, payload)?.attributes {
                match attribute {
                    Attribute::Revision(number) => newest = number,
                    Attribute::Minimum(number) => oldest = number,
                    _ => {}
                }
            }
            Ok(())
        });
        match answer {
            Ok(()) => {
                let revision = newest.min(REVISION_MAX).max(oldest);
                self.revisions.insert(key, revision);
                Ok(revision)
            }
            Err(DumpError::Refused { errno, message }) => Err(Failure::Refused { errno, message }),
            Err(DumpError::Send(error)) => Err(Failure::NotSent(error)),
            Err(_) => Err(Failure::Lost),
        }
    }

    /// Fills a set of another name, then exchanges the two: rules that look into it go on, and find all
    /// of the old or all of the new.
    fn replace(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let wrap =
            |failure| RequestError::new(Request::Replace(name.clone(), set.clone()), failure);
        let temporary = temporary_name(name);
        // Left by a process that was killed.
        let _ = self.execute(&[Request::Destroy(temporary.clone())]);
        self.create(&temporary, set.header, set.entries.len())
            .map_err(wrap)?;
        let filled = self.fill(&temporary, set).and_then(|()| {
            let swap = [Request::Swap(temporary.clone(), name.clone())];
            match self.execute(&swap).pop() {
                Some(Err(error)) if error.kind() == ErrorKind::NoSuchSet => {
                    let rename = [Request::Rename(temporary.clone(), name.clone())];
                    self.execute(&rename).pop().unwrap_or(Ok(()))
                }
                outcome => outcome.unwrap_or(Ok(())),
            }
        });
        let _ = self.execute(&[Request::Destroy(temporary)]);
        filled
    }

    fn fill(&mut self, name: &SetName, set: &Set) -> Result<(), RequestError> {
        let adds: Vec<Request> = (set.entries.iter())
            .map(|entry| Request::Add(name.clone(), *entry))
            .collect();
        self.execute(&adds).into_iter().collect()
    }

    fn one(&mut self, message: Message, flags: u16) -> Result<(), Failure> {
        let request = netlink::Request { message, flags };
        let mut answers = self.connection.execute([request]);
        answers.pop().unwrap_or(Err(Failure::Lost))
    }

    fn list_request(&self, name: Option<&SetName>) -> Message {
        let mut attributes = vec![Attribute::Protocol(self.protocol)];
        attributes.extend(name.map(|name| Attribute::SetName(name.to_string())));
        Message::new(Command::List, attributes)
    }

    fn read(&mut self, request: &Message) -> Result<BTreeMap<SetName, Set>, DumpError> {
        let mut sets: BTreeMap<SetName, Set> = BTreeMap::new();
        // The kernel holds no lock between two messages of a list, yet each set is kept from being
        // resized meanwhile, and nothing else writes where there is one writer.
        let _integrity = self.connection.dump(request, |payload| {
            let message = Message::decode(Command::List, payload)?;
            let Some(name) = set_name_of(&message) else {
                return Ok(());
            };
            if let Some(header) = header_of(&message) {
                let entries = BTreeSet::new();
                sets.insert(name.clone(), Set { header, entries });
            }
            if let Some(set) = sets.get_mut(&name) {
                set.entries.extend(entries_of(&message, set.header));
            }
            Ok(())
        })?;
        Ok(sets)
    }
}

/// The name under which a set is filled that is to take the place of `name`.
fn temporary_name(name: &SetName) -> SetName {
    SetName::cut(&format!("~{name}"))
}
