//! The order in which real servers are added (deviation D7).

use ipvs::{RealServerKey, VirtualServerKey};
use model::names::Name;
use model::plan::{Op, PlannedOp};

/// Orders real servers within their virtual server so that each node has an order of its own, the
/// same at every start: `rr` begins with the first one, and would otherwise begin with the same
/// one on every node.
pub(super) fn shuffle_real_servers(node_name: &Name, ops: &mut [PlannedOp]) {
    ops.sort_by_cached_key(|planned| {
        real_server(&planned.op).map(|(key, real)| (key, rank(node_name, key, real), real))
    });
}

fn real_server(op: &Op) -> Option<(VirtualServerKey, RealServerKey)> {
    match op {
        Op::AddRealServer(key, real) | Op::SetRealServer(key, real) => Some((*key, real.key)),
        _ => None,
    }
}

/// FNV-1a, then a mix so that every input bit reaches the high ones: the same on all machines and
/// in all releases, which the standard library's hasher does not promise.
fn rank(node_name: &str, key: VirtualServerKey, real: RealServerKey) -> u64 {
    let text = format!("{node_name} {key} {real}");
    let hash = (text.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}
