//! Probes the kernel's support of nf_tables. `iptables-nft-save` does not reveal it, because it
//! succeeds even if a table cannot be created.

use ipvs::AddressFamily;
use netlink::{Protocol, Socket, Transport};

use super::nft_tables::{
    ACK, BATCH_BEGIN, CREATE, NEW_TABLE, NFTABLES, REQUEST, message, read_errno, table_name,
};
use crate::linux::nfnetlink::{IPV4, attribute, protocol};

/// The name of the table that is asked for.
const TABLE: &str = "kube-ipvs-probe";
/// `NFT_MSG_NEWCHAIN`, `include/uapi/linux/netfilter/nf_tables.h`, followed by its attributes.
const NEW_CHAIN: u16 = 3;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
/// `NF_IP_PRI_NAT_DST`, the priority of chains of type `nat` before routing.
const DESTINATION_NAT: i32 = -100;

/// Returns true if a table can be created. The request is in a batch without an end, which the
/// kernel checks and rolls back (`nfnetlink_rcv_batch`, `net/netfilter/nfnetlink.c`, Linux 6.1), so
/// nothing changes.
pub(super) fn nft_works() -> bool {
    // Without permission the support is unknown, and the programs report the error.
    matches!(
        ask(&[new_table(IPV4, REQUEST | ACK | CREATE)]),
        Some(0 | libc::EPERM)
    )
}

/// Returns true if a chain of type `nat` can be created, probed in the same way.
///
/// Returns false if the kernel has no tables of the family (`EOPNOTSUPP`, `EAFNOSUPPORT`) or no
/// such type of chain (`ENOENT`, `nft_chain_parse_hook`, `net/netfilter/nf_tables_api.c`, Linux
/// 6.1). Any other answer, or none, counts as true.
pub(super) fn nft_has_nat(family: AddressFamily) -> bool {
    let family = protocol(family);
    let kind = (NFTABLES << 8) | NEW_CHAIN;
    let number = |value: i32| value.to_be_bytes();
    let hook = [
        attribute(NFTA_HOOK_HOOKNUM, &number(libc::NF_INET_PRE_ROUTING)),
        attribute(NFTA_HOOK_PRIORITY, &number(DESTINATION_NAT)),
    ];
    let chain = [
        table_name(TABLE),
        attribute(NFTA_CHAIN_NAME, b"probe\0"),
        attribute(NFTA_CHAIN_HOOK | libc::NLA_F_NESTED as u16, &hook.concat()),
        attribute(NFTA_CHAIN_TYPE, b"nat\0"),
    ];
    let chain = message(kind, REQUEST | ACK | CREATE, family, 0, &chain.concat());
    // Without ACK for the table, the first answer is an error of the table or the answer for the
    // chain.
    let answer = ask(&[new_table(family, REQUEST | CREATE), chain]);
    !matches!(
        answer,
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::ENOENT)
    )
}

/// Sends the messages in a batch without an end. Returns the error number of the first answer, 0
/// for success, or `None` without an answer.
fn ask(messages: &[Vec<u8>]) -> Option<libc::c_int> {
    let mut socket = Socket::open(Protocol::Netfilter).ok()?;
    let begin = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
    let mut answer = Vec::new();
    socket.send(&[begin, messages.concat()].concat()).ok()?;
    socket.receive(&mut answer).ok()?;
    read_errno(&answer)
}

fn new_table(family: u8, flags: u16) -> Vec<u8> {
    let kind = (NFTABLES << 8) | NEW_TABLE;
    message(kind, flags, family, 0, &table_name(TABLE))
}
