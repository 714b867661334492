//! The explanation of an address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipset::{Entry, SetName};
use ipvs::VirtualServerKey;
use model::ObjectName;
use model::cluster::{Parsed, Service};
use model::sets::Destination;
use model::tables::NodeTables;
use model::text::Part;

use super::scene::Scene;
use super::verdict::count;
use super::{places, pod};
use crate::cli::AddressArgument;
use crate::schema::{
    API_VERSION, AddressExplanation, AddressServer, AddressService, Presence, SetEntry, Verdict,
};

/// Name of the interface with the addresses of the Node, if the node's own interfaces are unknown.
const STATUS: &str = "status.addresses";

/// Returns the explanation of an address.
pub(super) fn explanation(scene: &Scene, place: AddressArgument) -> AddressExplanation {
    let at = place.address;
    let live = scene.live();
    let bound = |tables: &NodeTables| tables.addresses.contains(&at);
    let desired = bound(&scene.input().desired.tables);
    let mut object = AddressExplanation {
        api_version: API_VERSION,
        kind: "AddressExplanation",
        node_name: scene.input().config.node_name.to_string(),
        address: at.to_string(),
        port: place.port.map(std::num::NonZeroU16::get),
        protocol: place.protocol.map(|protocol| protocol.to_string()),
        live_known: live.is_some(),
        services: services(scene, place),
        virtual_servers: servers(scene, place),
        set_entries: set_entries(scene, place),
        device: Presence::of(
            desired,
            scene.with(Part::Addresses).map(|live| bound(&live.tables)),
        ),
        interface: scene.interface(at).filter(|name| name != STATUS),
        node: node(scene, at),
        endpoints: pod::of_address(scene, at),
        verdict: Verdict::default(),
    };
    object.verdict = verdict(&object);
    object
}

/// Returns the Node with the address.
fn node(scene: &Scene, at: IpAddr) -> Option<String> {
    let mut nodes = scene.input().cluster.nodes();
    let found = nodes.find(|node| node.addresses.contains(&at))?;
    Some(found.name.to_string())
}

/// Returns the Services that request the address.
fn services(scene: &Scene, place: AddressArgument) -> Vec<AddressService> {
    let text = place.address.to_string();
    let port = place.port.map(std::num::NonZeroU16::get);
    let protocol = place.protocol.map(|protocol| protocol.to_string());
    let mut found = Vec::new();
    for name in requesting(scene, place.address) {
        let Some(explained) = scene.explain(&name) else {
            continue;
        };
        let places = places::of(scene, &explained).into_iter();
        let places = places
            .filter(|found| found.address == text)
            .filter(|found| port.is_none() || found.port.is_none() || found.port == port)
            .filter(|found| {
                protocol.is_none() || found.protocol.is_none() || found.protocol == protocol
            });
        found.extend(places.map(|place| AddressService {
            namespace: name.namespace.to_string(),
            name: name.name.to_string(),
            place,
        }));
    }
    found
}

/// Returns the Services that name the address, or that have a node port if the address is this
/// node's.
fn requesting(scene: &Scene, at: IpAddr) -> Vec<ObjectName> {
    let cluster = &scene.input().cluster;
    let own = is_own(scene, at);
    let names = |addresses: &[Parsed<IpAddr>]| {
        (addresses.iter()).any(|address| address.as_result() == Ok(&at))
    };
    let requests = |service: &Service| {
        names(&service.cluster_ips)
            || names(&service.external_ips)
            || names(&service.load_balancer_ips)
            || own && service.ports.iter().any(|port| port.node_port.is_some())
    };
    (cluster.service_names())
        .filter(|name| {
            cluster
                .service(name)
                .is_some_and(|service| requests(&service))
        })
        .cloned()
        .collect()
}

fn is_own(scene: &Scene, at: IpAddr) -> bool {
    scene.interface(at).is_some()
        || (scene.input().cluster.node(&scene.input().config.node_name))
            .is_some_and(|node| node.addresses.contains(&at))
}

/// Returns the virtual servers at the address, desired and live ones.
fn servers(scene: &Scene, place: AddressArgument) -> Vec<AddressServer> {
    let desired = &scene.input().desired;
    let live = scene.live();
    let keys: BTreeSet<VirtualServerKey> = (desired.tables.virtual_servers.keys())
        .chain(
            live.iter()
                .flat_map(|live| live.tables.virtual_servers.keys()),
        )
        .filter(|key| is_at(key, place))
        .copied()
        .collect();
    let found = keys.into_iter().filter_map(|key| {
        let is_desired = desired.tables.virtual_servers.contains_key(&key);
        let found = live.map(|live| live.tables.virtual_servers.get(&key));
        let presence = Presence::of(is_desired, found.map(|found| found.is_some()))?;
        let is_ours = live.is_none_or(|live| planner::is_marked(live, key));
        Some(AddressServer {
            virtual_server: key.to_string(),
            service: desired.owner(key).map(ToString::to_string),
            foreign: scene.is_foreign(&key) || presence == Presence::Unwanted && !is_ours,
            presence,
            real_servers: found.map(|found| found.map_or(0, |entry| entry.real_servers.len())),
        })
    });
    found.collect()
}

fn is_at(key: &VirtualServerKey, place: AddressArgument) -> bool {
    let VirtualServerKey::Address {
        address,
        port,
        protocol,
    } = *key
    else {
        return false;
    };
    address == place.address
        && place.port.is_none_or(|wanted| wanted.get() == port)
        && place.protocol.is_none_or(|wanted| wanted == protocol)
}

/// Returns the entries of our sets with the address, desired and live ones. At an address of this
/// node these are also the entries of the port.
fn set_entries(scene: &Scene, place: AddressArgument) -> Vec<SetEntry> {
    let own = is_own(scene, place.address);
    let is_here = |entry: &Entry| Destination::of(*entry).address() == Some(place.address);
    let wanted = |entry: &Entry| match *entry {
        Entry::Ip(_) => is_here(entry),
        Entry::IpPort(_, protocol, port)
        | Entry::IpPortIp(_, protocol, port, _)
        | Entry::IpPortNet(_, protocol, port, _) => {
            is_here(entry)
                && place.port.is_none_or(|wanted| wanted.get() == port)
                && place
                    .protocol
                    .is_none_or(|wanted| wanted.number() == protocol.0)
        }
        Entry::Port(port) => own && place.port.is_some_and(|wanted| wanted.get() == port),
    };
    let of = |tables: &NodeTables| -> BTreeSet<(SetName, Entry)> {
        (tables.sets.iter())
            .flat_map(|(name, set)| set.entries.iter().map(move |entry| (name.clone(), *entry)))
            .filter(|(_, entry)| wanted(entry))
            .collect()
    };
    let desired = of(&scene.input().desired.tables);
    let live = scene.with(Part::Sets).map(|live| of(&live.tables));
    let all: BTreeSet<_> = (desired.iter())
        .chain(live.iter().flatten())
        .cloned()
        .collect();
    let found = all.into_iter().filter_map(|place| {
        let is_live = live.as_ref().map(|live| live.contains(&place));
        let presence = Presence::of(desired.contains(&place), is_live)?;
        let (set, entry) = place;
        Some(SetEntry {
            set: set.to_string(),
            entry: entry.to_string(),
            presence,
        })
    });
    found.collect()
}

fn verdict(object: &AddressExplanation) -> Verdict {
    let served = || object.services.iter().filter(|found| found.place.served);
    let wrong = (object.virtual_servers.iter())
        .filter(|server| !server.foreign)
        .map(|server| server.presence)
        .chain(object.set_entries.iter().map(|entry| entry.presence))
        .chain(object.device)
        .filter(|presence| matches!(presence, Presence::Missing | Presence::Unwanted))
        .count();
    let text = match served().next() {
        Some(_) => of_services(
            &served()
                .map(|found| (&*found.namespace, &*found.name))
                .collect(),
        ),
        None => elsewhere(object),
    };
    let known = served().next().is_some() || has_holder(object);
    Verdict {
        ok: known && wrong == 0,
        text: match wrong {
            0 => text,
            wrong => format!(
                "{text}; {} missing or unwanted: see ipvsctl diff",
                count(wrong, "entry", "entries")
            ),
        },
    }
}

fn of_services(names: &BTreeSet<(&str, &str)>) -> String {
    const NAMED: usize = 3;
    let named = names.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => format!("served for {}", named.join(", ")),
        more => format!("served for {} and {more} more", named.join(", ")),
    }
}

/// Returns true if something else than a Service has the address.
fn has_holder(object: &AddressExplanation) -> bool {
    !object.endpoints.is_empty()
        || object.interface.is_some()
        || object.node.is_some()
        || object.virtual_servers.iter().any(|server| server.foreign)
}

/// Returns who has an address that is served for no Service.
fn elsewhere(object: &AddressExplanation) -> String {
    let mut holders = Vec::new();
    if let Some(found) = object.services.first() {
        let reason = found.place.reason.as_deref().unwrap_or("not served");
        holders.push(format!(
            "{}/{} asks for it: {reason}",
            found.namespace, found.name
        ));
    }
    if let Some(endpoint) = object.endpoints.first() {
        holders.push(format!(
            "endpoint of {}/{}",
            endpoint.namespace, endpoint.name
        ));
    }
    if holders.is_empty() {
        let on_interface = |name| format!("an address of this node's interface {name}");
        let on_node = |name| format!("an address of Node {name}");
        let interface = object.interface.as_ref().map(on_interface);
        holders.extend(interface.or_else(|| object.node.as_ref().map(on_node)));
    }
    let foreign = object
        .virtual_servers
        .iter()
        .filter(|server| server.foreign)
        .count();
    if foreign > 0 {
        let servers = count(foreign, "virtual server", "virtual servers");
        holders.push(format!("another program has {servers} there"));
    }
    match holders.is_empty() {
        true => "no Service has it".to_owned(),
        false => format!("no Service is served there; {}", holders.join("; ")),
    }
}
