//! The dummy device, its addresses, and the other interfaces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use model::missing_family::MissingFamily;
use model::snapshot::{Interface, Machine};
use model::{NodeState, NodeTables, Snapshot};

use model::kernel::OpErrorKind;

/// Device with the name of the dummy device.
#[derive(Debug, Default, PartialEq, Eq)]
enum Device {
    /// There is no such device.
    #[default]
    Absent,
    /// A dummy device with these host addresses.
    Dummy(BTreeSet<IpAddr>),
    /// A device of another kind.
    Foreign(String),
}

/// All interfaces of the node.
#[derive(Debug)]
pub(super) struct Addresses {
    device: Device,
    node: NodeState,
}

impl Default for Addresses {
    fn default() -> Self {
        let lo = Interface {
            name: "lo".into(),
            addresses: [
                (Ipv4Addr::LOCALHOST.into(), 8),
                (Ipv6Addr::LOCALHOST.into(), 128),
            ]
            .into_iter()
            .filter_map(|(address, prefix)| IpNetwork::new(address, prefix).ok())
            .collect(),
        };
        Self {
            device: Device::Absent,
            node: NodeState {
                interfaces: vec![lo],
                ..NodeState::default()
            },
        }
    }
}

impl Addresses {
    pub(super) fn set(&mut self, tables: &NodeTables) {
        if !tables.addresses.is_empty() {
            self.device = Device::Dummy(tables.addresses.clone());
        }
    }

    pub(super) fn set_node(&mut self, node: NodeState) {
        self.node = node;
    }

    pub(super) fn set_foreign_device(&mut self, kind: &str) {
        self.device = Device::Foreign(kind.to_owned());
    }

    pub(super) fn foreign_device(&self) -> Option<&str> {
        match &self.device {
            Device::Foreign(kind) => Some(kind),
            _ => None,
        }
    }

    pub(super) fn has_interface(&self, name: &str) -> bool {
        let mut interfaces = self.node.interfaces.iter();
        let is_device = name == model::DEVICE && self.device != Device::Absent;
        is_device || interfaces.any(|interface| *interface.name == *name)
    }

    pub(super) fn machine(&self) -> Machine {
        self.node.machine
    }

    /// Returns the family that the node lacks.
    pub(super) fn missing(&self) -> Option<MissingFamily> {
        self.node.missing.clone()
    }

    pub(super) fn read(&self, snapshot: &mut Snapshot) {
        (snapshot.node.interfaces).clone_from(&self.node.interfaces);
        if let Device::Dummy(addresses) = &self.device {
            snapshot.device = true;
            snapshot.tables.addresses.clone_from(addresses);
        }
    }

    pub(super) fn ensure_device(&mut self) -> Result<(), OpErrorKind> {
        match self.device {
            Device::Absent => {
                self.device = Device::Dummy(BTreeSet::new());
                Ok(())
            }
            Device::Dummy(_) => Ok(()),
            Device::Foreign(_) => Err(OpErrorKind::NotDummy),
        }
    }

    pub(super) fn delete_device(&mut self) -> Result<(), OpErrorKind> {
        self.dummy()?;
        self.device = Device::Absent;
        Ok(())
    }

    pub(super) fn add(&mut self, address: IpAddr) -> Result<(), OpErrorKind> {
        if self.dummy()?.insert(address) {
            Ok(())
        } else {
            Err(OpErrorKind::AlreadyExists)
        }
    }

    pub(super) fn delete(&mut self, address: IpAddr) -> Result<(), OpErrorKind> {
        if self.dummy()?.remove(&address) {
            Ok(())
        } else {
            Err(OpErrorKind::NoSuchAddress)
        }
    }

    fn dummy(&mut self) -> Result<&mut BTreeSet<IpAddr>, OpErrorKind> {
        match &mut self.device {
            Device::Absent => Err(OpErrorKind::NoDevice),
            Device::Dummy(addresses) => Ok(addresses),
            Device::Foreign(_) => Err(OpErrorKind::NotDummy),
        }
    }
}
