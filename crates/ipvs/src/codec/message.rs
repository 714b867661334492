//! Messages of the family. The command decides how the attributes are parsed.

use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use super::attributes::{CommandAttribute, InfoAttribute, read_all, write_all};

/// The family's name, `IPVS_GENL_NAME`.
pub const FAMILY_NAME: &str = "IPVS";

/// The family's version, `IPVS_GENL_VERSION`.
pub const FAMILY_VERSION: u8 = 1;

/// Command of a request or answer, `IPVS_CMD_*` of `include/uapi/linux/ip_vs.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Add a virtual server (1); also the answer to `GetService`.
    NewService,
    /// Change a virtual server (2).
    SetService,
    /// Delete a virtual server with its real servers (3).
    DelService,
    /// Read one virtual server, or all (4).
    GetService,
    /// Add a real server (5); also the answer to `GetDestination`.
    NewDestination,
    /// Change a real server (6).
    SetDestination,
    /// Delete a real server (7).
    DelDestination,
    /// Read the real servers of a virtual server (8).
    GetDestination,
    /// Start a synchronisation daemon (9); also the answer to `GetDaemon`.
    NewDaemon,
    /// Stop a synchronisation daemon (10).
    DelDaemon,
    /// Read the synchronisation daemons (11).
    GetDaemon,
    /// Set the idle timeouts (12); also the answer to `GetConfig`.
    SetConfig,
    /// Read the idle timeouts (13).
    GetConfig,
    /// The answer to `GetInfo` (14).
    SetInfo,
    /// Read the version and the size of the connection table (15).
    GetInfo,
    /// Reset the counters of one virtual server, or of all (16).
    Zero,
    /// Delete all virtual servers (17).
    Flush,
    /// Any other number.
    Other(u8),
}

impl Command {
    /// Every named command, ordered by number.
    pub const ALL: [Self; 17] = [
        Self::NewService,
        Self::SetService,
        Self::DelService,
        Self::GetService,
        Self::NewDestination,
        Self::SetDestination,
        Self::DelDestination,
        Self::GetDestination,
        Self::NewDaemon,
        Self::DelDaemon,
        Self::GetDaemon,
        Self::SetConfig,
        Self::GetConfig,
        Self::SetInfo,
        Self::GetInfo,
        Self::Zero,
        Self::Flush,
    ];

    /// Returns the number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::NewService => 1,
            Self::SetService => 2,
            Self::DelService => 3,
            Self::GetService => 4,
            Self::NewDestination => 5,
            Self::SetDestination => 6,
            Self::DelDestination => 7,
            Self::GetDestination => 8,
            Self::NewDaemon => 9,
            Self::DelDaemon => 10,
            Self::GetDaemon => 11,
            Self::SetConfig => 12,
            Self::GetConfig => 13,
            Self::SetInfo => 14,
            Self::GetInfo => 15,
            Self::Zero => 16,
            Self::Flush => 17,
            Self::Other(number) => number,
        }
    }
}

impl From<u8> for Command {
    fn from(number: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|command| command.number() == number)
            .unwrap_or(Self::Other(number))
    }
}

/// A message of the family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The command.
    pub command: Command,
    /// The attributes.
    pub attributes: Attributes,
}

/// Attributes of a message. Their numbers have another meaning in the answer to `GetInfo` than in
/// all other messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// `IPVS_CMD_ATTR_*`.
    Command(Vec<CommandAttribute>),
    /// `IPVS_INFO_ATTR_*`, in [`Command::SetInfo`].
    Info(Vec<InfoAttribute>),
}

impl Message {
    /// Returns a message with `IPVS_CMD_ATTR_*` attributes.
    #[must_use]
    pub fn new(command: Command, attributes: Vec<CommandAttribute>) -> Self {
        Self {
            command,
            attributes: Attributes::Command(attributes),
        }
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        FAMILY_NAME
    }

    fn command(&self) -> u8 {
        self.command.number()
    }

    fn version(&self) -> u8 {
        FAMILY_VERSION
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        match &self.attributes {
            Attributes::Command(attributes) => attributes.as_slice().buffer_len(),
            Attributes::Info(attributes) => attributes.as_slice().buffer_len(),
        }
    }

    fn emit(&self, buffer: &mut [u8]) {
        match &self.attributes {
            Attributes::Command(attributes) => write_all(attributes, buffer),
            Attributes::Info(attributes) => write_all(attributes, buffer),
        };
    }
}

/// Parses the attributes after the generic-netlink header.
impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let command = Command::from(header.cmd);
        let attributes = match command {
            Command::SetInfo => Attributes::Info(read_all(buffer)?),
            _ => Attributes::Command(read_all(buffer)?),
        };
        Ok(Self {
            command,
            attributes,
        })
    }
}
