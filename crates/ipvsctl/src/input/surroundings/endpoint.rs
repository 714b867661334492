//! Endpoints of the cluster and real servers of the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipvs::{Protocol, VirtualServerKey};
use model::{Name, NodeTables, ObjectName, Parsed};

use super::Packet;
use crate::input::Input;

/// An endpoint of the cluster, or a real server of the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of its node, if known.
    pub node: Option<Name>,
    /// True if an EndpointSlice has it. Otherwise only the tables do.
    pub listed: bool,
    /// Ports with their protocol.
    pub ports: BTreeSet<(Protocol, u16)>,
}

/// Returns the endpoints and real servers among `addresses`.
pub(super) fn endpoints(
    input: &Input,
    tables: &NodeTables,
    addresses: &BTreeSet<IpAddr>,
    packet: &Packet,
) -> BTreeMap<IpAddr, Endpoint> {
    let mut found: BTreeMap<IpAddr, Endpoint> = BTreeMap::new();
    let names: Vec<ObjectName> = input.cluster.service_names().cloned().collect();
    for slice in names.iter().flat_map(|name| input.cluster.slices(name)) {
        let ports: Vec<(Protocol, u16)> = (slice.ports.iter())
            .filter_map(|port| Some((*port.protocol.as_result().ok()?, port.port?.get())))
            .collect();
        for endpoint in slice.endpoints {
            let Parsed::Valid(address) = endpoint.address else {
                continue;
            };
            if !addresses.contains(&address) {
                continue;
            }
            let known = found.entry(address).or_default();
            known.listed = true;
            known.ports.extend(&ports);
            known.node = known.node.take().or(endpoint.node);
        }
    }
    for (key, entry) in &tables.virtual_servers {
        let (protocol, at) = match *key {
            VirtualServerKey::Address {
                address,
                protocol,
                port,
            } if address == packet.to.ip() => (protocol, port),
            VirtualServerKey::Fwmark { .. } => (packet.protocol, 0),
            VirtualServerKey::Address { .. } => continue,
        };
        for real in entry.real_servers.keys() {
            // Port 0 of a virtual server leaves the port as it is.
            let port = if at == 0 { packet.to.port() } else { real.port };
            let ports = &mut found.entry(real.address).or_default().ports;
            ports.extend([(protocol, port), (protocol, real.port)]);
        }
    }
    found
}
