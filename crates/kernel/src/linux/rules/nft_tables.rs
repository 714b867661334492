//! Finds and deletes whole tables of nf_tables by netlink, so that the program `nft` is not
//! required.

use std::io;

use ipvs::AddressFamily;
use netlink::{Protocol, Socket, Transport};

use crate::linux::nfnetlink::{attribute, protocol};

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`, `include/uapi/linux/netfilter/nfnetlink.h`.
pub(super) const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
pub(super) const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWTABLE` and the following messages, `include/uapi/linux/netfilter/nf_tables.h`.
pub(super) const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DEL_TABLE: u16 = 2;
const NFTA_TABLE_NAME: u16 = 1;
/// Message type of the answer, `include/uapi/linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const CREATE: u16 = 0x400;
const NETLINK_HEADER: usize = 16;

/// Tables of nf_tables in the network namespace in which it was opened.
pub(in crate::linux) struct NftTables(Socket);

impl NftTables {
    pub(in crate::linux) fn open() -> Result<Self, netlink::OpenError> {
        Socket::open(Protocol::Netfilter).map(Self)
    }

    /// Returns true if the table `name` of `family` exists. A kernel without nf_tables has no
    /// tables.
    ///
    /// # Errors
    ///
    /// Fails with `EPERM` without `CAP_NET_ADMIN`, or if the kernel does not answer.
    pub(in crate::linux) fn has(&mut self, family: AddressFamily, name: &str) -> io::Result<bool> {
        let kind = (NFTABLES << 8) | GET_TABLE;
        let answer = self.ask(&message(
            kind,
            REQUEST,
            protocol(family),
            0,
            &table_name(name),
        ))?;
        match (read_kind(&answer), read_errno(&answer)) {
            (Some(kind), _) if kind == (NFTABLES << 8) | NEW_TABLE => Ok(true),
            (_, Some(libc::EPERM)) => Err(io::Error::from_raw_os_error(libc::EPERM)),
            // ENOENT, or EINVAL, EOPNOTSUPP or EAFNOSUPPORT without support of nf_tables or this
            // family.
            (_, Some(_)) => Ok(false),
            (..) => Err(io::Error::other("the kernel's answer is not understood")),
        }
    }

    /// Deletes the table `name` of `family` with its contents in one transaction.
    ///
    /// # Errors
    ///
    /// Returns the kernel's error. Nothing was deleted then.
    pub(in crate::linux) fn delete(&mut self, family: AddressFamily, name: &str) -> io::Result<()> {
        let begin = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
        let kind = (NFTABLES << 8) | DEL_TABLE;
        let table = message(kind, REQUEST | ACK, protocol(family), 0, &table_name(name));
        let end = message(BATCH_END, REQUEST, 0, NFTABLES, &[]);
        match read_errno(&self.ask(&[begin, table, end].concat())?) {
            Some(0) => Ok(()),
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Err(io::Error::other("the kernel's answer is not understood")),
        }
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.0.send(request)?;
        self.0.receive(&mut answer)?;
        Ok(answer)
    }
}

/// Encodes the attribute with the name of a table, padded.
pub(super) fn table_name(name: &str) -> Vec<u8> {
    attribute(NFTA_TABLE_NAME, &[name.as_bytes(), &[0]].concat())
}

/// Encodes a netlink message with a `struct nfgenmsg` before its attributes.
pub(super) fn message(
    kind: u16,
    flags: u16,
    family: u8,
    resource: u16,
    attributes: &[u8],
) -> Vec<u8> {
    let length = u32::try_from(NETLINK_HEADER + 4 + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number and port.
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

fn read_kind(answer: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*answer.get(4..6)?.first_chunk()?))
}

/// Returns the error number of an answer, 0 for success.
pub(super) fn read_errno(answer: &[u8]) -> Option<libc::c_int> {
    let errno = answer
        .get(NETLINK_HEADER..NETLINK_HEADER + 4)?
        .first_chunk()?;
    (read_kind(answer)? == NLMSG_ERROR)
        .then(|| i32::from_ne_bytes(*errno).checked_neg())
        .flatten()
}
