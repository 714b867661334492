//! Decoders of kernel messages as functions of bytes, for fuzzing. They never panic.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use model::udp_flows::Flow;
use netlink_packet_core::DecodeError;

use super::messages::{Link, LinkAddress};
use super::routes;
use super::udp_flows;

/// Decodes the payload of a message of the connection tracker. Returns `None` for a flow that is
/// not UDP or is in a zone.
///
/// # Errors
///
/// Fails if an attribute is truncated or has the wrong length.
pub fn tracked_flow(payload: &[u8]) -> Result<Option<Flow>, DecodeError> {
    udp_flows::decode(payload)
}

/// Decodes the payload of an `RTM_NEWLINK` and returns the name of the link.
///
/// # Errors
///
/// Fails if an attribute is truncated or has the wrong length, or if a name is not UTF-8.
pub fn link_name(payload: &[u8]) -> Result<String, DecodeError> {
    Link::decode(payload).map(|link| link.name)
}

/// Decodes the payload of an `RTM_NEWADDR`. Returns `None` for a family other than IPv4 and IPv6.
///
/// # Errors
///
/// Fails if an attribute is truncated or has the wrong length, or if the address is missing.
pub fn link_address(payload: &[u8]) -> Result<Option<IpNetwork>, DecodeError> {
    Ok(LinkAddress::decode(payload)?.map(|address| address.network))
}

/// Decodes the payload of an `RTM_NEWROUTE` and returns the preferred source.
///
/// # Errors
///
/// Fails if an attribute is truncated or has the wrong length, or if the interface is missing.
pub fn route_source(payload: &[u8]) -> Result<Option<IpAddr>, DecodeError> {
    Ok(routes::decode(payload)?.and_then(|hop| hop.source))
}
