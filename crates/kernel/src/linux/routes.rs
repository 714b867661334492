//! Looks up routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::Name;
use model::kernel::ObserveError;
use netlink::{Connection, Failure, Protocol};
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

/// Error numbers for destinations without a route (`fib_props`, net/ipv4/fib_semantics.c;
/// `ip6_rt_type_to_error`, net/ipv6/route.c, Linux 6.1): nothing matches, or a route of type
/// unreachable, prohibit or blackhole. `EOPNOTSUPP` is the answer of a kernel without the family.
const NO_ROUTE: [i32; 5] = [
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::EACCES,
    libc::EINVAL,
    libc::EOPNOTSUPP,
];

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

/// Reason why the route to an address is unknown.
#[derive(Debug, thiserror::Error)]
enum RouteError {
    /// The kernel did not answer, or refused for another reason than the lack of a route.
    #[error("the route to {to} is unknown")]
    NoAnswer {
        /// The destination.
        to: IpAddr,
        /// Cause.
        source: Failure,
    },
    /// The answer cannot be decoded.
    #[error("the answer with the route to {to} cannot be decoded")]
    Decode {
        /// The destination.
        to: IpAddr,
        /// Cause.
        source: DecodeError,
    },
    /// The list of interfaces lacks the one of the route.
    #[error(
        "the route to {to} is by interface number {index}, which appeared meanwhile: run the command again"
    )]
    NewInterface {
        /// The destination.
        to: IpAddr,
        /// Number of the interface.
        index: u32,
    },
}

/// Looks up the routes to `addresses` in the network namespace of the calling thread, as `ip route
/// get` does. Needs no privileges.
///
/// # Errors
///
/// The interfaces, or the route to one of `addresses`, cannot be read. The lack of a route is no
/// error.
pub fn routes(addresses: &BTreeSet<IpAddr>) -> Result<Routes, ObserveError> {
    let failed = |source| ObserveError::Failed { what: WHAT, source };
    let mut connection =
        Connection::open(Protocol::Route).map_err(|error| failed(Box::new(error)))?;
    let mut links = BTreeMap::new();
    // A torn list may lack a new interface; a route by it is an error.
    let _integrity = connection
        .dump(&messages::all_links(), |payload| {
            let link = Link::decode(payload)?;
            links.insert(link.index, Name::from(link.name));
            Ok(())
        })
        .map_err(|error| observe_error(WHAT, error))?;
    let requests = addresses.iter().map(|address| messages::route_to(*address));
    let mut answers = BTreeMap::new();
    let outcomes = connection.get_each(requests, |index, payload| {
        answers.insert(index, decode(payload));
    });
    let mut routes = BTreeMap::new();
    for (index, (to, outcome)) in addresses.iter().zip(outcomes).enumerate() {
        let route = route(*to, outcome, answers.remove(&index), &links);
        if let Some(route) = route.map_err(|error| failed(Box::new(error)))? {
            routes.insert(*to, route);
        }
    }
    Ok(Routes {
        routes,
        interfaces: links.into_values().collect(),
    })
}

/// Returns the route to `to`, or `None` if there is none.
fn route(
    to: IpAddr,
    outcome: Result<(), Failure>,
    answer: Option<Result<Option<Hop>, DecodeError>>,
    links: &BTreeMap<u32, Name>,
) -> Result<Option<Route>, RouteError> {
    match outcome {
        Err(Failure::Refused { errno, .. }) if NO_ROUTE.contains(&errno.0) => return Ok(None),
        Err(source) => return Err(RouteError::NoAnswer { to, source }),
        Ok(()) => {}
    }
    let lost = || RouteError::NoAnswer {
        to,
        source: Failure::Lost,
    };
    let answer = answer.ok_or_else(lost)?;
    let hop = answer.map_err(|source| RouteError::Decode { to, source })?;
    let Some(Hop {
        index,
        source,
        local,
    }) = hop
    else {
        return Ok(None);
    };
    match links.get(&index) {
        Some(name) => Ok(Some(Route {
            interface: name.clone(),
            source,
            local,
        })),
        None => Err(RouteError::NewInterface { to, index }),
    }
}

/// A route, with the number of its interface.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hop {
    index: u32,
    pub(super) source: Option<IpAddr>,
    local: bool,
}

/// Decodes the payload of an `RTM_NEWROUTE`. Returns `None` for a route by which the node sends no
/// unicast packets.
pub(super) fn decode(payload: &[u8]) -> Result<Option<Hop>, DecodeError> {
    let header = header(payload, ROUTE_HEADER)?;
    if ![RTN_UNICAST, RTN_LOCAL].contains(&header[7]) {
        // Unreachable, prohibited, a black hole; broadcast, multicast.
        return Ok(None);
    }
    let (mut index, mut source) = (None, None);
    for attribute in attributes(&payload[ROUTE_HEADER..]) {
        let attribute = attribute?;
        match attribute.kind() {
            RTA_OIF => index = Some(parse_u32(attribute.value())?),
            RTA_PREFSRC => source = Some(parse_ip(attribute.value())?),
            _ => {}
        }
    }
    let index = index.ok_or_else(|| DecodeError::from("a route without RTA_OIF"))?;
    Ok(Some(Hop {
        index,
        source,
        local: header[7] == RTN_LOCAL,
    }))
}
