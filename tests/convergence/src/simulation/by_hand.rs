//! Changes by other programs and by clients.

use std::sync::Arc;

use ipset::Entry;
use ipvs::{Connections, RealServer, RealServerKey, Scheduler, VirtualServerKey};
use kernel::contract::builders::real_at;
use model::rules::RulesPatch;
use model::{NodeTables, Op, Snapshot};

use super::random::Random;
use super::trouble::foreign_server;
use crate::subject::address_of;

/// Returns a change of `tables` by another program. `foreign` are virtual servers that are not
/// ours.
pub(super) fn meddle(
    random: &mut Random,
    tables: &NodeTables,
    foreign: impl Fn(VirtualServerKey) -> bool,
) -> Option<Op> {
    let ours = tables.virtual_servers.iter();
    let (key, entry) = random.pick(ours.filter(|(key, _)| !foreign(**key)))?;
    let real = random.pick(entry.real_servers.values().copied());
    let byte = u8::try_from(random.below(200)).unwrap_or(0);
    Some(match random.below(16) {
        0 => Op::DelDevice,
        1 | 2 => Op::DelAddress(random.pick(tables.addresses.iter().copied())?),
        3 => Op::AddAddress([10, 99, 0, byte].into()),
        4 | 5 => {
            let (name, set) =
                random.pick(tables.sets.iter().filter(|(_, s)| !s.entries.is_empty()))?;
            Op::DelEntry(name.clone(), random.pick(set.entries.iter().copied())?)
        }
        6 => {
            let mut names = tables.sets.keys();
            let name = names.find(|name| name.to_string() == "KUBE-CLUSTER-IP")?;
            let entry = Entry::IpPort([10, 99, 1, byte].into(), ipset::Protocol(6), 80);
            Op::AddEntry(name.clone(), entry)
        }
        7 => Op::DelVirtualServer(*key),
        8 => {
            let mut server = entry.server.clone();
            server.scheduler = Scheduler("lc".into());
            Op::SetVirtualServer(server)
        }
        9 | 10 => Op::DelRealServer(*key, real?.key),
        11 => {
            let real = real?;
            let weight = u32::try_from(random.below(3)).unwrap_or(0);
            Op::SetRealServer(*key, RealServer { weight, ..real })
        }
        12 => Op::AddRealServer(*key, intruder(*key, byte)?),
        13 => {
            let (family, rules) = random.pick(&tables.rules)?;
            let chain = random.pick(rules.chains.iter().filter(|(_, rules)| !rules.is_empty()))?;
            let patch = RulesPatch {
                chains: [(chain.0.clone(), Vec::new())].into(),
                ..RulesPatch::default()
            };
            Op::PatchRules(*family, Arc::new(patch))
        }
        14 => Op::SetSysctl("net.ipv4.ip_forward".into(), "0".into()),
        _ => {
            // At our address it looks like ours.
            let address = match address_of(*key)? {
                std::net::IpAddr::V4(address) => address.octets(),
                std::net::IpAddr::V6(_) => return None,
            };
            Op::AddVirtualServer(foreign_server(address, 9000 + u16::from(byte)))
        }
    })
}

fn intruder(key: VirtualServerKey, byte: u8) -> Option<RealServer> {
    address_of(key).filter(std::net::IpAddr::is_ipv4)?;
    Some(real_at([10, 200, 0, byte.max(1)], 1))
}

/// Returns a real server that gets connections. It has a weight, because others get none.
pub(super) fn busy(
    random: &mut Random,
    tables: &NodeTables,
) -> Option<(VirtualServerKey, RealServerKey)> {
    let (key, entry) = random.pick(&tables.virtual_servers)?;
    let real = random.pick(entry.real_servers.values().filter(|real| real.weight > 0))?;
    Some((*key, real.key))
}

/// Returns a real server that loses its connections.
pub(super) fn idle(
    random: &mut Random,
    live: &Snapshot,
) -> Option<(VirtualServerKey, RealServerKey)> {
    random.pick(live.connections.keys().copied())
}

pub(super) fn some_connections(random: &mut Random) -> Connections {
    Connections {
        active: u32::try_from(1 + random.below(5)).unwrap_or(1),
        ..Connections::default()
    }
}
