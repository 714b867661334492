//! Whether this kernel has nf_tables for IPv4. `iptables-nft-save` does not tell: it succeeds where a table
//! cannot be made.

use netlink::{Protocol, Socket, Transport};

/// `NFNL_MSG_BATCH_BEGIN`, `include/uapi/linux/netfilter/nfnetlink.h`.
const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWTABLE`, `include/uapi/linux/netfilter/nf_tables.h`.
const NEW_TABLE: u16 = 0;
const NFTA_TABLE_NAME: u16 = 1;
/// `NFPROTO_IPV4`, `include/uapi/linux/netfilter.h`.
const IPV4: u8 = 2;
/// The answer's type, `include/uapi/linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const NETLINK_HEADER: usize = 16;

/// Asks for a new table in a batch that does not end, which the kernel checks and undoes
/// (`nfnetlink_rcv_batch`, `net/netfilter/nfnetlink.c`, Linux 6.1): nothing changes.
pub(super) fn nft_works() -> bool {
    let Ok(mut socket) = Socket::open(Protocol::Netfilter) else {
        return false;
    };
    let mut answer = Vec::new();
    socket.send(&batch()).is_ok()
        && socket.receive(&mut answer).is_ok()
        // Who may not ask cannot know; the programs will say it.
        && matches!(read_errno(&answer), Some(0 | libc::EPERM))
}

fn batch() -> Vec<u8> {
    let mut name = Vec::from((4 + 16_u16).to_ne_bytes());
    name.extend(NFTA_TABLE_NAME.to_ne_bytes());
    name.extend(b"kube-ipvs-probe\0");
    let begin = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
    let table = message(
        (NFTABLES << 8) | NEW_TABLE,
        REQUEST | ACK | CREATE,
        IPV4,
        0,
        &name,
    );
    [begin, table].concat()
}

/// A netlink message with a `struct nfgenmsg` before its attributes.
fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(NETLINK_HEADER + 4 + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port.
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

/// The error number of an answer, 0 for success.
fn read_errno(answer: &[u8]) -> Option<libc::c_int> {
    let kind = answer.get(4..6)?.first_chunk()?;
    let errno = answer
        .get(NETLINK_HEADER..NETLINK_HEADER + 4)?
        .first_chunk()?;
    (u16::from_ne_bytes(*kind) == NLMSG_ERROR)
        .then(|| i32::from_ne_bytes(*errno).checked_neg())
        .flatten()
}
