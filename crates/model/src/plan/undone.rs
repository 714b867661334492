//! What must not be done once something else was not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipvs::VirtualServerKey;

use super::{Op, PlannedOp};

/// Changes of a plan that were not done, because they failed or because one of these blocked them, and
/// so which later ones must not be done either. Whoever carries out a plan keeps one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    device: bool,
    /// Not on the device though a virtual server needs them.
    addresses: BTreeSet<IpAddr>,
    /// Not there though real servers belong to them.
    virtual_servers: BTreeSet<VirtualServerKey>,
    /// Still there though their address should go: without it they would look like somebody else's.
    left: BTreeSet<VirtualServerKey>,
    /// Without real servers that they should have: the old ones stay.
    short: BTreeSet<VirtualServerKey>,
    any: bool,
}

impl Undone {
    /// Notes that `op` was not done.
    pub fn note(&mut self, op: &Op) {
        self.any = true;
        match op {
            Op::EnsureDevice => self.device = true,
            Op::AddAddress(address) => {
                self.addresses.insert(*address);
            }
            Op::AddVirtualServer(server) => {
                self.virtual_servers.insert(server.key);
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.short.insert(*key);
            }
            Op::DelVirtualServer(key) => {
                self.left.insert(*key);
            }
            Op::SetVirtualServer(_) | Op::DelRealServer(..) | Op::DelAddress(_) | Op::DelDevice => {
            }
        }
    }

    /// Parts `ops` into those to be done and those that are blocked, which are noted as not done.
    pub fn admit(&mut self, ops: Vec<PlannedOp>) -> (Vec<PlannedOp>, Vec<PlannedOp>) {
        let (blocked, admitted): (Vec<_>, Vec<_>) =
            (ops.into_iter()).partition(|planned| self.blocks(&planned.op));
        for planned in &blocked {
            self.note(&planned.op);
        }
        (admitted, blocked)
    }

    /// Whether `op` builds on something that was not done.
    fn blocks(&self, op: &Op) -> bool {
        match op {
            Op::EnsureDevice | Op::SetVirtualServer(_) | Op::DelVirtualServer(_) => false,
            Op::AddAddress(_) => self.device,
            Op::AddVirtualServer(server) => {
                address_of(server.key).is_some_and(|at| self.addresses.contains(&at))
            }
            Op::AddRealServer(key, _) | Op::SetRealServer(key, _) => {
                self.virtual_servers.contains(key)
            }
            Op::DelRealServer(key, _) => self.short.contains(key),
            Op::DelAddress(address) => {
                (self.left.iter()).any(|key| address_of(*key) == Some(*address))
            }
            Op::DelDevice => self.any,
        }
    }
}

fn address_of(key: VirtualServerKey) -> Option<IpAddr> {
    match key {
        VirtualServerKey::Address { address, .. } => Some(address),
        VirtualServerKey::Fwmark { .. } => None,
    }
}
