//! Converts an entry of the IPVS table to a [`Manifest`].

use std::net::IpAddr;

use ipvs::{AddressFamily, ServiceFlags, TunnelFlags, VirtualServerKey};

use super::decode::whole_prefix;
use super::{
    API_VERSION, Checksum, Family, Forwarding, KIND, Manifest, Metadata, Persistence, Protocol,
    RealServer, Spec, Tunnel, TunnelType,
};

/// A setting of an entry that no manifest can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// IPVS balances TCP, UDP and SCTP.
    #[error("{0} is not TCP, UDP or SCTP")]
    Protocol(ipvs::Protocol),
    /// A manifest with such an address describes an entry of IPv4.
    #[error("{0} is an IPv4-mapped IPv6 address: write it as an IPv4 address")]
    Mapped(IpAddr),
    /// A flag without a name.
    #[error("no scheduler has the flags {0:#x}")]
    Flags(u32),
    /// An unknown forwarding method.
    #[error("{0} of a real server is unknown")]
    Forwarding(ipvs::Forwarding),
    /// An unknown kind of tunnel.
    #[error("{0} of a real server is unknown")]
    Tunnel(ipvs::TunnelKind),
}

/// Returns the manifest of `server` with the name `name` in the namespace `default`.
/// Reading the manifest returns the same entry again.
///
/// `bind` is false if another program adds the address to the node.
///
/// # Errors
///
/// A setting that no manifest can have. No kernel uses such settings.
pub fn encode(
    name: &str,
    server: &ipvs::VirtualServer,
    real_servers: &[ipvs::RealServer],
    bind: bool,
) -> Result<Manifest, Unsupported> {
    let mut spec = of_key(&server.key)?;
    let is_mark = matches!(server.key, VirtualServerKey::Fwmark { .. });
    spec.bind = (!bind && !is_mark).then_some(false);
    spec.scheduler = Some(server.scheduler.0.to_string());
    of_flags(server, &mut spec)?;
    let mut reals = Vec::new();
    for real in real_servers {
        reals.push(real_server(real)?);
    }
    share_forwarding(&mut spec, &mut reals);
    spec.real_servers = reals;
    Ok(Manifest {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata {
            name: name.to_owned(),
            ..Metadata::default()
        },
        spec,
    })
}

fn of_key(key: &VirtualServerKey) -> Result<Spec, Unsupported> {
    Ok(match *key {
        VirtualServerKey::Address {
            address,
            port,
            protocol,
        } => Spec {
            address: Some(canonical(address)?),
            port: Some(port),
            protocol: Some(match protocol {
                ipvs::Protocol::Tcp => Protocol::Tcp,
                ipvs::Protocol::Udp => Protocol::Udp,
                ipvs::Protocol::Sctp => Protocol::Sctp,
                ipvs::Protocol::Other(_) => return Err(Unsupported::Protocol(protocol)),
            }),
            ..Spec::default()
        },
        VirtualServerKey::Fwmark { family, mark } => Spec {
            fwmark: Some(mark),
            family: Some(match family {
                AddressFamily::Ipv4 => Family::Ipv4,
                AddressFamily::Ipv6 => Family::Ipv6,
            }),
            ..Spec::default()
        },
    })
}

fn canonical(address: IpAddr) -> Result<IpAddr, Unsupported> {
    match address.to_canonical() == address {
        true => Ok(address),
        false => Err(Unsupported::Mapped(address)),
    }
}

fn of_flags(server: &ipvs::VirtualServer, spec: &mut Spec) -> Result<(), Unsupported> {
    let known = ServiceFlags::PERSISTENT
        | ServiceFlags::ONE_PACKET
        | ServiceFlags::SCHED_1
        | ServiceFlags::SCHED_2
        | ServiceFlags::SCHED_3;
    let unknown = server.flags.bits() & !known.bits();
    if unknown != 0 {
        return Err(Unsupported::Flags(unknown));
    }
    let names = ipvs::text::scheduler_flags(&server.scheduler.0, server.flags);
    spec.scheduler_flags = names.into_iter().map(str::to_owned).collect();
    spec.one_packet = server.flags.contains(ServiceFlags::ONE_PACKET);
    if server.flags.contains(ServiceFlags::PERSISTENT) {
        let prefix = server.persistence_prefix;
        let seconds = server.persistence_timeout.as_secs();
        spec.persistence = Some(Persistence {
            timeout_seconds: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
            prefix_length: (prefix != whole_prefix(&server.key)).then_some(prefix),
            engine: server.persistence_engine.as_deref().map(str::to_owned),
        });
    }
    Ok(())
}

fn real_server(real: &ipvs::RealServer) -> Result<RealServer, Unsupported> {
    let mut encapsulation = None;
    let forwarding = match real.forwarding {
        ipvs::Forwarding::Masquerade => Forwarding::Masquerade,
        ipvs::Forwarding::DirectRoute => Forwarding::Direct,
        ipvs::Forwarding::LocalNode => Forwarding::Local,
        ipvs::Forwarding::Bypass => Forwarding::Bypass,
        ipvs::Forwarding::Tunnel(of_real) => {
            encapsulation = Some(tunnel(of_real)?);
            Forwarding::Tunnel
        }
        ipvs::Forwarding::Other(_) => return Err(Unsupported::Forwarding(real.forwarding)),
    };
    Ok(RealServer {
        address: canonical(real.key.address)?,
        port: Some(real.key.port),
        weight: Some(real.weight),
        forwarding: Some(forwarding),
        tunnel: encapsulation,
        upper_threshold: (real.upper_threshold != 0).then_some(real.upper_threshold),
        lower_threshold: real.lower_threshold,
    })
}

fn tunnel(tunnel: ipvs::Tunnel) -> Result<Tunnel, Unsupported> {
    let kind = match tunnel.kind {
        ipvs::TunnelKind::Ipip => TunnelType::Ipip,
        ipvs::TunnelKind::Gue => TunnelType::Gue,
        ipvs::TunnelKind::Gre => TunnelType::Gre,
        ipvs::TunnelKind::Other(_) => return Err(Unsupported::Tunnel(tunnel.kind)),
    };
    let checksum = if tunnel.flags.contains(TunnelFlags::REMCSUM) {
        Checksum::Remote
    } else if tunnel.flags.contains(TunnelFlags::CSUM) {
        Checksum::Full
    } else {
        Checksum::None
    };
    Ok(Tunnel {
        kind: Some(kind),
        port: (tunnel.port != 0).then_some(tunnel.port),
        checksum: (checksum != Checksum::None).then_some(checksum),
    })
}

/// Moves the forwarding method to the specification if every real server has the same.
fn share_forwarding(spec: &mut Spec, reals: &mut [RealServer]) {
    let Some(first) = reals.first() else {
        return;
    };
    let (forwarding, tunnel) = (first.forwarding, first.tunnel);
    let is_same = |real: &RealServer| (real.forwarding, real.tunnel) == (forwarding, tunnel);
    if !reals.iter().all(is_same) {
        return;
    }
    (spec.forwarding, spec.tunnel) = (forwarding, tunnel);
    for real in reals {
        (real.forwarding, real.tunnel) = (None, None);
    }
}
