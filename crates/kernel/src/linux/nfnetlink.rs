//! Parts of nfnetlink messages that nf_tables and the connection tracker share.

use ipvs::AddressFamily;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6`, `include/uapi/linux/netfilter.h`.
pub(super) const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Returns the number of a family in `struct nfgenmsg`.
pub(super) fn protocol(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::Ipv4 => IPV4,
        AddressFamily::Ipv6 => IPV6,
    }
}

/// Encodes an attribute with its header of four bytes, padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
