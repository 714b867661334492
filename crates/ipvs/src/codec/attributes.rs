//! Attributes on the wire. Names, numbers and types are those of `include/uapi/linux/ip_vs.h` and
//! of the policies in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable as _, ErrorContext as _, NLA_F_NESTED, Nla, NlaBuffer,
    NlasIterator, Parseable,
};

use super::fields::Field;
pub use super::fields::{MaskedFlags, NetworkOrder};

/// Attributes nested in an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested<T> {
    /// The nested attributes.
    pub attributes: Vec<T>,
    /// True if the type has the bit `NLA_F_NESTED`. The kernel accepts both forms and never sets
    /// the bit; libnl, and thus ipvsadm, sets it.
    pub flagged: bool,
}

impl<T> Nested<T> {
    /// Nests `attributes` in the kernel's form, without `NLA_F_NESTED`.
    #[must_use]
    pub fn new(attributes: Vec<T>) -> Self {
        Self {
            attributes,
            flagged: false,
        }
    }
}

/// Length of an attribute's header, `struct nlattr`: length and type.
const HEADER: usize = 4;

/// An attribute that writes itself without a call of `value_len` first. With several levels of
/// nesting, asking every attribute for its length on every level takes longer than writing.
pub(super) trait Attribute: Nla {
    /// Writes the value to the start of `buffer` and returns its length.
    fn write_value(&self, buffer: &mut [u8]) -> usize;
}

/// Writes `attributes` to the start of `buffer` and returns their length.
pub(super) fn write_all<T: Attribute>(attributes: &[T], buffer: &mut [u8]) -> usize {
    let mut at = 0;
    for attribute in attributes {
        let (header, value) = buffer[at..].split_at_mut(HEADER);
        let length = attribute.write_value(value);
        let total = u16::try_from(HEADER + length).unwrap_or(u16::MAX);
        header[..2].copy_from_slice(&total.to_ne_bytes());
        header[2..].copy_from_slice(&attribute.kind().to_ne_bytes());
        let padded = length.next_multiple_of(4);
        value[length..padded].fill(0);
        at += HEADER + padded;
    }
    at
}

/// Parses the attributes that fill `buffer`.
pub(super) fn read_all<T>(buffer: &[u8]) -> Result<Vec<T>, DecodeError>
where
    T: for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    // An attribute with a value has at least eight bytes. Only attributes without one make the list
    // grow.
    let mut attributes = Vec::with_capacity(buffer.len() / 8);
    for attribute in NlasIterator::new(buffer) {
        attributes.push(T::parse(&attribute?)?);
    }
    Ok(attributes)
}

/// Declares an enum of attributes with its codec. The number, name and type of an attribute are in
/// one place.
macro_rules! attributes {
    (
        $(#[$about:meta])*
        $name:ident {
            nested { $($(#[$nested_doc:meta])* $nested:ident($inner:ty) = $nested_number:literal,)* }
            plain { $($(#[$doc:meta])* $variant:ident($type:ty) = $number:literal,)* }
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$nested_doc])* $nested(Nested<$inner>),)*
            $($(#[$doc])* $variant($type),)*
            /// Any other attribute.
            Other(DefaultNla),
        }

        impl $name {
            /// Numbers and names of the known attributes, in order.
            pub const ALL: &[(u16, &str)] = &[
                $(($nested_number, stringify!($nested)),)*
                $(($number, stringify!($variant)),)*
            ];
        }

        impl Nla for $name {
            fn value_len(&self) -> usize {
                match self {
                    $(Self::$nested(nested) => nested.attributes.as_slice().buffer_len(),)*
                    $(Self::$variant(value) => value.length(),)*
                    Self::Other(attribute) => attribute.value_len(),
                }
            }

            fn kind(&self) -> u16 {
                match self {
                    $(Self::$nested(nested) if nested.flagged => $nested_number | NLA_F_NESTED,)*
                    $(Self::$nested(_) => $nested_number,)*
                    $(Self::$variant(_) => $number,)*
                    Self::Other(attribute) => attribute.kind(),
                }
            }

            fn emit_value(&self, buffer: &mut [u8]) {
                self.write_value(buffer);
            }
        }

        impl Attribute for $name {
            fn write_value(&self, buffer: &mut [u8]) -> usize {
                match self {
                    $(Self::$nested(nested) => write_all(&nested.attributes, buffer),)*
                    $(Self::$variant(value) => {
                        let length = value.length();
                        value.write(&mut buffer[..length]);
                        length
                    })*
                    Self::Other(attribute) => {
                        let length = attribute.value_len();
                        attribute.emit_value(&mut buffer[..length]);
                        length
                    }
                }
            }
        }

        impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for $name {
            fn parse(buffer: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
                Ok(match buffer.kind() {
                    $($nested_number => Self::$nested(Nested {
                        attributes: read_all(buffer.value())
                            .with_context(|| format!("in {}", stringify!($nested)))?,
                        flagged: buffer.nested_flag(),
                    }),)*
                    $($number => Self::$variant(
                        Field::read(buffer.value())
                            .with_context(|| format!("in {}", stringify!($variant)))?,
                    ),)*
                    _ => Self::Other(DefaultNla::parse(buffer)?),
                })
            }
        }
    };
}

attributes! {
    /// Attributes of a message, `IPVS_CMD_ATTR_*`.
    CommandAttribute {
        nested {
            /// A virtual server.
            Service(ServiceAttribute) = 1,
            /// A real server.
            Destination(DestinationAttribute) = 2,
            /// A synchronisation daemon.
            Daemon(DaemonAttribute) = 3,
        }
        plain {
            /// Idle timeout of an established TCP connection, seconds.
            TimeoutTcp(u32) = 4,
            /// Idle timeout of a TCP connection after a FIN, seconds.
            TimeoutTcpFin(u32) = 5,
            /// Idle timeout of a UDP flow, seconds.
            TimeoutUdp(u32) = 6,
        }
    }
}

attributes! {
    /// Attributes of a virtual server, `IPVS_SVC_ATTR_*`.
    ServiceAttribute {
        nested {
            /// Counters; those of packets have 32 bits.
            Statistics(StatisticsAttribute) = 10,
            /// Counters of 64 bits; since Linux 4.1.
            Statistics64(StatisticsAttribute) = 12,
        }
        plain {
            /// `AF_INET` (2) or `AF_INET6` (10).
            AddressFamily(u16) = 1,
            /// Transport protocol number.
            Protocol(u16) = 2,
            /// The address; IPv4 uses the first four bytes.
            Address([u8; 16]) = 3,
            /// The port.
            Port(NetworkOrder<u16>) = 4,
            /// The firewall mark, instead of protocol, address and port.
            Fwmark(u32) = 5,
            /// The scheduler's name.
            SchedulerName(String) = 6,
            /// Flags.
            Flags(MaskedFlags) = 7,
            /// Persistence timeout, seconds.
            Timeout(u32) = 8,
            /// Persistence granularity: an IPv4 mask in network order, or an IPv6 prefix length in
            /// host order.
            Netmask([u8; 4]) = 9,
            /// The persistence engine's name.
            PersistenceEngine(String) = 11,
        }
    }
}

attributes! {
    /// Attributes of a real server, `IPVS_DEST_ATTR_*`.
    DestinationAttribute {
        nested {
            /// Counters; those of packets have 32 bits.
            Statistics(StatisticsAttribute) = 10,
            /// Counters of 64 bits; since Linux 4.1.
            Statistics64(StatisticsAttribute) = 12,
        }
        plain {
            /// The address; IPv4 uses the first four bytes.
            Address([u8; 16]) = 1,
            /// The port.
            Port(NetworkOrder<u16>) = 2,
            /// Forwarding method, `IP_VS_CONN_F_FWD_MASK`.
            ForwardingMethod(u32) = 3,
            /// The weight.
            Weight(u32) = 4,
            /// Upper threshold of connections.
            UpperThreshold(u32) = 5,
            /// Lower threshold of connections.
            LowerThreshold(u32) = 6,
            /// Number of connections in a state that carries data.
            ActiveConnections(u32) = 7,
            /// Number of other connections.
            InactiveConnections(u32) = 8,
            /// Number of persistence templates.
            PersistentConnections(u32) = 9,
            /// `AF_INET` or `AF_INET6`; since Linux 3.18.
            AddressFamily(u16) = 11,
            /// Tunnel type, `IP_VS_CONN_F_TUNNEL_TYPE_*`; since Linux 5.3.
            TunnelType(u8) = 13,
            /// UDP port of a GUE tunnel; since Linux 5.3.
            TunnelPort(NetworkOrder<u16>) = 14,
            /// Tunnel flags, `IP_VS_TUNNEL_ENCAP_FLAG_*`; since Linux 5.3.
            TunnelFlags(u16) = 15,
        }
    }
}

attributes! {
    /// Attributes of a synchronisation daemon, `IPVS_DAEMON_ATTR_*`.
    DaemonAttribute {
        nested {}
        plain {
            /// Role: `IP_VS_STATE_MASTER` (1) or `IP_VS_STATE_BACKUP` (2).
            State(u32) = 1,
            /// The multicast interface.
            MulticastInterface(String) = 2,
            /// Identifier of the group of directors.
            SyncId(u32) = 3,
            /// Maximum length of a message, bytes.
            MaximumLength(u16) = 4,
            /// IPv4 multicast group.
            Group([u8; 4]) = 5,
            /// IPv6 multicast group.
            Group6([u8; 16]) = 6,
            /// UDP port, in host order.
            Port(u16) = 7,
            /// Time to live of the multicast packets.
            TimeToLive(u8) = 8,
        }
    }
}

attributes! {
    /// Attributes of the answer to `GetInfo`, `IPVS_INFO_ATTR_*`.
    InfoAttribute {
        nested {}
        plain {
            /// The version of IPVS, a byte each for major, minor and patch.
            Version(u32) = 1,
            /// Number of buckets of the connection table.
            ConnectionTableSize(u32) = 2,
        }
    }
}

/// A counter. The kernel uses 32 or 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// 32 bits.
    Narrow(u32),
    /// 64 bits.
    Wide(u64),
}

impl Counter {
    /// Returns the counter's value.
    #[must_use]
    pub fn value(self) -> u64 {
        match self {
            Self::Narrow(value) => value.into(),
            Self::Wide(value) => value,
        }
    }
}

impl Field for Counter {
    fn length(&self) -> usize {
        match self {
            Self::Narrow(_) => 4,
            Self::Wide(_) => 8,
        }
    }

    fn write(&self, buffer: &mut [u8]) {
        match self {
            Self::Narrow(value) => value.write(buffer),
            Self::Wide(value) => value.write(buffer),
        }
    }

    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        if value.len() == 4 {
            u32::read(value).map(Self::Narrow)
        } else {
            u64::read(value).map(Self::Wide)
        }
    }
}

/// Padding that aligns the next attribute. Its bytes are kept unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Padding(pub Vec<u8>);

impl Field for Padding {
    fn length(&self) -> usize {
        self.0.len()
    }

    fn write(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }

    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(value.to_vec()))
    }
}

attributes! {
    /// Attributes of counters since the last `Zero`, and of rates, `IPVS_STATS_ATTR_*`.
    StatisticsAttribute {
        nested {}
        plain {
            /// Connections scheduled.
            Connections(Counter) = 1,
            /// Packets from clients.
            PacketsIn(Counter) = 2,
            /// Packets to clients.
            PacketsOut(Counter) = 3,
            /// Bytes from clients.
            BytesIn(Counter) = 4,
            /// Bytes to clients.
            BytesOut(Counter) = 5,
            /// Connections each second.
            ConnectionRate(Counter) = 6,
            /// Packets from clients each second.
            PacketRateIn(Counter) = 7,
            /// Packets to clients each second.
            PacketRateOut(Counter) = 8,
            /// Bytes from clients each second.
            ByteRateIn(Counter) = 9,
            /// Bytes to clients each second.
            ByteRateOut(Counter) = 10,
            /// Alignment.
            Padding(Padding) = 11,
        }
    }
}
