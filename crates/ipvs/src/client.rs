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
//! The kernel has no snapshots either. A list that is read while somebody else writes may lack entries
//! that exist, and the kernel does not say so: [`Client::table`] reads in a way that notices, and tells by
//! [`Table::torn`].

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

use error::ReadCause;
pub use error::{ErrorKind, OpenError, ReadError, RequestError};
pub use request::Request;
pub use table::{Table, TableEntry};

/// Virtual servers that are asked for in one send. The kernel allots some 4 KiB to each answer, so that these fit into a receive
/// buffer of 208 KiB, which is what an unprivileged process gets.
const QUESTIONS: usize = 32;

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
        let family = self.family;
        let messages = requests.iter().map(|request| netlink::Request {
            message: envelope(family, request.message()),
            flags: 0,
        });
        let outcomes = self.connection.execute(messages);
        (requests.iter().zip(outcomes))
            .map(|(request, outcome)| {
                outcome.map_err(|failure| RequestError::new(request.clone(), failure))
            })
            .collect()
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
        for keys in keys.chunks(QUESTIONS) {
            self.go_on()
                .map_err(|source| ReadError::new("virtual servers", source))?;
            self.ask_for(keys, &mut servers)?;
        }
        Ok(servers)
    }

    /// Appends the virtual servers `keys` to `servers`.
    fn ask_for(
        &mut self,
        keys: &[VirtualServerKey],
        servers: &mut Vec<Option<(VirtualServer, Statistics)>>,
    ) -> Result<(), ReadError> {
        let family = self.family;
        let questions =
            (keys.iter()).map(|key| envelope(family, about_service(Command::GetService, key)));
        let first = servers.len();
        servers.resize_with(first + keys.len(), || None);
        let mut mistakes: Vec<Option<DecodeError>> = keys.iter().map(|_| None).collect();
        let outcomes = self.connection.get_each(questions, |index, payload| {
            match decode(payload).and_then(|message| service_of(&message)) {
                Ok(server) => servers[first + index] = server,
                Err(error) => mistakes[index] = Some(error),
            }
        });
        for ((key, outcome), mistake) in keys.iter().zip(outcomes).zip(mistakes) {
            let answer = match (outcome, mistake) {
                (Err(Failure::Refused { errno, .. }), _) if errno.0 == libc::ESRCH => Ok(()),
                (Err(failure), _) => Err(DumpError::from(failure)),
                (Ok(()), Some(error)) => Err(DumpError::Decode(error)),
                (Ok(()), None) => Ok(()),
            };
            answer.map_err(|source| ReadError::new(format!("virtual server {key}"), source))?;
        }
        Ok(())
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
        self.go_on()?;
        // The family's dumps carry no mark of interruption, so there is nothing to learn from it.
        self.connection
            .dump(&envelope(self.family, request), |payload| {
                each(decode(payload)?)
            })
            .map(|_integrity| ())
            .map_err(ReadCause::from)
    }

    fn get(
        &mut self,
        request: Message,
        mut each: impl FnMut(Message) -> Result<(), DecodeError>,
    ) -> Result<(), ReadCause> {
        self.go_on()?;
        self.connection
            .get(&envelope(self.family, request), |payload| {
                each(decode(payload)?)
            })
            .map_err(ReadCause::from)
    }

    /// Fails once the reading is to end.
    fn go_on(&self) -> Result<(), ReadCause> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(ReadCause::Interrupted),
            false => Ok(()),
        }
    }
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
