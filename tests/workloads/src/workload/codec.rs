//! Encoding and decoding of messages.

use std::error::Error;

use ipset::codec::convert::changes;
use ipvs::client::Request;
use ipvs::codec::attributes::{Counter, Nested};
use ipvs::codec::convert::{
    destination_attributes, read_destination, read_service, service_attributes,
};
use ipvs::codec::{
    Attributes, Command, CommandAttribute, DestinationAttribute, Message, ServiceAttribute,
    StatisticsAttribute,
};
use ipvs::{AddressFamily, RealServerStatus, Statistics, VirtualServer};
use model::NodeTables;
use netlink_packet_core::{DecodeError, NetlinkSerializable as _, ParseableParametrized as _};
use netlink_packet_generic::{GenlHeader, GenlMessage};

use super::{ENDPOINTS, Prepared};
use crate::table;

/// Number of Services whose entries are encoded and decoded.
const SERVICES: u32 = 1_000;

/// Number of entries that the client puts into one message.
const ENTRIES: usize = 700;

/// `struct genlmsghdr`.
const GENERIC_HEADER_BYTES: usize = 4;

/// Encodes requests for new virtual servers, one after the other in one buffer.
pub(super) fn encode_virtual_servers() -> Prepared {
    let servers = tables()?.virtual_servers.into_values();
    encode(
        servers
            .map(|entry| Request::NewService(entry.server.clone()))
            .collect(),
    )
}

/// Encodes requests for new real servers.
pub(super) fn encode_real_servers() -> Prepared {
    let tables = tables()?;
    let mut requests = Vec::new();
    for (key, entry) in &tables.virtual_servers {
        let real_servers = entry.real_servers.values();
        requests.extend(real_servers.map(|real| Request::NewDest(*key, *real)));
    }
    encode(requests)
}

/// Encodes the entries of all sets, many in a message.
pub(super) fn encode_set_entries() -> Prepared {
    let mut parts = Vec::new();
    for (name, set) in tables()?.sets {
        let entries: Vec<_> = set.entries.into_iter().collect();
        parts.extend((entries.chunks(ENTRIES)).map(|part| (name.clone(), part.to_vec())));
    }
    Ok(Box::new(move || {
        let encoded: Vec<Vec<u8>> = (parts.iter())
            .map(|(name, entries)| {
                let entries = entries.iter().copied();
                changes(
                    ipset::codec::PROTOCOL,
                    ipset::codec::Command::Add,
                    name,
                    entries,
                )
                .encode()
            })
            .collect();
        Box::new(encoded)
    }))
}

/// Decodes the answers to a dump of all virtual servers.
pub(super) fn decode_virtual_servers() -> Prepared {
    let entries = tables()?.virtual_servers.into_values();
    let answers = entries.map(|entry| {
        let mut attributes = service_attributes(&entry.server);
        let (narrow, wide) = counters();
        attributes.extend([
            ServiceAttribute::Statistics(narrow),
            ServiceAttribute::Statistics64(wide),
        ]);
        let service = CommandAttribute::Service(Nested::new(attributes));
        bytes(Message::new(Command::NewService, vec![service]))
    });
    let answers: Vec<Vec<u8>> = answers.collect();
    virtual_servers(&answers)?;
    Ok(Box::new(move || Box::new(virtual_servers(&answers))))
}

/// Decodes the answers to dumps of all real servers.
pub(super) fn decode_real_servers() -> Prepared {
    let tables = tables()?;
    let real_servers =
        (tables.virtual_servers.values()).flat_map(|entry| entry.real_servers.values());
    let answers = real_servers.map(|real| {
        let mut attributes = destination_attributes(real);
        let (narrow, wide) = counters();
        attributes.extend([
            DestinationAttribute::ActiveConnections(1),
            DestinationAttribute::InactiveConnections(2),
            DestinationAttribute::PersistentConnections(0),
            DestinationAttribute::Statistics(narrow),
            DestinationAttribute::Statistics64(wide),
        ]);
        let destination = CommandAttribute::Destination(Nested::new(attributes));
        bytes(Message::new(Command::NewDestination, vec![destination]))
    });
    let answers: Vec<Vec<u8>> = answers.collect();
    self::real_servers(&answers)?;
    Ok(Box::new(move || Box::new(self::real_servers(&answers))))
}

fn tables() -> Result<NodeTables, Box<dyn Error + Send + Sync>> {
    Ok(table::desired(SERVICES, ENDPOINTS)?.tables)
}

fn encode(requests: Vec<Request>) -> Prepared {
    Ok(Box::new(move || {
        let mut out = Vec::new();
        for request in &requests {
            append(&mut out, request.message());
        }
        Box::new(out)
    }))
}

fn bytes(message: Message) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, message);
    out
}

/// Appends the generic header and the attributes, as the connection does.
fn append(out: &mut Vec<u8>, message: Message) {
    let message = GenlMessage::from_payload(message);
    let start = out.len();
    out.resize(start + message.buffer_len(), 0);
    message.serialize(&mut out[start..]);
}

fn virtual_servers(answers: &[Vec<u8>]) -> Result<Vec<(VirtualServer, Statistics)>, DecodeError> {
    let mut servers = Vec::new();
    for answer in answers {
        for attribute in attributes(answer)? {
            if let CommandAttribute::Service(nested) = attribute {
                servers.push(read_service(&nested.attributes)?);
            }
        }
    }
    Ok(servers)
}

fn real_servers(answers: &[Vec<u8>]) -> Result<Vec<RealServerStatus>, DecodeError> {
    let mut servers = Vec::new();
    for answer in answers {
        for attribute in attributes(answer)? {
            if let CommandAttribute::Destination(nested) = attribute {
                servers.push(read_destination(&nested.attributes, AddressFamily::Ipv4)?);
            }
        }
    }
    Ok(servers)
}

fn attributes(answer: &[u8]) -> Result<Vec<CommandAttribute>, DecodeError> {
    let header = GenlHeader::parse(answer)?;
    let rest = answer.get(GENERIC_HEADER_BYTES..).unwrap_or_default();
    Ok(match Message::parse_with_param(rest, header)?.attributes {
        Attributes::Command(attributes) => attributes,
        Attributes::Info(_) => Vec::new(),
    })
}

/// Returns counters in 32 and in 64 bits, as the kernel writes both.
fn counters() -> (Nested<StatisticsAttribute>, Nested<StatisticsAttribute>) {
    let all = |counter: fn(u32) -> Counter| {
        Nested::new(vec![
            StatisticsAttribute::Connections(counter(1)),
            StatisticsAttribute::PacketsIn(counter(2)),
            StatisticsAttribute::PacketsOut(counter(3)),
            StatisticsAttribute::BytesIn(counter(4)),
            StatisticsAttribute::BytesOut(counter(5)),
            StatisticsAttribute::ConnectionRate(counter(6)),
            StatisticsAttribute::PacketRateIn(counter(7)),
            StatisticsAttribute::PacketRateOut(counter(8)),
            StatisticsAttribute::ByteRateIn(counter(9)),
            StatisticsAttribute::ByteRateOut(counter(10)),
        ])
    };
    let wide = |value| Counter::Wide(u64::from(value));
    (all(Counter::Narrow), all(wide))
}
