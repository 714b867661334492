//! Parses tables from JSON and YAML.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use ipvs::text::parse_sync_daemon;
use ipvs::{
    AddressFamily, Forwarding, Protocol, RealServerKey, Scheduler, ServiceFlags, TunnelFlags,
    TunnelKind, VirtualServerKey,
};
use model::VirtualServerEntry;
use model::text::{Part, Saved};
use serde_json::Value;

use super::API_VERSION;
use super::filter_state;
use super::tables::{FLAGS, NodeTables, RealServer, Tunnel, VirtualServer, family, full_prefix};

/// Reason why an object cannot be parsed. Prints with the path of the field.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is neither JSON nor YAML.
    #[error("neither JSON nor YAML: {0}")]
    Syntax(String),
    /// The object has another kind or version.
    #[error(
        "kind {kind}, apiVersion {version}: expected NodeTables, {API_VERSION}, as ipvsctl get tables \
         -o json prints it"
    )]
    Kind {
        /// Field `kind` of the object.
        kind: String,
        /// Field `apiVersion` of the object.
        version: String,
    },
    /// A field is invalid.
    #[error("{path}: {problem}")]
    Field {
        /// Path of the field.
        path: String,
        /// Problem of the field.
        problem: String,
    },
}

/// Returns true if `text` is an object rather than lines of `ipvsadm-save`.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') || text.starts_with("apiVersion:") || text.starts_with("kind:")
}

/// Returns options that accept large tables, since 10,000 Services with 10 endpoints have millions
/// of YAML nodes, and refuse texts that grow by aliases. The size of the file is bounded elsewhere.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 400_000_000,
            max_nodes: 200_000_000,
            max_total_scalar_bytes: 1 << 30,
            max_aliases: 100,
            max_anchors: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    }
}

/// Parses an object of kind `NodeTables`.
///
/// # Errors
///
/// The text has a mistake. The error is about the first one.
pub fn parse(text: &str) -> Result<Saved, SchemaError> {
    let value = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| SchemaError::Syntax(error.to_string()))?
    } else {
        serde_saphyr::from_str_with_options::<Value>(text, options()).map_err(|error| {
            let error = error.without_snippet().to_string();
            SchemaError::Syntax(error.lines().next().unwrap_or_default().to_owned())
        })?
    };
    let text = |key: &str| value[key].as_str().unwrap_or("(none)").to_owned();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if kind != "NodeTables" || version != API_VERSION {
        return Err(SchemaError::Kind { kind, version });
    }
    let given: NodeTables =
        serde_path_to_error::deserialize(value).map_err(|error| SchemaError::Field {
            path: error.path().to_string(),
            problem: error.inner().to_string(),
        })?;
    saved_tables(given)
}

fn saved_tables(given: NodeTables) -> Result<Saved, SchemaError> {
    let mut saved = Saved {
        parts: parts(&given),
        ..Saved::default()
    };
    for (index, server) in given.virtual_servers.into_iter().flatten().enumerate() {
        let at = format!("virtualServers[{index}]");
        let (entry, connections) = entry(&at, server)?;
        let key = entry.server.key;
        let connections = connections.into_iter();
        (saved.connections).extend(connections.map(|(real, count)| ((key, real), count)));
        let entries = &mut saved.tables.virtual_servers;
        if entries.insert(key, Arc::new(entry)).is_some() {
            return wrong(at, format!("duplicate virtual server {key}"));
        }
    }
    for (index, text) in given.addresses.into_iter().flatten().enumerate() {
        let at = format!("addresses[{index}]");
        let network: IpNetwork = text.parse().map_err(|_| SchemaError::Field {
            path: at.clone(),
            problem: format!("`{text}` is not an address such as 10.96.0.1/32"),
        })?;
        if IpNetwork::from(network.ip()) != network {
            return wrong(
                at,
                format!("{text} is a network; expected one address, such as 10.96.0.1/32"),
            );
        }
        saved.tables.addresses.insert(network.ip());
    }
    let sets = given.sets.unwrap_or_default();
    let (rules, sysctls) = (
        given.rules.unwrap_or_default(),
        given.sysctls.unwrap_or_default(),
    );
    let text = filter_state::as_text(&sets, &rules, &sysctls);
    let read = model::text::parse(&text).map_err(|error| SchemaError::Field {
        path: "sets, rules, sysctls".to_owned(),
        problem: error.problem,
    })?;
    (saved.tables.sets, saved.tables.rules) = (read.sets, read.rules);
    saved.tables.sysctls = read.sysctls;
    saved.tables.timeouts = given.timeouts.map_or_else(Default::default, Into::into);
    for (index, line) in given.sync_daemons.iter().flatten().enumerate() {
        let place = format!("syncDaemons[{index}]");
        let daemon = parse_sync_daemon(line).or_else(|problem| wrong(&place, problem))?;
        let role = daemon.role;
        if saved.tables.sync_daemons.insert(role, daemon).is_some() {
            return wrong(place, format!("the {role} daemon is listed twice"));
        }
    }
    if let Some(node) = &given.node {
        saved.node = node.read()?;
    }
    Ok(saved)
}

/// Returns the parts that the object has.
fn parts(given: &NodeTables) -> BTreeSet<Part> {
    let has_connections = (given.virtual_servers.iter().flatten())
        .flat_map(|server| &server.real_servers)
        .all(|real| real.connections.is_some());
    let present = [
        (Part::VirtualServers, given.virtual_servers.is_some()),
        (Part::Addresses, given.addresses.is_some()),
        (Part::Sets, given.sets.is_some()),
        (Part::Rules, given.rules.is_some()),
        (Part::Settings, given.sysctls.is_some()),
        (Part::Timeouts, given.timeouts.is_some()),
        (Part::SyncDaemons, given.sync_daemons.is_some()),
        (Part::Node, given.node.is_some()),
        (
            Part::Connections,
            given.virtual_servers.is_some() && has_connections,
        ),
    ];
    (present.into_iter())
        .filter(|(_, is_present)| *is_present)
        .map(|(part, _)| part)
        .collect()
}

/// Connections of the real servers that have any.
type Counted = Vec<(RealServerKey, ipvs::Connections)>;

fn entry(at: &str, given: VirtualServer) -> Result<(VirtualServerEntry, Counted), SchemaError> {
    let key = key(at, &given)?;
    let mut flags = ServiceFlags::empty();
    for (index, name) in given.flags.iter().enumerate() {
        flags |= flag(name).ok_or_else(|| SchemaError::Field {
            path: format!("{at}.flags[{index}]"),
            problem: format!("unknown flag {name}"),
        })?;
    }
    let persistence = given.persistence;
    let server = ipvs::VirtualServer {
        key,
        scheduler: Scheduler(given.scheduler.into()),
        flags,
        persistence_timeout: (persistence.as_ref()).map_or(Duration::ZERO, |given| {
            Duration::from_secs(given.timeout_seconds)
        }),
        persistence_prefix: (persistence.as_ref())
            .map_or(full_prefix(family(&key)), |given| given.prefix_length),
        persistence_engine: persistence.and_then(|given| given.engine).map(Into::into),
    };
    let mut entry = VirtualServerEntry {
        server,
        real_servers: Default::default(),
    };
    let mut counted = Counted::new();
    for (index, given) in given.real_servers.into_iter().enumerate() {
        let at = format!("{at}.realServers[{index}]");
        let real = real_server(&at, &given)?;
        let connections = given.connections.map(ipvs::Connections::from);
        let some = connections.filter(|count| *count != ipvs::Connections::default());
        counted.extend(some.map(|count| (real.key, count)));
        if entry.real_servers.insert(real).is_some() {
            return wrong(at, format!("duplicate real server {}", real.key));
        }
    }
    Ok((entry, counted))
}

fn key(at: &str, given: &VirtualServer) -> Result<VirtualServerKey, SchemaError> {
    match (
        given.address,
        given.port,
        given.protocol.as_deref(),
        given.fwmark,
    ) {
        (Some(address), Some(port), Some(protocol), None) => {
            let protocol = match protocol {
                "TCP" => Protocol::Tcp,
                "UDP" => Protocol::Udp,
                "SCTP" => Protocol::Sctp,
                number => Protocol::Other(numbered(&format!("{at}.protocol"), number)?),
            };
            Ok(VirtualServerKey::Address {
                address,
                port,
                protocol,
            })
        }
        (None, None, None, Some(mark)) => {
            let family = match given.family.as_deref() {
                Some("IPv6") => AddressFamily::Ipv6,
                Some("IPv4") => AddressFamily::Ipv4,
                _ => return wrong(format!("{at}.family"), "expected IPv4 or IPv6"),
            };
            Ok(VirtualServerKey::Fwmark { family, mark })
        }
        _ => wrong(
            at,
            "expected address, port and protocol, or fwmark and family",
        ),
    }
}

fn real_server(at: &str, given: &RealServer) -> Result<ipvs::RealServer, SchemaError> {
    let forwarding = match (given.forwarding.as_str(), &given.tunnel) {
        ("Masq", None) => Forwarding::Masquerade,
        ("Local", None) => Forwarding::LocalNode,
        ("Route", None) => Forwarding::DirectRoute,
        ("Bypass", None) => Forwarding::Bypass,
        ("Tunnel", Some(given)) => Forwarding::Tunnel(tunnel(at, given)?),
        ("Tunnel", None) => {
            return wrong(format!("{at}.tunnel"), "missing, but forwarding is Tunnel");
        }
        (number, None) => Forwarding::Other(numbered(&format!("{at}.forwarding"), number)?),
        (_, Some(_)) => {
            return wrong(
                format!("{at}.tunnel"),
                "only allowed with forwarding Tunnel",
            );
        }
    };
    Ok(ipvs::RealServer {
        key: RealServerKey {
            address: given.address,
            port: given.port,
        },
        forwarding,
        weight: given.weight,
        upper_threshold: given.upper_threshold,
        lower_threshold: given.lower_threshold,
    })
}

fn tunnel(at: &str, given: &Tunnel) -> Result<ipvs::Tunnel, SchemaError> {
    Ok(ipvs::Tunnel {
        kind: match given.kind.as_str() {
            "ipip" => TunnelKind::Ipip,
            "gue" => TunnelKind::Gue,
            "gre" => TunnelKind::Gre,
            number => TunnelKind::Other(numbered(&format!("{at}.tunnel.type"), number)?),
        },
        port: given.port,
        flags: TunnelFlags::from_bits_retain(given.flags),
    })
}

fn flag(name: &str) -> Option<ServiceFlags> {
    let known = FLAGS.iter().find(|(_, known)| *known == name);
    known.map(|(flag, _)| *flag).or_else(|| {
        let bits = u32::from_str_radix(name.strip_prefix("0x")?, 16).ok()?;
        Some(ServiceFlags::from_bits_retain(bits))
    })
}

fn numbered(path: &str, text: &str) -> Result<u8, SchemaError> {
    text.parse().map_err(|_| SchemaError::Field {
        path: path.to_owned(),
        problem: format!("`{text}` is neither a known name nor a number from 0 to 255"),
    })
}

fn wrong<T>(path: impl Into<String>, problem: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError::Field {
        path: path.into(),
        problem: problem.into(),
    })
}
