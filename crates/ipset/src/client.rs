//! Client of the running kernel. Every command needs `CAP_NET_ADMIN` in the user namespace that
//! owns the network namespace.
//!
//! [`Client::execute`] executes each [`Request`] separately, in order, and returns one outcome for
//! each. Consecutive entries of one set share messages. It is not an error to add an entry that
//! exists or to delete one that does not, since the result is the requested one.
//!
//! [`Client::list`] reads sets with all their entries.

mod entries;
mod error;
mod read;
mod replace;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use netlink::{
    Connection, DumpError, Errno, Failure, Protocol as NetlinkProtocol, Socket, Transport,
};
use netlink_packet_core::NLM_F_CREATE;

use crate::codec::convert::{create, create_type, entry_attributes, type_request};
use crate::codec::{Attribute, Command, Message, PROTOCOL, PROTOCOL_MIN};
use crate::types::{Entry, Header, SetName};

pub use error::{ErrorKind, OpenError, ReadError, RequestError};
pub use request::Request;
use request::{Part, additions, parts};

/// Highest revision of a type that is requested. Later revisions only add options that this crate
/// does not use, and older programs can read sets of earlier ones.
const REVISION_MAX: u8 = 5;

/// A connection to the sets of one network namespace.
#[derive(Debug)]
pub struct Client<T = Socket> {
    connection: Connection<T>,
    protocol: u8,
    /// Revision of each set type, as negotiated with the kernel.
    revisions: BTreeMap<(String, u8), u8>,
}

impl Client<Socket> {
    /// Connects to the sets of the network namespace of the calling thread. The kernel loads its
    /// module if it may.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoModule`] if the kernel has no `ip_set`; [`OpenError::NotPermitted`] without
    /// `CAP_NET_ADMIN`.
    pub fn open() -> Result<Self, OpenError> {
        let connection = Connection::open(NetlinkProtocol::Netfilter).map_err(no_socket)?;
        Self::over(connection)
    }
}

impl<T: Transport> Client<T> {
    /// Creates a client that uses `connection`, a connection to netfilter.
    ///
    /// # Errors
    ///
    /// Fails as [`Client::open`] does.
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
                // nfnetlink does not have the subsystem (`nfnetlink_rcv_msg`).
                libc::EINVAL | libc::EOPNOTSUPP => OpenError::NoModule,
                _ => OpenError::Refused(errno),
            }),
            Err(source) => Err(OpenError::Ask(source)),
        }
    }

    /// Returns the protocol version that is used with the kernel.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Returns true if the set `name` contains `entry`, in the way that a packet is matched.
    ///
    /// # Errors
    ///
    /// The set does not exist, or the entry does not fit its type.
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
            Err(failure) => {
                let error = RequestError::new(Request::Test(name.clone(), entry), failure);
                match error.kind() {
                    ErrorKind::NoSuchEntry => Ok(false),
                    _ => Err(error),
                }
            }
        }
    }

    /// Executes every request in order. A failed request does not stop the later ones. Returns one
    /// outcome for each, in the same order.
    pub fn execute(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let additions = additions(requests);
        let mut outcomes = Vec::with_capacity(requests.len());
        for part in parts(requests) {
            match part {
                Part::Entries(of) => {
                    outcomes.extend(entries::execute(&mut self.connection, self.protocol, of));
                }
                Part::One(Request::Create(name, header)) => {
                    let expected = additions.get(name).copied().unwrap_or(0);
                    let done = self.create(name, *header, expected);
                    outcomes.push(done.map_err(|failure| {
                        RequestError::new(Request::Create(name.clone(), *header), failure)
                    }));
                }
                Part::One(request) => outcomes.push(self.request(request)),
            }
        }
        outcomes
    }

    /// Executes a request that needs a single message, or a [`Request::Replace`].
    fn request(&mut self, request: &Request) -> Result<(), RequestError> {
        if let Request::Replace(name, set) = request {
            return self.replace(name, set);
        }
        let Some(message) = request.message(self.protocol) else {
            return Ok(());
        };
        let done = self.one(message, 0);
        let outcome = done.map_err(|failure| RequestError::new(request.clone(), failure));
        match (request, outcome) {
            // Older kernels, for example Linux 5.4, refuse to destroy a set that does not exist.
            (Request::Destroy(_), Err(error)) if error.kind() == ErrorKind::NoSuchSet => Ok(()),
            (_, outcome) => outcome,
        }
    }

    fn single(&mut self, request: Request) -> Result<(), RequestError> {
        let mut outcomes = self.execute(&[request]);
        outcomes.pop().unwrap_or(Ok(()))
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

    /// Returns the revision of a type to request.
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

    fn one(&mut self, message: Message, flags: u16) -> Result<(), Failure> {
        let request = netlink::Request { message, flags };
        let mut answers = self.connection.execute([request]);
        answers.pop().unwrap_or(Err(Failure::Lost))
    }
}

/// Converts the failure to open a socket. Without nfnetlink the kernel has no such socket, and so
/// no sets.
fn no_socket(error: netlink::OpenError) -> OpenError {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    let number = cause.and_then(std::io::Error::raw_os_error);
    if number == Some(libc::EPROTONOSUPPORT) {
        OpenError::NoModule
    } else {
        OpenError::Socket(error)
    }
}
