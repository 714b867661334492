//! Checks of real servers.

use std::net::{IpAddr, Ipv4Addr};

use super::Invalid;
use crate::types::{
    AddressFamily, Forwarding, RealServer, RealServerKey, Tunnel, TunnelFlags, TunnelKind,
    VirtualServerKey,
};

/// The kernel stores weights in an `int`.
const HIGHEST_WEIGHT: u32 = i32::MAX.unsigned_abs();

pub(super) fn problems(real: &RealServer, key: &VirtualServerKey) -> Vec<Invalid> {
    // The destructuring makes sure that a new field is not forgotten here.
    let RealServer {
        key: real_key,
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = real;
    let mut problems = Vec::new();
    if !is_host(real_key.address) {
        problems.push(Invalid::Address(real_key.address));
    }
    problems.extend(family_problem(real_key, *forwarding, key));
    problems.extend(port_problem(real_key, *forwarding, key));
    match forwarding {
        Forwarding::Other(number) => problems.push(Invalid::Forwarding(*number)),
        Forwarding::Tunnel(tunnel) => tunnel_problems(*tunnel, &mut problems),
        Forwarding::Masquerade
        | Forwarding::LocalNode
        | Forwarding::DirectRoute
        | Forwarding::Bypass => {}
    }
    if *weight > HIGHEST_WEIGHT {
        problems.push(Invalid::Weight(*weight));
    }
    if lower_threshold > upper_threshold {
        problems.push(Invalid::Thresholds {
            lower: *lower_threshold,
            upper: *upper_threshold,
        });
    }
    problems
}

/// Returns true if the address can belong to a single host.
fn is_host(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != Ipv4Addr::BROADCAST
}

fn family_problem(
    real: &RealServerKey,
    forwarding: Forwarding,
    key: &VirtualServerKey,
) -> Option<Invalid> {
    let (real, virtual_server) = (AddressFamily::of(real.address), key.family());
    let joined = real == virtual_server || matches!(forwarding, Forwarding::Tunnel(_));
    (!joined).then_some(Invalid::Family {
        real,
        virtual_server,
    })
}

fn port_problem(
    real: &RealServerKey,
    forwarding: Forwarding,
    key: &VirtualServerKey,
) -> Option<Invalid> {
    let VirtualServerKey::Address {
        port: virtual_port, ..
    } = *key
    else {
        return None;
    };
    let kept = matches!(forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
    let port = real.port;
    (kept && port != virtual_port).then_some(Invalid::Port { port, virtual_port })
}

fn tunnel_problems(tunnel: Tunnel, problems: &mut Vec<Invalid>) {
    match tunnel.kind {
        TunnelKind::Ipip | TunnelKind::Gre => {}
        TunnelKind::Gue => problems.extend((tunnel.port == 0).then_some(Invalid::TunnelPort)),
        TunnelKind::Other(number) => problems.push(Invalid::TunnelKind(number)),
    }
    let known = TunnelFlags::CSUM.bits() | TunnelFlags::REMCSUM.bits();
    let unknown = tunnel.flags.bits() & !known;
    if unknown != 0 {
        problems.push(Invalid::TunnelFlags { unknown });
    }
}
