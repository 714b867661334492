//! Probes whether this kernel has nf_tables for IPv4. `iptables-nft-save` does not tell: it succeeds where a table cannot be
//! made.

use netlink::{Protocol, Socket, Transport};

use super::nft_tables::{
    ACK, BATCH_BEGIN, CREATE, IPV4, NEW_TABLE, NFTABLES, REQUEST, message, read_errno, table_name,
};

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
    let begin = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
    let kind = (NFTABLES << 8) | NEW_TABLE;
    let name = table_name("kube-ipvs-probe");
    let table = message(kind, REQUEST | ACK | CREATE, IPV4, 0, &name);
    [begin, table].concat()
}
