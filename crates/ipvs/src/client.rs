//! Client of the running kernel. Every command, including the reading ones, needs `CAP_NET_ADMIN`
//! in the user namespace that owns the network namespace.
//!
//! # Changes
//!
//! The kernel has no transactions. [`Client::execute`] executes each [`Request`] separately, in
//! order, and returns one outcome for each. It sends hundreds of requests at once. A
//! [`RequestError`] names the request and its key; [`ErrorKind`] is the meaning of the error number
//! for that request.
//!
//! # Readings
//!
//! The kernel has no snapshots either. A list that is read while another program writes may lack
//! existing entries, and the kernel does not report that. [`Client::table`] reads in a way that
//! detects it, and reports it in [`Table::torn`].
//!
//! # Reloading of the module
//!
//! Each load of the module `ip_vs` gives the generic-netlink family another number
//! (`genl_register_family` allocates them cyclically). The kernel answers requests with an old
//! number with `ENOENT` and does not execute them (`genl_rcv_msg`, net/netlink/genetlink.c, Linux
//! 6.1). IPVS itself also returns `ENOENT`.
//!
//! On `ENOENT` a client therefore resolves the family again. If the number has changed, it repeats
//! the refused requests with the new one. [`Client::family_id`] shows that the module was loaded
//! again; its table was empty at first.

mod error;
mod request;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netlink::generic::{ResolveError, resolve};
use netlink::{Connection, DumpError, Failure, Protocol as NetlinkProtocol, Socket, Transport};
use netlink_packet_core::{DecodeError, ParseableParametrized as _};
use netlink_packet_generic::{GenlHeader, GenlMessage};

use crate::codec::convert::{
    read_daemon, read_destination, read_info, read_service, read_timeouts, service_request,
};
use crate::codec::{Attributes, Command, CommandAttribute, FAMILY_NAME, Message};
use crate::types::{
    Info, RealServerStatus, Statistics, SyncDaemon, Timeouts, VirtualServer, VirtualServerKey,
};

pub use error::{ErrorKind, OpenError, ReadError, RequestError};
use error::{ReadCause, RequestCause};
pub use request::Request;
pub use table::{Table, TableEntry};

/// Number of virtual servers requested in one send. The kernel allocates about 4 KiB for each
/// answer, so that the answers fit into a receive buffer of 208 KiB, the size for an unprivileged
/// process.
const GETS_PER_SEND: usize = 32;

/// Length of a generic-netlink header, `struct genlmsghdr`.
const GENERIC_HEADER_BYTES: usize = 4;

/// A connection to IPVS in one network namespace.
#[derive(Debug)]
pub struct Client<T = Socket> {
    connection: Connection<T>,
    family: u16,
    interrupt: Arc<AtomicBool>,
}

impl Client<Socket> {
    /// Connects to IPVS in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoFamily`] if the kernel's module `ip_vs` is not loaded.
    pub fn open() -> Result<Self, OpenError> {
        let connection = Connection::open(NetlinkProtocol::Generic).map_err(OpenError::Socket)?;
        Self::over(connection)
    }
}

impl<T: Transport> Client<T> {
    /// Creates a client that uses `connection`, a connection to generic netlink.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoFamily`] if the kernel's module `ip_vs` is not loaded.
    pub fn over(mut connection: Connection<T>) -> Result<Self, OpenError> {
        match resolve(&mut connection, FAMILY_NAME) {
            Ok(family) => Ok(Self {
                connection,
                family,
                interrupt: Arc::default(),
            }),
            Err(ResolveError::NoFamily { .. }) => Err(OpenError::NoFamily),
            Err(error) => Err(OpenError::Resolve(error)),
        }
    }

    /// Sets a flag that ends readings: once `interrupt` is true, a reading fails with
    /// [`ErrorKind::Interrupted`] before its next list or request. A reading of the whole table
    /// requests one list for each virtual server.
    pub fn set_interrupt(&mut self, interrupt: Arc<AtomicBool>) {
        self.interrupt = interrupt;
    }

    /// Executes every request in order, many in one send. A failed request does not stop the later
    /// ones. Returns one outcome for each, in the same order.
    pub fn execute(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let mut outcomes = self.send(requests.iter());
        let refused: Vec<usize> = (0..requests.len())
            .filter(|index| (outcomes[*index].as_ref()).is_err_and(is_unknown_failure))
            .collect();
        if !refused.is_empty() {
            match self.renew() {
                FamilyLookup::Same => {}
                FamilyLookup::Other => {
                    let again = self.send(refused.iter().map(|index| &requests[*index]));
                    for (index, outcome) in refused.into_iter().zip(again) {
                        outcomes[index] = outcome;
                    }
                }
                FamilyLookup::Gone => {
                    for index in refused {
                        outcomes[index] = Err(RequestCause::NoFamily);
                    }
                }
            }
        }
        (requests.iter().zip(outcomes))
            .map(|(request, outcome)| {
                outcome.map_err(|cause| RequestError::new(request.clone(), cause))
            })
            .collect()
    }

    fn send<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Request>,
    ) -> Vec<Result<(), RequestCause>> {
        let family = self.family;
        let messages = requests.map(|request| netlink::Request {
            message: envelope(family, request.message()),
            flags: 0,
        });
        let outcomes = self.connection.execute(messages).into_iter();
        outcomes
            .map(|outcome| outcome.map_err(RequestCause::from))
            .collect()
    }

    /// Resolves the family again.
    fn renew(&mut self) -> FamilyLookup {
        match resolve(&mut self.connection, FAMILY_NAME) {
            Ok(family) if family != self.family => {
                self.family = family;
                FamilyLookup::Other
            }
            Err(ResolveError::NoFamily { .. }) => FamilyLookup::Gone,
            // If the kernel does not answer, its first answer stands.
            Ok(_) | Err(ResolveError::Ask { .. }) => FamilyLookup::Same,
        }
    }

    /// Returns the number of the generic-netlink family. It changes when the module `ip_vs` is
    /// loaded again.
    #[must_use]
    pub fn family_id(&self) -> u16 {
        self.family
    }

    /// Returns every virtual server with its counters, in the kernel's order.
    ///
    /// A dump that another writer disturbs may lack existing entries, and the kernel does not
    /// report that (measured on Linux 6.1). A missing entry therefore proves nothing. See
    /// [`Client::table`].
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, ReadError> {
        let mut servers = Vec::new();
        self.each_virtual_server(|server, statistics| servers.push((server, statistics)))?;
        Ok(servers)
    }

    /// Reads the list of [`Client::virtual_servers`] and calls `each` for every entry as it
    /// arrives.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn each_virtual_server(
        &mut self,
        mut each: impl FnMut(VirtualServer, Statistics),
    ) -> Result<(), ReadError> {
        let request = Message::new(Command::GetService, Vec::new());
        self.dump(request, |message| {
            if let Some((server, statistics)) = service_of(&message)? {
                each(server, statistics);
            }
            Ok(())
        })
        .map_err(|source| ReadError::new("virtual servers", source))
    }

    /// Returns the virtual server `key`, or `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// The virtual server could not be read.
    pub fn virtual_server(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<Option<(VirtualServer, Statistics)>, ReadError> {
        let mut servers = self.virtual_servers_of(&[*key])?;
        Ok(servers.pop().flatten())
    }

    /// Returns the virtual servers `keys` in this order, with `None` for each that does not exist.
    /// Many are requested in one send.
    ///
    /// # Errors
    ///
    /// A virtual server could not be read.
    pub fn virtual_servers_of(
        &mut self,
        keys: &[VirtualServerKey],
    ) -> Result<Vec<Option<(VirtualServer, Statistics)>>, ReadError> {
        let mut servers = Vec::with_capacity(keys.len());
        for keys in keys.chunks(GETS_PER_SEND) {
            let failed = |source| ReadError::new("virtual servers", source);
            self.check_interrupt().map_err(failed)?;
            let mut answers = self.request_chunk(keys);
            let is_unknown = |(_, outcome): &Answer| outcome.as_ref().is_err_and(is_unknown_family);
            if answers.iter().any(is_unknown) {
                match self.renew() {
                    FamilyLookup::Same => {}
                    FamilyLookup::Other => answers = self.request_chunk(keys),
                    FamilyLookup::Gone => return Err(failed(ReadCause::NoFamily)),
                }
            }
            for (key, (server, outcome)) in keys.iter().zip(answers) {
                let failed = |source| ReadError::new(format!("virtual server {key}"), source);
                outcome.map_err(failed)?;
                servers.push(server);
            }
        }
        Ok(servers)
    }

    /// Requests the virtual servers `keys`, at most [`GETS_PER_SEND`].
    fn request_chunk(&mut self, keys: &[VirtualServerKey]) -> Vec<Answer> {
        let family = self.family;
        let questions =
            (keys.iter()).map(|key| envelope(family, service_request(Command::GetService, key)));
        let mut answers: Vec<Answer> = keys.iter().map(|_| (None, Ok(()))).collect();
        let outcomes = self.connection.get_each(questions, |index, payload| {
            match decode(payload).and_then(|message| service_of(&message)) {
                Ok(server) => answers[index].0 = server,
                Err(error) => answers[index].1 = Err(DumpError::Decode(error)),
            }
        });
        for ((_, answer), outcome) in answers.iter_mut().zip(outcomes) {
            match outcome {
                Err(Failure::Refused { errno, .. }) if errno.0 == libc::ESRCH => {}
                Err(failure) => *answer = Err(failure.into()),
                Ok(()) => {}
            }
        }
        answers
    }

    /// Returns the real servers of `key`, in the kernel's order. Also empty if the virtual server
    /// does not exist, since the kernel does not distinguish the two cases.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn real_servers(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<Vec<RealServerStatus>, ReadError> {
        let request = service_request(Command::GetDestination, key);
        let family = key.family();
        let mut servers = Vec::new();
        self.dump(request, |message| {
            for attribute in command_attributes(&message) {
                if let CommandAttribute::Destination(nested) = attribute {
                    servers.push(read_destination(&nested.attributes, family)?);
                }
            }
            Ok(())
        })
        .map_err(|source| ReadError::new(format!("real servers of {key}"), source))?;
        Ok(servers)
    }

    /// Returns the idle timeouts.
    ///
    /// # Errors
    ///
    /// The timeouts could not be read.
    pub fn timeouts(&mut self) -> Result<Timeouts, ReadError> {
        let mut timeouts = Timeouts::default();
        self.get(Message::new(Command::GetConfig, Vec::new()), |message| {
            timeouts = read_timeouts(&message);
            Ok(())
        })
        .map_err(|source| ReadError::new("timeouts", source))?;
        Ok(timeouts)
    }

    /// Returns the kernel's version of IPVS and the size of its connection table.
    ///
    /// # Errors
    ///
    /// The information could not be read. Without `CAP_NET_ADMIN` the kind is
    /// [`ErrorKind::NotPermitted`].
    pub fn info(&mut self) -> Result<Info, ReadError> {
        let mut info = Info::default();
        self.get(Message::new(Command::GetInfo, Vec::new()), |message| {
            info = read_info(&message);
            Ok(())
        })
        .map_err(|source| ReadError::new("version", source))?;
        Ok(info)
    }

    /// Returns the running synchronisation daemons.
    ///
    /// # Errors
    ///
    /// The list could not be read to its end.
    pub fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, ReadError> {
        let mut daemons = Vec::new();
        self.dump(Message::new(Command::GetDaemon, Vec::new()), |message| {
            for attribute in command_attributes(&message) {
                if let CommandAttribute::Daemon(nested) = attribute {
                    daemons.push(read_daemon(&nested.attributes)?);
                }
            }
            Ok(())
        })
        .map_err(|source| ReadError::new("synchronisation daemons", source))?;
        Ok(daemons)
    }

    fn dump(
        &mut self,
        request: Message,
        mut each: impl FnMut(Message) -> Result<(), DecodeError>,
    ) -> Result<(), ReadCause> {
        self.read(request, |connection, question| {
            // The integrity is ignored: dumps of this family never carry the mark of an
            // interruption.
            let integrity = connection.dump(question, |payload| each(decode(payload)?));
            integrity.map(|_integrity| ())
        })
    }

    fn get(
        &mut self,
        request: Message,
        mut each: impl FnMut(Message) -> Result<(), DecodeError>,
    ) -> Result<(), ReadCause> {
        self.read(request, |connection, question| {
            connection.get(question, |payload| each(decode(payload)?))
        })
    }

    /// Reads once, and again if the family has got another number. The kernel refuses an unknown
    /// number before it sends any entry.
    fn read(
        &mut self,
        request: Message,
        mut ask: impl FnMut(&mut Connection<T>, &GenlMessage<Message>) -> Result<(), DumpError>,
    ) -> Result<(), ReadCause> {
        self.check_interrupt()?;
        let mut question = envelope(self.family, request);
        match ask(&mut self.connection, &question) {
            Err(error) if is_unknown_family(&error) => match self.renew() {
                FamilyLookup::Same => Err(error.into()),
                FamilyLookup::Other => {
                    question.set_resolved_family_id(self.family);
                    Ok(ask(&mut self.connection, &question)?)
                }
                FamilyLookup::Gone => Err(ReadCause::NoFamily),
            },
            answer => Ok(answer?),
        }
    }

    /// Fails if the reading was interrupted.
    fn check_interrupt(&self) -> Result<(), ReadCause> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(ReadCause::Interrupted),
            false => Ok(()),
        }
    }
}

/// A virtual server if it exists, and the outcome of its request.
type Answer = (Option<(VirtualServer, Statistics)>, Result<(), DumpError>);

/// Result of resolving the family again.
enum FamilyLookup {
    /// The number is unchanged, or the kernel did not answer.
    Same,
    /// The module was loaded again: the family has another number.
    Other,
    /// The module is not loaded.
    Gone,
}

/// Returns true if the kernel may not know the family's number.
fn is_unknown_family(error: &DumpError) -> bool {
    matches!(error, DumpError::Refused { errno, .. } if errno.0 == libc::ENOENT)
}

fn is_unknown_failure(cause: &RequestCause) -> bool {
    matches!(
        cause,
        RequestCause::Failed(Failure::Refused { errno, .. }) if errno.0 == libc::ENOENT
    )
}

fn envelope(family: u16, message: Message) -> GenlMessage<Message> {
    let mut envelope = GenlMessage::from_payload(message);
    envelope.set_resolved_family_id(family);
    envelope
}

fn decode(payload: &[u8]) -> Result<Message, DecodeError> {
    let header = GenlHeader::parse(payload)?;
    let attributes = payload.get(GENERIC_HEADER_BYTES..).unwrap_or_default();
    Message::parse_with_param(attributes, header)
}

fn command_attributes(message: &Message) -> &[CommandAttribute] {
    match &message.attributes {
        Attributes::Command(attributes) => attributes,
        Attributes::Info(_) => &[],
    }
}

/// Returns the virtual server of an answer; `None` if the answer has none.
fn service_of(message: &Message) -> Result<Option<(VirtualServer, Statistics)>, DecodeError> {
    for attribute in command_attributes(message) {
        if let CommandAttribute::Service(nested) = attribute {
            return read_service(&nested.attributes).map(Some);
        }
    }
    Ok(None)
}
