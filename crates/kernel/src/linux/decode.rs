//! Decoders of what the kernel sends, as functions of bytes: fuzzing calls them. No bytes make them panic.

use ipnetwork::IpNetwork;
use model::udp_flows::Flow;
use netlink_packet_core::DecodeError;

use super::messages::{Link, LinkAddress};
use super::udp_flows;

/// Decodes the payload of a message of the connection tracker; `None` for a flow that is not UDP or in a zone.
///
/// # Errors
///
/// An attribute is cut short or has the wrong length.
pub fn tracked_flow(payload: &[u8]) -> Result<Option<Flow>, DecodeError> {
    udp_flows::decode(payload)
}

/// Decodes the payload of an `RTM_NEWLINK` and returns the name of the link.
///
/// # Errors
///
/// An attribute is cut short or has the wrong length, or a name is not UTF-8.
pub fn link_name(payload: &[u8]) -> Result<String, DecodeError> {
    Link::decode(payload).map(|link| link.name)
}

/// Decodes the payload of an `RTM_NEWADDR`; `None` for a family that is neither IPv4 nor IPv6.
///
/// # Errors
///
/// An attribute is cut short or has the wrong length, or there is no address.
pub fn link_address(payload: &[u8]) -> Result<Option<IpNetwork>, DecodeError> {
    Ok(LinkAddress::decode(payload)?.map(|address| address.network))
}
