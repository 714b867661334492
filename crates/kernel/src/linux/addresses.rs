//! The dummy device, its addresses, and the node's other interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use model::kernel::Errno;
use model::missing_family::FamilyGap;
use model::snapshot::Interface;
use model::{DEVICE, Name, NodeState, Op, Snapshot};
use netlink::{Connection, DumpError, Failure, Integrity, Protocol, Request};
use netlink_packet_core::{DecodeError, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;

use super::READINGS;
use super::batch::Batch;
use super::failure::{not_tried, observe_error, op_error};
use super::families::Families;
use super::messages::{self, Link, LinkAddress};
use super::sysctls::Sysctls;
use crate::error::OpenError;
use model::kernel::OpOutcome;
use model::kernel::{ObserveError, OpError, OpErrorKind};

const WHAT: &str = "the network interfaces";

/// A change of the dummy device.
#[derive(Clone, Copy, Debug)]
pub(super) enum DeviceChange {
    Ensure,
    Delete,
}

/// A change of the addresses of the dummy device.
#[derive(Clone, Copy, Debug)]
pub(super) enum AddressChange {
    Add(IpAddr),
    Delete(IpAddr),
}

/// Reads the interfaces of the node and changes the dummy device.
pub(super) struct Addresses {
    connection: Connection,
}

/// Reads this machine as a node: its interfaces, its kernel and its processors.
///
/// Neither IPVS nor privileges are required. IPv6 counts as missing if it is disabled. Support in
/// IPVS and in the packet filter is not checked.
///
/// # Errors
///
/// Fails if the interfaces cannot be read.
pub fn node_state() -> Result<NodeState, ObserveError> {
    let failed = |source| ObserveError::Failed {
        what: WHAT,
        source: Box::new(source),
    };
    let mut snapshot = Snapshot::default();
    let mut addresses = Addresses::open().map_err(failed)?;
    addresses.observe(&mut snapshot)?;
    snapshot.node.machine = Sysctls::open().machine();
    snapshot.node.missing = FamilyGap::decide([None, Families::open().ipv6_gap()]);
    Ok(snapshot.node)
}

/// Device with the name of the dummy device.
enum Device {
    Absent,
    Dummy(u32),
    Foreign,
}

impl Addresses {
    pub(super) fn open() -> Result<Self, OpenError> {
        let connection = Connection::open(Protocol::Route);
        let connection = connection.map_err(|source| OpenError::Socket {
            protocol: "NETLINK_ROUTE",
            source,
        })?;
        Ok(Self { connection })
    }

    /// Adds the interfaces to `snapshot`. Marks it as torn if they changed during each of several
    /// readings.
    pub(super) fn observe(&mut self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        for _ in 0..READINGS {
            let reading = self.read().map_err(|error| observe_error(WHAT, error))?;
            let torn = reading.torn;
            reading.fill(snapshot)?;
            if !torn {
                return Ok(());
            }
        }
        snapshot.torn = true;
        Ok(())
    }

    fn read(&mut self) -> Result<Reading, DumpError> {
        let mut reading = Reading::default();
        let links = self.dump(&messages::all_links(), |payload| {
            reading.links.push(Link::decode(payload)?);
            Ok(())
        })?;
        let addresses = self.dump(&messages::all_addresses(), |payload| {
            reading.addresses.extend(LinkAddress::decode(payload)?);
            Ok(())
        })?;
        reading.torn = [links, addresses].contains(&Integrity::Torn);
        Ok(reading)
    }

    fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
        each: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<Integrity, DumpError> {
        self.connection.dump(message, each)
    }

    fn links_of_kind(&mut self, kind: &str) -> Result<BTreeSet<Name>, DumpError> {
        let mut names = BTreeSet::new();
        let read = self.dump(&messages::all_links(), |payload| {
            let link = Link::decode(payload)?;
            if link.kind.as_deref() == Some(kind) {
                names.insert(link.name.into());
            }
            Ok(())
        });
        // A link that changes meanwhile may or may not be included.
        read.map(|_integrity| names)
    }

    /// Creates or deletes the device.
    pub(super) fn change_device(&mut self, op: &Op, change: DeviceChange) -> OpOutcome {
        match change {
            DeviceChange::Ensure => self.ensure_device(op),
            DeviceChange::Delete => self.delete_device(op),
        }
    }

    fn ensure_device(&mut self, op: &Op) -> OpOutcome {
        match self.device() {
            Ok(Device::Dummy(_)) => return Ok(()),
            Ok(Device::Foreign) => return Err(not_dummy(op)),
            Ok(Device::Absent) => {}
            Err(error) => return Err(not_tried(op, &error)),
        }
        match self.change(create(messages::new_device())) {
            // Another program created the device meanwhile, so its kind must be checked.
            Err(Failure::Refused { errno, .. }) if errno.0 == libc::EEXIST => {
                self.dummy(op).map(|_| ())
            }
            made => made.map_err(|failure| op_error(op, &failure)),
        }
    }

    fn delete_device(&mut self, op: &Op) -> OpOutcome {
        let index = self.dummy(op)?;
        let deleted = self.change(delete(messages::delete_link(index)));
        deleted.map_err(|failure| op_error(op, &failure))
    }

    /// Applies consecutive address changes of a stage.
    pub(super) fn apply(&mut self, batch: &Batch<'_, AddressChange>) -> Vec<OpOutcome> {
        let index = match self.device() {
            Ok(Device::Dummy(index)) => index,
            Ok(Device::Absent) => return batch.refused(no_device),
            Ok(Device::Foreign) => return batch.refused(not_dummy),
            Err(error) => return batch.refused(|op| not_tried(op, &error)),
        };
        let requests = batch.requests().iter().map(|change| match change {
            AddressChange::Add(address) => create(messages::new_address(index, *address)),
            AddressChange::Delete(address) => delete(messages::delete_address(index, *address)),
        });
        let answers = self.connection.execute(requests);
        batch.outcomes(answers, |op, failure| op_error(op, &failure))
    }

    fn change(&mut self, request: Request<RouteNetlinkMessage>) -> Result<(), Failure> {
        let mut outcomes = self.connection.execute([request]);
        outcomes.pop().unwrap_or(Err(Failure::Lost))
    }

    fn dummy(&mut self, op: &Op) -> Result<u32, OpError> {
        match self.device() {
            Ok(Device::Dummy(index)) => Ok(index),
            Ok(Device::Absent) => Err(no_device(op)),
            Ok(Device::Foreign) => Err(not_dummy(op)),
            Err(error) => Err(not_tried(op, &error)),
        }
    }

    fn device(&mut self) -> Result<Device, DumpError> {
        let mut device = Device::Absent;
        let answer = self.connection.get(&messages::device(), |payload| {
            let link = Link::decode(payload)?;
            device = if link.is_dummy() {
                Device::Dummy(link.index)
            } else {
                Device::Foreign
            };
            Ok(())
        });
        match answer {
            Ok(()) => Ok(device),
            Err(DumpError::Refused { errno, .. }) if errno.0 == libc::ENODEV => Ok(Device::Absent),
            Err(error) => Err(error),
        }
    }
}

/// Returns the Linux bridges of the network namespace of the calling thread.
///
/// # Errors
///
/// Fails if they cannot be read.
pub fn bridges() -> Result<BTreeSet<Name>, ObserveError> {
    let failed = |error: OpenError| ObserveError::Failed {
        what: WHAT,
        source: error.into(),
    };
    let mut addresses = Addresses::open().map_err(failed)?;
    let bridges = addresses.links_of_kind("bridge");
    bridges.map_err(|error| observe_error(WHAT, error))
}

fn create(message: RouteNetlinkMessage) -> Request<RouteNetlinkMessage> {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    Request { message, flags }
}

fn delete(message: RouteNetlinkMessage) -> Request<RouteNetlinkMessage> {
    Request { message, flags: 0 }
}

fn no_device(op: &Op) -> OpError {
    let kind = OpErrorKind::NoDevice;
    OpError::new(op.clone(), kind, Some(Errno(libc::ENODEV)))
}

fn not_dummy(op: &Op) -> OpError {
    let kind = OpErrorKind::NotDummy;
    OpError::new(op.clone(), kind, Some(Errno(libc::EEXIST)))
}

/// All links and addresses.
#[derive(Default)]
struct Reading {
    links: Vec<Link>,
    addresses: Vec<LinkAddress>,
    torn: bool,
}

impl Reading {
    fn fill(self, snapshot: &mut Snapshot) -> Result<(), ObserveError> {
        let Self {
            links, addresses, ..
        } = self;
        snapshot.device = false;
        snapshot.tables.addresses.clear();
        let mut others: BTreeMap<u32, Vec<IpNetwork>> = BTreeMap::new();
        let device = links.iter().find(|link| link.name == DEVICE);
        for address in addresses {
            if device.is_some_and(|device| device.index == address.link) {
                if address.is_host() && !is_link_local(address.network) {
                    snapshot.tables.addresses.insert(address.network.ip());
                }
            } else {
                let list = others.entry(address.link).or_default();
                list.push(address.network);
            }
        }
        if let Some(device) = device {
            if !device.is_dummy() {
                let kind = device.kind.clone();
                return Err(ObserveError::NotDummy {
                    kind: kind.unwrap_or_else(|| "unknown".to_owned()),
                });
            }
            snapshot.device = true;
        }
        let mut interfaces: Vec<Interface> = links
            .into_iter()
            .filter(|link| link.name != DEVICE)
            .map(|link| {
                let mut addresses = others.remove(&link.index).unwrap_or_default();
                addresses.sort_unstable();
                Interface {
                    name: link.name.into(),
                    addresses,
                }
            })
            .collect();
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot.node.interfaces = interfaces;
        Ok(())
    }
}

/// Returns true for a link-local address, which the kernel adds to each device that comes up.
fn is_link_local(network: IpNetwork) -> bool {
    match network {
        IpNetwork::V4(_) => false,
        IpNetwork::V6(v6) => v6.ip().is_unicast_link_local(),
    }
}
