//! Talking to the running kernel. Every command, reading too, needs `CAP_NET_ADMIN` in the user
//! namespace that owns the network namespace.
//!
//! # Changes
//!
//! The kernel has no transactions: [`Client::execute`] does each [`Request`] by itself, in order, and
//! gives one outcome for each. Hundreds travel in one send. A [`RequestError`] names what was asked and
//! its key; [`ErrorKind`] says what the error number means there.
//!
//! # Readings
//!
//! The kernel has no snapshots either. A list that is read while another program writes may lack entries
//! that exist, and the kernel does not say so: [`Client::table`] reads in a way that notices, and tells by
//! [`Table::torn`].
//!
//! # Reloading of the module
//!
//! Each load of the module `ip_vs` gives the family another number (`genl_register_family`, which allots them
//! cyclically). Requests with an old number are answered `ENOENT` and not done (`genl_rcv_msg`,
//! net/netlink/genetlink.c, Linux 6.1); IPVS has that number among its own errors too. So on `ENOENT` a client asks for the
//! family again and repeats, with the new number, what was answered so. [`Client::family_id`] tells that the
//! module is another one, whose table was empty at first.

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
    about_service, read_daemon, read_destination, read_info, read_service, read_timeouts,
};
use crate::codec::{Attributes, Command, CommandAttribute, FAMILY_NAME, Message};
use crate::types::{
    Info, RealServerStatus, Statistics, SyncDaemon, Timeouts, VirtualServer, VirtualServerKey,
};

pub use error::{ErrorKind, OpenError, ReadError, RequestError};
use error::{ReadCause, RequestCause};
pub use request::Request;
pub use table::{Table, TableEntry};

/// Virtual servers that are asked for in one send. The kernel allots some 4 KiB to each answer, so that these fit into a receive
/// buffer of 208 KiB, which is what an unprivileged process gets.
const GETS_PER_SEND: usize = 32;

/// The length of a generic-netlink header, `struct genlmsghdr`.
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
    /// [`OpenError::NoFamily`] where the kernel's module `ip_vs` is not loaded.
    pub fn open() -> Result<Self, OpenError> {
        let connection = Connection::open(NetlinkProtocol::Generic).map_err(OpenError::Socket)?;
        Self::over(connection)
    }
}

impl<T: Transport> Client<T> {
    /// Uses `connection`, which is one of generic netlink.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoFamily`] where the kernel's module `ip_vs` is not loaded.
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

    /// Ends readings, once `interrupt` is true, before their next list or question: with
    /// [`ErrorKind::Interrupted`]. A reading of everything asks for one list for each virtual server.
    pub fn set_interrupt(&mut self, interrupt: Arc<AtomicBool>) {
        self.interrupt = interrupt;
    }

    /// Does every request, in order, whatever becomes of the ones before. One outcome for each, in the
    /// same order; many travel in one send.
    pub fn execute(&mut self, requests: &[Request]) -> Vec<Result<(), RequestError>> {
        let mut outcomes = self.send(requests.iter());
        let refused: Vec<usize> = (0..requests.len())
            .filter(|index| (outcomes[*index].as_ref()).is_err_and(is_unknown_failure))
            .collect();
        if !refused.is_empty() {
            match self.renew() {
                Renewed::Same => {}
                Renewed::Other => {
                    let again = self.send(refused.iter().map(|index| &requests[*index]));
                    for (index, outcome) in refused.into_iter().zip(again) {
                        outcomes[index] = outcome;
                    }
                }
                Renewed::Gone => {
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

    /// Asks for the family again.
    fn renew(&mut self) -> Renewed {
        match resolve(&mut self.connection, FAMILY_NAME) {
            Ok(family) if family != self.family => {
                self.family = family;
                Renewed::Other
            }
            Err(ResolveError::NoFamily { .. }) => Renewed::Gone,
            // Where the kernel cannot be asked, its first answer stands.
            Ok(_) | Err(ResolveError::Ask { .. }) => Renewed::Same,
        }
    }

    /// Number of the generic-netlink family. It changes when the module `ip_vs` is loaded again.
    #[must_use]
    pub fn family_id(&self) -> u16 {
        self.family
    }

    /// Every virtual server with its counters, in the kernel's order.
    ///
    /// A dump of the kernel that is disturbed by another writer may lack entries that exist, and does
    /// not say so (measured on Linux 6.1): absence proves nothing. See [`Client::table`].
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn virtual_servers(&mut self) -> Result<Vec<(VirtualServer, Statistics)>, ReadError> {
        let mut servers = Vec::new();
        self.each_virtual_server(|server, statistics| servers.push((server, statistics)))?;
        Ok(servers)
    }

    /// Hands over what [`Client::virtual_servers`] answers one by one, as it comes.
    ///
    /// # Errors
    ///
    /// The list is not complete.
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

    /// The virtual server `key`, none where there is none.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub fn virtual_server(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<Option<(VirtualServer, Statistics)>, ReadError> {
        let mut servers = self.virtual_servers_of(&[*key])?;
        Ok(servers.pop().flatten())
    }

    /// The virtual servers `keys`, in this order, none in the place of each that does not exist. Many are asked for in one send.
    ///
    /// # Errors
    ///
    /// One of them could not be read.
    pub fn virtual_servers_of(
        &mut self,
        keys: &[VirtualServerKey],
    ) -> Result<Vec<Option<(VirtualServer, Statistics)>>, ReadError> {
        let mut servers = Vec::with_capacity(keys.len());
        for keys in keys.chunks(GETS_PER_SEND) {
            let failed = |source| ReadError::new("virtual servers", source);
            self.go_on().map_err(failed)?;
            let mut answers = self.ask_for(keys);
            let is_unknown = |(_, outcome): &Answer| outcome.as_ref().is_err_and(is_unknown_family);
            if answers.iter().any(is_unknown) {
                match self.renew() {
                    Renewed::Same => {}
                    Renewed::Other => answers = self.ask_for(keys),
                    Renewed::Gone => return Err(failed(ReadCause::NoFamily)),
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

    /// Asks for the virtual servers `keys`, at most [`GETS_PER_SEND`].
    fn ask_for(&mut self, keys: &[VirtualServerKey]) -> Vec<Answer> {
        let family = self.family;
        let questions =
            (keys.iter()).map(|key| envelope(family, about_service(Command::GetService, key)));
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

    /// The real servers of `key`, in the kernel's order. Empty where there is no such virtual server:
    /// the kernel does not tell the two apart.
    ///
    /// # Errors
    ///
    /// The list is not complete.
    pub fn real_servers(
        &mut self,
        key: &VirtualServerKey,
    ) -> Result<Vec<RealServerStatus>, ReadError> {
        let request = about_service(Command::GetDestination, key);
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

    /// The idle timeouts.
    ///
    /// # Errors
    ///
    /// They could not be read.
    pub fn timeouts(&mut self) -> Result<Timeouts, ReadError> {
        let mut timeouts = Timeouts::default();
        self.get(Message::new(Command::GetConfig, Vec::new()), |message| {
            timeouts = read_timeouts(&message);
            Ok(())
        })
        .map_err(|source| ReadError::new("timeouts", source))?;
        Ok(timeouts)
    }

    /// The kernel's version of IPVS and the size of its connection table.
    ///
    /// # Errors
    ///
    /// They could not be read; without `CAP_NET_ADMIN` the kind is [`ErrorKind::NotPermitted`].
    pub fn info(&mut self) -> Result<Info, ReadError> {
        let mut info = Info::default();
        self.get(Message::new(Command::GetInfo, Vec::new()), |message| {
            info = read_info(&message);
            Ok(())
        })
        .map_err(|source| ReadError::new("version", source))?;
        Ok(info)
    }

    /// The synchronisation daemons that run.
    ///
    /// # Errors
    ///
    /// The list is not complete.
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
            // The family's dumps carry no mark of interruption, so there is nothing to learn from it.
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

    /// Reads once, and once more where the family has another number now. An unknown number is refused before anything is
    /// handed over.
    fn read(
        &mut self,
        request: Message,
        mut ask: impl FnMut(&mut Connection<T>, &GenlMessage<Message>) -> Result<(), DumpError>,
    ) -> Result<(), ReadCause> {
        self.go_on()?;
        let mut question = envelope(self.family, request);
        match ask(&mut self.connection, &question) {
            Err(error) if is_unknown_family(&error) => match self.renew() {
                Renewed::Same => Err(error.into()),
                Renewed::Other => {
                    question.set_resolved_family_id(self.family);
                    Ok(ask(&mut self.connection, &question)?)
                }
                Renewed::Gone => Err(ReadCause::NoFamily),
            },
            answer => Ok(answer?),
        }
    }

    /// Fails once the reading is to end.
    fn go_on(&self) -> Result<(), ReadCause> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(ReadCause::Interrupted),
            false => Ok(()),
        }
    }
}

/// A virtual server, if there is one, unless it could not be read.
type Answer = (Option<(VirtualServer, Statistics)>, Result<(), DumpError>);

/// Result of looking the family up again.
enum Renewed {
    /// It has the number that it had, or could not be asked for.
    Same,
    Other,
    Gone,
}

/// Returns true if the kernel may not know the number of the family.
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

/// The virtual server of an answer, none where it tells of none.
fn service_of(message: &Message) -> Result<Option<(VirtualServer, Statistics)>, DecodeError> {
    for attribute in command_attributes(message) {
        if let CommandAttribute::Service(nested) = attribute {
            return read_service(&nested.attributes).map(Some);
        }
    }
    Ok(None)
}
