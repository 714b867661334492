//! Parses addresses and networks as kube-proxy does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use model::Parsed;

/// Parses an address as kube-proxy does (`ParseIPSloppy`): leading zeros in the numbers of an IPv4
/// address are ignored, and an IPv4-mapped IPv6 address becomes the IPv4 address.
#[must_use]
pub fn ip(text: &str) -> Parsed<IpAddr> {
    parse_ip(text).map_or_else(|| Parsed::Invalid(text.into()), Parsed::Valid)
}

/// Parses a network in the form `address/length`, with optional surrounding space. Bits after the
/// prefix length are dropped (`ParseCIDRSloppy`).
#[must_use]
pub fn cidr(text: &str) -> Parsed<IpNetwork> {
    parse_cidr(text.trim()).map_or_else(|| Parsed::Invalid(text.into()), Parsed::Valid)
}

pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if !text.contains(':') {
        return parse_ipv4(text).map(IpAddr::V4);
    }
    // A dotted tail is an IPv4 address, which may have leading zeros.
    let address: Ipv6Addr = match text.rsplit_once(':') {
        Some((head, tail)) if tail.contains('.') => {
            format!("{head}:{}", parse_ipv4(tail)?).parse().ok()?
        }
        _ => text.parse().ok()?,
    };
    Some(IpAddr::V6(address).to_canonical())
}

pub(crate) fn parse_cidr(text: &str) -> Option<IpNetwork> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    match parse_ip(address)? {
        IpAddr::V4(address) if !text.contains(':') => {
            let network = Ipv4Network::new(address, length).ok()?;
            Ipv4Network::new(network.network(), length)
                .ok()
                .map(IpNetwork::V4)
        }
        // The length of an IPv4-mapped network includes the 96 bits in front of the IPv4 address.
        IpAddr::V4(address) => {
            let network = Ipv4Network::new(address, length.checked_sub(96)?).ok()?;
            Ipv4Network::new(network.network(), network.prefix())
                .ok()
                .map(IpNetwork::V4)
        }
        IpAddr::V6(address) => {
            let network = Ipv6Network::new(address, length).ok()?;
            Ipv6Network::new(network.network(), length)
                .ok()
                .map(IpNetwork::V6)
        }
    }
}

fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}
