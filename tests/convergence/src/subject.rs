//! The entry of the tables that a change concerns.

use std::net::IpAddr;
use std::time::Duration;

use ipset::{Entry, SetName};
use ipvs::{AddressFamily, Protocol, RealServerKey, SyncRole, VirtualServerKey};
use model::names::Name;
use model::{Desired, NodeConfig, Op};

/// An entry of a node's tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The dummy device.
    Device,
    /// An address on the dummy device.
    Address(IpAddr),
    /// A set without its entries.
    Set(SetName),
    /// An entry of a set.
    Entry(SetName, Entry),
    /// The rules of one family.
    Rules(AddressFamily),
    /// A kernel setting.
    Sysctl(Name),
    /// The idle timeouts.
    Timeouts,
    /// The synchronisation daemon of a role.
    SyncDaemon(SyncRole),
    /// A virtual server without its real servers.
    VirtualServer(VirtualServerKey),
    /// A real server.
    RealServer(VirtualServerKey, RealServerKey),
}

impl Subject {
    /// Returns the entry that `op` changes.
    #[must_use]
    pub fn of(op: &Op) -> Self {
        match op {
            Op::SetSysctl(name, _) => Self::Sysctl(name.clone()),
            Op::SetTimeouts(_) => Self::Timeouts,
            Op::StopSyncDaemon(role) => Self::SyncDaemon(*role),
            Op::StartSyncDaemon(daemon) => Self::SyncDaemon(daemon.role),
            Op::CreateSet(set, _) | Op::ReplaceSet(set, _) | Op::DestroySet(set) => {
                Self::Set(set.clone())
            }
            Op::AddEntry(set, entry) | Op::DelEntry(set, entry) => Self::Entry(set.clone(), *entry),
            Op::PatchRules(family, _) => Self::Rules(*family),
            Op::EnsureDevice | Op::DelDevice => Self::Device,
            Op::AddAddress(address) | Op::DelAddress(address) => Self::Address(*address),
            Op::AddVirtualServer(server) | Op::SetVirtualServer(server) => {
                Self::VirtualServer(server.key)
            }
            Op::DelVirtualServer(key) => Self::VirtualServer(*key),
            Op::AddRealServer(key, real) | Op::SetRealServer(key, real) => {
                Self::RealServer(*key, real.key)
            }
            Op::DelRealServer(key, real) => Self::RealServer(*key, *real),
        }
    }

    /// Returns the virtual server that this is, or is a part of.
    #[must_use]
    pub fn virtual_server(&self) -> Option<VirtualServerKey> {
        match self {
            Self::VirtualServer(key) | Self::RealServer(key, _) => Some(*key),
            _ => None,
        }
    }
}

/// Returns the address of a virtual server; none for one of a firewall mark.
#[must_use]
pub fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}

/// Returns true if the real server `real` of `key` keeps its connections for a while after it left:
/// one of TCP, and one of UDP whose endpoint terminates and still serves, unless the drain timeout
/// is zero.
#[must_use]
pub fn drains(
    desired: &Desired,
    config: &NodeConfig,
    key: VirtualServerKey,
    real: RealServerKey,
) -> bool {
    match protocol_of(key) {
        Some(Protocol::Tcp) => true,
        Some(Protocol::Udp) => {
            drain_timeout(desired, config, key) != Some(Duration::ZERO)
                && desired.finishes(key, real)
        }
        _ => false,
    }
}

/// Returns the maximum duration of a drain of a real server of `key`: that of the policy of its
/// Service, else that of `config`; none for one of TCP without a limit.
#[must_use]
pub fn drain_timeout(
    desired: &Desired,
    config: &NodeConfig,
    key: VirtualServerKey,
) -> Option<Duration> {
    let owner = desired.owners.virtual_servers.get(&key);
    let policy = owner.and_then(|owner| desired.policies.get(&owner.service));
    match protocol_of(key) {
        Some(Protocol::Udp) => {
            let own = policy.and_then(|policy| policy.udp_drain_timeout);
            Some(own.map_or(config.udp_drain_timeout, |own| own.0))
        }
        _ => {
            let own = policy.and_then(|policy| policy.drain_timeout);
            let timeout = own.map_or(config.drain_timeout, |own| own.0);
            Some(timeout).filter(|timeout| !timeout.is_zero())
        }
    }
}

fn protocol_of(key: VirtualServerKey) -> Option<Protocol> {
    match key {
        VirtualServerKey::Address { protocol, .. } => Some(protocol),
        VirtualServerKey::Fwmark { .. } => None,
    }
}
