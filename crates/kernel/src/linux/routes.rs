//! Looks up routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::Name;
use model::kernel::ObserveError;
use netlink::{Connection, Protocol};
use netlink_packet_core::{DecodeError, parse_ip, parse_u32};

use super::failure::observe_error;
use super::messages::{self, Link, attributes, header};

#[cfg(test)]
mod tests;

const WHAT: &str = "the routes";

/// `sizeof(struct rtmsg)`, `include/uapi/linux/rtnetlink.h`.
const ROUTE_HEADER: usize = 12;
/// `RTN_UNICAST` and `RTN_LOCAL` of the same file, for `rtm_type`.
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// `RTA_OIF`, `include/uapi/linux/rtnetlink.h`.
const RTA_OIF: u16 = 4;
/// `RTA_PREFSRC`, of the same file.
const RTA_PREFSRC: u16 = 7;

/// Routes of packets that the node itself sends, without a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Routes by destination. A destination without route is missing.
    pub routes: BTreeMap<IpAddr, Route>,
    /// Names of all interfaces, the oldest first.
    pub interfaces: Vec<Name>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Interface by which the packet leaves.
    pub interface: Name,
    /// Source address of a socket that has chosen none.
    pub source: Option<IpAddr>,
    /// True if this node accepts packets to the destination.
    pub local: bool,
}

/// Looks up the routes to `addresses` in the network namespace of the calling thread, as `ip route
/// get` does. Needs no privileges.
///
/// # Errors
///
/// Fails if the interfaces or the routes cannot be read.
pub fn routes(addresses: &BTreeSet<IpAddr>) -> Result<Routes, ObserveError> {
    let mut connection =
        Connection::open(Protocol::Route).map_err(|source| ObserveError::Failed {
            what: WHAT,
            source: Box::new(source),
        })?;
    let mut links = BTreeMap::new();
    // A torn list may lack a new interface; a route by it is then missing.
    let _integrity = connection
        .dump(&messages::all_links(), |payload| {
            let link = Link::decode(payload)?;
            links.insert(link.index, Name::from(link.name));
            Ok(())
        })
        .map_err(|error| observe_error(WHAT, error))?;
    let wanted: Vec<IpAddr> = addresses.iter().copied().collect();
    let requests = wanted.iter().map(|address| messages::route_to(*address));
    let mut routes = BTreeMap::new();
    // A destination without route is refused.
    let _refused = connection.get_each(requests, |index, payload| {
        let route = decode(payload, &links).ok().flatten();
        if let (Some(route), Some(address)) = (route, wanted.get(index)) {
            routes.insert(*address, route);
        }
    });
    Ok(Routes {
        routes,
        interfaces: links.into_values().collect(),
    })
}

/// Decodes the payload of an `RTM_NEWROUTE`. Returns `None` for a route without a known interface.
pub(super) fn decode(
    payload: &[u8],
    links: &BTreeMap<u32, Name>,
) -> Result<Option<Route>, DecodeError> {
    let header = header(payload, ROUTE_HEADER)?;
    if ![RTN_UNICAST, RTN_LOCAL].contains(&header[7]) {
        // Unreachable, prohibited, a black hole.
        return Ok(None);
    }
    let (mut interface, mut source) = (None, None);
    for attribute in attributes(&payload[ROUTE_HEADER..]) {
        let attribute = attribute?;
        match attribute.kind() {
            RTA_OIF => interface = links.get(&parse_u32(attribute.value())?).cloned(),
            RTA_PREFSRC => source = Some(parse_ip(attribute.value())?),
            _ => {}
        }
    }
    let local = header[7] == RTN_LOCAL;
    Ok(interface.map(|interface| Route {
        interface,
        source,
        local,
    }))
}
