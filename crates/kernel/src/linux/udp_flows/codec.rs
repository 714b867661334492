//! Encodes and decodes the messages of ctnetlink, subsystem 1 of nfnetlink
//! (`include/uapi/linux/netfilter/nfnetlink_conntrack.h`, `net/netfilter/nf_conntrack_netlink.c`,
//! Linux 6.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipvs::AddressFamily;
use model::udp_flows::Flow;
use netlink_packet_core::{
    DecodeError, NLA_F_NESTED, NetlinkSerializable, NlaBuffer, NlasIterator,
};

use crate::linux::nfnetlink::{attribute, protocol};

const SUBSYSTEM: u16 = 1;
/// `IPCTNL_MSG_CT_GET` and `_DELETE`.
const GET: u16 = 1;
const DELETE: u16 = 2;

/// `CTA_*`.
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;
/// `CTA_TUPLE_*`.
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// `CTA_PROTO_*`.
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;
/// `CTA_FILTER_ORIG_FLAGS` and its bit for the protocol number (`net/netfilter/nf_internals.h`).
const FILTER_ORIG_FLAGS: u16 = 1;
const FILTER_REPLY_FLAGS: u16 = 2;
const FLAG_PROTO_NUM: u32 = 1 << 3;

const UDP: u8 = 17;
const HEADER_BYTES: usize = 4;

/// A request message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    kind: u16,
    body: Vec<u8>,
}

impl Message {
    /// Requests all UDP flows of `family`. Kernels before 5.8 ignore the filter and send all flows.
    pub(super) fn list(family: AddressFamily) -> Self {
        let mut body = header(family);
        let flags = [
            attribute(FILTER_ORIG_FLAGS, &FLAG_PROTO_NUM.to_ne_bytes()),
            attribute(FILTER_REPLY_FLAGS, &0_u32.to_ne_bytes()),
        ];
        let protocol = nested(TUPLE_PROTO, &attribute(PROTO_NUM, &[UDP]));
        body.extend(nested(TUPLE_ORIG, &protocol));
        body.extend(nested(FILTER, &flags.concat()));
        Self { kind: GET, body }
    }

    /// Deletes this flow. A later flow with the same addresses and ports has another id and is
    /// kept.
    pub(super) fn delete(entry: &Entry) -> Self {
        let mut body = header(AddressFamily::of(entry.flow.destination.ip()));
        body.extend(attribute(TUPLE_ORIG | NLA_F_NESTED, &entry.tuple));
        body.extend(attribute(ID, &entry.id));
        Self { kind: DELETE, body }
    }

    /// Returns the bytes after the netlink header.
    #[cfg(test)]
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        SUBSYSTEM << 8 | self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

/// Encodes a `struct nfgenmsg`.
fn header(family: AddressFamily) -> Vec<u8> {
    vec![protocol(family), 0, 0, 0]
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, value)
}

/// A tracked UDP flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) flow: Flow,
    /// Sender of the first packet.
    source: SocketAddr,
    /// Attributes of the original tuple, as the kernel wrote them.
    tuple: Vec<u8>,
    id: [u8; 4],
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flow {
            destination,
            answered_by,
        } = self.flow;
        write!(
            f,
            "{} -> {destination}, answered by {answered_by}",
            self.source
        )
    }
}

impl Entry {
    /// Decodes a message of a list. Returns `None` for another protocol and for a flow in a zone.
    pub(super) fn decode(payload: &[u8]) -> Result<Option<Self>, DecodeError> {
        let attributes = payload
            .get(HEADER_BYTES..)
            .ok_or("a message of the connection tracker has a header of 4 bytes")?;
        let (mut original, mut reply, mut id) = (None, None, None);
        let mut bytes = Vec::new();
        for attribute in NlasIterator::new(attributes) {
            let attribute: NlaBuffer<&[u8]> = attribute?;
            let value = attribute.value();
            match attribute.kind() {
                TUPLE_ORIG => {
                    original = tuple(value)?;
                    bytes = value.to_vec();
                }
                TUPLE_REPLY => reply = tuple(value)?,
                ID => id = Some(array(value)?),
                // Flows in zones belong to virtual switches. No virtual server handles them.
                ZONE => return Ok(None),
                _ => {}
            }
        }
        let (Some(original), Some(reply), Some(id)) = (original, reply, id) else {
            return Ok(None);
        };
        Ok((original.protocol == UDP).then_some(Self {
            flow: Flow {
                destination: original.destination,
                answered_by: reply.source,
            },
            source: original.source,
            tuple: bytes,
            id,
        }))
    }
}

/// One direction of a flow.
struct Tuple {
    source: SocketAddr,
    destination: SocketAddr,
    protocol: u8,
}

/// Decodes a tuple. Returns `None` for a protocol without ports.
fn tuple(value: &[u8]) -> Result<Option<Tuple>, DecodeError> {
    let (mut addresses, mut numbers) = ((None, None), (None, None, None));
    for attribute in NlasIterator::new(value) {
        let attribute: NlaBuffer<&[u8]> = attribute?;
        for inner in NlasIterator::new(attribute.value()) {
            let inner: NlaBuffer<&[u8]> = inner?;
            let value = inner.value();
            match (attribute.kind(), inner.kind()) {
                (TUPLE_IP, 1 | 3) => addresses.0 = Some(address(value)?),
                (TUPLE_IP, 2 | 4) => addresses.1 = Some(address(value)?),
                (TUPLE_PROTO, PROTO_NUM) => numbers.0 = Some(array::<1>(value)?[0]),
                (TUPLE_PROTO, PROTO_SRC_PORT) => numbers.1 = Some(port(value)?),
                (TUPLE_PROTO, PROTO_DST_PORT) => numbers.2 = Some(port(value)?),
                _ => {}
            }
        }
    }
    let ((Some(source), Some(destination)), (Some(protocol), Some(from), Some(to))) =
        (addresses, numbers)
    else {
        return Ok(None);
    };
    Ok(Some(Tuple {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
        protocol,
    }))
}

fn address(value: &[u8]) -> Result<IpAddr, DecodeError> {
    if value.len() == 4 {
        return Ok(Ipv4Addr::from(array::<4>(value)?).into());
    }
    Ok(Ipv6Addr::from(array::<16>(value)?).into())
}

fn port(value: &[u8]) -> Result<u16, DecodeError> {
    array(value).map(u16::from_be_bytes)
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value
        .try_into()
        .map_err(|_| format!("{} bytes where {N} are expected", value.len()).into())
}
