//! Converts a [`Manifest`] to the model.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipvs::{AddressFamily, Scheduler, ServiceFlags, TunnelFlags, VirtualServerKey};
use model::ObjectName;
use model::cluster::StaticServer;
use model::policy::{ConnectionLimits, PolicyField, ServicePolicy};

use super::{
    Checksum, DEFAULT_PERSISTENCE, DEFAULT_SCHEDULER, Family, Forwarding, Manifest, Persistence,
    Protocol, RealServer, Spec, Tunnel, TunnelType,
};
use crate::config::as_given;
use crate::convert::name;
use crate::yaml::Step;

/// A contradiction between fields of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Path of the field.
    pub(crate) path: Vec<Step>,
    /// The problem and what to do.
    pub(crate) problem: String,
}

impl Mistake {
    fn new(field: &str, problem: impl Into<String>) -> Self {
        let keys = field.split('.').map(|name| Step::Key(name.to_owned()));
        Self {
            path: keys.collect(),
            problem: problem.into(),
        }
    }

    /// Returns a mistake in an item of the list `spec.LIST`.
    fn in_list(list: &str, index: usize, field: Option<&str>, problem: String) -> Self {
        let mut path = vec![Step::Key("spec".to_owned()), Step::Key(list.to_owned())];
        path.push(Step::Index(index));
        path.extend(field.map(|name| Step::Key(name.to_owned())));
        Self { path, problem }
    }
}

/// Converts a manifest. Values that the kernel refuses are kept: the planner reports them.
///
/// # Errors
///
/// The first contradiction between fields.
pub(crate) fn decode(manifest: &Manifest) -> Result<StaticServer, Mistake> {
    let Manifest {
        api_version: _,
        kind: _,
        metadata,
        spec,
    } = manifest;
    if metadata.name.is_empty() {
        return Err(Mistake::new("metadata.name", "the name is empty"));
    }
    let namespace = metadata
        .namespace
        .as_deref()
        .filter(|text| !text.is_empty());
    let key = key(spec)?;
    let bind = match (key, spec.bind) {
        (VirtualServerKey::Fwmark { .. }, Some(true)) => {
            let problem = "a firewall mark has no address to bind: delete the field";
            return Err(Mistake::new("spec.bind", problem));
        }
        (VirtualServerKey::Fwmark { .. }, _) => false,
        (VirtualServerKey::Address { .. }, bind) => bind.unwrap_or(true),
    };
    let mut policy = policy(spec)?;
    let limits = policy.connection_limits.take();
    let real_servers = (spec.real_servers.iter().enumerate())
        .map(|(index, real)| real_server(index, real, spec, &key, limits))
        .collect::<Result<_, _>>()?;
    Ok(StaticServer {
        name: ObjectName::virtual_server(
            name(namespace.unwrap_or("default")),
            name(&metadata.name),
        ),
        server: server(spec, key)?,
        real_servers,
        bind,
        masquerade_source: spec.masquerade_source,
        policy: (!policy.is_empty()).then(|| Arc::new(policy)),
    })
}

/// Reads the fields that a policy of Services has too, by the same rules.
fn policy(spec: &Spec) -> Result<ServicePolicy, Mistake> {
    let given = [
        (PolicyField::ConnectionLimits, &spec.connection_limits),
        (PolicyField::DrainTimeout, &spec.drain_timeout),
        (PolicyField::UdpDrainTimeout, &spec.udp_drain_timeout),
        (PolicyField::HealthCheck, &spec.health_check),
    ];
    let mut policy = ServicePolicy::default();
    for (field, value) in given {
        let Some(value) = value else { continue };
        (as_given(value).and_then(|given| policy.set(field, &given)))
            .map_err(|problem| Mistake::new(&format!("spec.{}", field.name()), problem))?;
    }
    Ok(policy)
}

fn key(spec: &Spec) -> Result<VirtualServerKey, Mistake> {
    match (spec.address, spec.fwmark) {
        (Some(address), None) => address_key(spec, address),
        (None, Some(mark)) => mark_key(spec, mark),
        (Some(_), Some(_)) => Err(Mistake::new(
            "spec.fwmark",
            "address and fwmark exclude each other: delete one of them",
        )),
        (None, None) => Err(Mistake::new("spec", "address or fwmark is missing")),
    }
}

fn address_key(spec: &Spec, address: IpAddr) -> Result<VirtualServerKey, Mistake> {
    if spec.family.is_some() {
        let problem = "only fwmark has a family: delete the field";
        return Err(Mistake::new("spec.family", problem));
    }
    let Some(port) = spec.port else {
        return Err(Mistake::new("spec", "port is missing"));
    };
    Ok(VirtualServerKey::Address {
        address: address.to_canonical(),
        port,
        protocol: match spec.protocol.unwrap_or(Protocol::Tcp) {
            Protocol::Tcp => ipvs::Protocol::Tcp,
            Protocol::Udp => ipvs::Protocol::Udp,
            Protocol::Sctp => ipvs::Protocol::Sctp,
        },
    })
}

fn mark_key(spec: &Spec, mark: NonZeroU32) -> Result<VirtualServerKey, Mistake> {
    let fields = [
        ("spec.port", spec.port.is_some()),
        ("spec.protocol", spec.protocol.is_some()),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, is_set)| *is_set) {
        let problem = "fwmark selects the packets of every port and protocol: delete the field";
        return Err(Mistake::new(field, problem));
    }
    Ok(VirtualServerKey::Fwmark {
        family: match spec.family.unwrap_or(Family::Ipv4) {
            Family::Ipv4 => AddressFamily::Ipv4,
            Family::Ipv6 => AddressFamily::Ipv6,
        },
        mark,
    })
}

fn server(spec: &Spec, key: VirtualServerKey) -> Result<ipvs::VirtualServer, Mistake> {
    let scheduler = spec.scheduler.as_deref().unwrap_or(DEFAULT_SCHEDULER);
    let mut flags = ServiceFlags::empty();
    for (index, flag) in spec.scheduler_flags.iter().enumerate() {
        flags |= ipvs::text::scheduler_flag(scheduler, flag)
            .map_err(|problem| Mistake::in_list("schedulerFlags", index, None, problem))?;
    }
    if spec.one_packet {
        flags |= ServiceFlags::ONE_PACKET;
    }
    let mut timeout = Duration::ZERO;
    let mut prefix = None;
    let mut engine = None;
    if let Some(persistence) = &spec.persistence {
        let Persistence {
            timeout_seconds,
            prefix_length,
            engine: named,
        } = persistence;
        flags |= ServiceFlags::PERSISTENT;
        timeout = Duration::from_secs(timeout_seconds.unwrap_or(DEFAULT_PERSISTENCE).into());
        prefix = *prefix_length;
        engine = named.as_deref().map(Into::into);
    }
    Ok(ipvs::VirtualServer {
        key,
        scheduler: Scheduler(scheduler.into()),
        flags,
        persistence_timeout: timeout,
        persistence_prefix: prefix.unwrap_or_else(|| whole_prefix(&key)),
        persistence_engine: engine,
    })
}

/// Returns the prefix length with which every client counts separately.
pub(super) fn whole_prefix(key: &VirtualServerKey) -> u8 {
    match key.family() {
        AddressFamily::Ipv4 => 32,
        AddressFamily::Ipv6 => 128,
    }
}

fn real_server(
    index: usize,
    real: &RealServer,
    spec: &Spec,
    key: &VirtualServerKey,
    limits: Option<ConnectionLimits>,
) -> Result<ipvs::RealServer, Mistake> {
    let method = (real.forwarding).or(spec.forwarding);
    let method = method.unwrap_or(Forwarding::Masquerade);
    if real.tunnel.is_some() && method != Forwarding::Tunnel {
        let problem = "only forwarding: tunnel encapsulates: set it, or delete the field";
        let field = Some("tunnel");
        return Err(Mistake::in_list(
            "realServers",
            index,
            field,
            problem.to_owned(),
        ));
    }
    let virtual_port = match *key {
        VirtualServerKey::Address { port, .. } => port,
        VirtualServerKey::Fwmark { .. } => 0,
    };
    let limits = limits.filter(|_| real.upper_threshold.is_none());
    let [upper, lower] = limits.map_or([0; 2], |limits| [limits.upper, limits.lower]);
    Ok(ipvs::RealServer {
        key: ipvs::RealServerKey {
            address: real.address.to_canonical(),
            port: real.port.unwrap_or(virtual_port),
        },
        forwarding: match method {
            Forwarding::Masquerade => ipvs::Forwarding::Masquerade,
            Forwarding::Direct => ipvs::Forwarding::DirectRoute,
            Forwarding::Tunnel => {
                ipvs::Forwarding::Tunnel(tunnel(real.tunnel.or(spec.tunnel).unwrap_or_default()))
            }
            Forwarding::Local => ipvs::Forwarding::LocalNode,
            Forwarding::Bypass => ipvs::Forwarding::Bypass,
        },
        weight: real.weight.unwrap_or(1),
        upper_threshold: real.upper_threshold.unwrap_or(upper),
        lower_threshold: match real.lower_threshold {
            0 => lower,
            own => own,
        },
    })
}

fn tunnel(tunnel: Tunnel) -> ipvs::Tunnel {
    ipvs::Tunnel {
        kind: match tunnel.kind.unwrap_or(TunnelType::Ipip) {
            TunnelType::Ipip => ipvs::TunnelKind::Ipip,
            TunnelType::Gue => ipvs::TunnelKind::Gue,
            TunnelType::Gre => ipvs::TunnelKind::Gre,
        },
        port: tunnel.port.unwrap_or(0),
        flags: match tunnel.checksum.unwrap_or(Checksum::None) {
            Checksum::None => TunnelFlags::empty(),
            Checksum::Full => TunnelFlags::CSUM,
            Checksum::Remote => TunnelFlags::REMCSUM,
        },
    }
}
