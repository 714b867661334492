//! Conversion of synchronisation daemons.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::DecodeError;

use super::missing;
use crate::codec::attributes::DaemonAttribute;
use crate::types::{SyncDaemon, SyncRole};

/// Returns the attributes of a synchronisation daemon with all its settings.
#[must_use]
pub fn daemon_attributes(daemon: &SyncDaemon) -> Vec<DaemonAttribute> {
    let SyncDaemon {
        role,
        interface,
        sync_id,
        maximum_length,
        group,
        port,
        time_to_live,
    } = daemon;
    let mut attributes = vec![
        DaemonAttribute::State(role.number()),
        DaemonAttribute::MulticastInterface(interface.to_string()),
        DaemonAttribute::SyncId(*sync_id),
    ];
    attributes.extend(maximum_length.map(DaemonAttribute::MaximumLength));
    attributes.extend(group.map(|group| match group {
        IpAddr::V4(group) => DaemonAttribute::Group(group.octets()),
        IpAddr::V6(group) => DaemonAttribute::Group6(group.octets()),
    }));
    attributes.extend(port.map(DaemonAttribute::Port));
    attributes.extend(time_to_live.map(DaemonAttribute::TimeToLive));
    attributes
}

/// Reads a synchronisation daemon.
///
/// # Errors
///
/// The attribute of the role or the interface is missing.
pub fn read_daemon(attributes: &[DaemonAttribute]) -> Result<SyncDaemon, DecodeError> {
    let (mut role, mut interface, mut sync_id) = (None, None, 0);
    let (mut maximum_length, mut group, mut port, mut time_to_live) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            DaemonAttribute::State(number) => role = Some(SyncRole::from(*number)),
            DaemonAttribute::MulticastInterface(name) => interface = Some(name.as_str()),
            DaemonAttribute::SyncId(id) => sync_id = *id,
            DaemonAttribute::MaximumLength(bytes) => maximum_length = Some(*bytes),
            DaemonAttribute::Group(octets) => group = Some(Ipv4Addr::from(*octets).into()),
            DaemonAttribute::Group6(octets) => group = Some(Ipv6Addr::from(*octets).into()),
            DaemonAttribute::Port(number) => port = Some(*number),
            DaemonAttribute::TimeToLive(hops) => time_to_live = Some(*hops),
            DaemonAttribute::Other(_) => {}
        }
    }
    Ok(SyncDaemon {
        role: role.ok_or_else(missing("State"))?,
        interface: interface.ok_or_else(missing("MulticastInterface"))?.into(),
        sync_id,
        maximum_length,
        group,
        port,
        time_to_live,
    })
}
