//! Addresses of a Service.

use std::net::IpAddr;

use model::cluster::{Parsed, TrafficPolicy};
use model::finding::Code;
use model::frontend::{FrontendKind, Sources};
use model::text::Part;
use planner::{RefusedAddress, ServedSite, ServiceExplanation, SiteExplanation, SiteOutcome};

use super::scene::Scene;
use crate::schema::{AddressKind, Place, Presence, SetEntry};

/// Returns the requested addresses and ports, with the addresses that are not served last.
pub(super) fn of(scene: &Scene, explained: &ServiceExplanation) -> Vec<Place> {
    let sites = explained.sites.iter().map(|site| place(scene, site));
    let refused = explained.refused_addresses.iter().map(refused);
    sites.chain(refused).collect()
}

/// Returns the text of an address as the object has it.
pub(super) fn address_text(address: &Parsed<IpAddr>) -> String {
    match address.as_result() {
        Ok(address) => address.to_string(),
        Err(text) => text.to_owned(),
    }
}

fn place(scene: &Scene, site: &SiteExplanation) -> Place {
    let place = Place {
        port: Some(site.port.get()),
        protocol: Some(site.protocol.to_string()),
        port_name: site.port_name.to_string(),
        ..unserved(site.kind, site.address.to_string())
    };
    let not_served = |code: Code, reason: String| Place {
        code: Some(code.as_str()),
        reason: Some(reason),
        ..place.clone()
    };
    match &site.outcome {
        SiteOutcome::Served(served) => match scene.foreign(served) {
            Some(finding) => not_served(finding.code, finding.problem.clone()),
            None => self::served(scene, served, place),
        },
        SiteOutcome::HostPort => not_served(
            Code::HostPort,
            format!("the node itself needs port {}", site.port),
        ),
        SiteOutcome::OverLimit => not_served(
            Code::ServiceLimit,
            "the Service exceeds a limit of serviceLimits".to_owned(),
        ),
        SiteOutcome::Clash(winner) => not_served(
            Code::ServiceClash,
            format!("Service {winner} is served here"),
        ),
    }
}

fn served(scene: &Scene, site: &ServedSite, place: Place) -> Place {
    let ServedSite {
        frontend,
        virtual_server,
        set_entries,
    } = site;
    let server = scene
        .live()
        .map(|live| (live.tables.virtual_servers).contains_key(&virtual_server.key));
    let device = scene
        .with(Part::Addresses)
        .map(|live| live.tables.addresses.contains(&frontend.address));
    Place {
        served: true,
        policy: Some(policy_text(frontend.policy)),
        lacks_local_endpoint: frontend.lacks_local,
        source_ranges: match &frontend.sources {
            Sources::Any => None,
            Sources::Only { ranges, .. } => Some(ranges.iter().map(ToString::to_string).collect()),
        },
        bound: frontend.bind,
        device: (frontend.bind).then(|| Presence::of_desired(device)),
        local_route: (frontend.bind).then(|| scene.local_route(frontend.address)),
        interface: (frontend.bind)
            .then(|| scene.interface(frontend.address))
            .flatten(),
        endpoints: frontend.backends.len(),
        virtual_server: Some(Presence::of_desired(server)),
        set_entries: (set_entries.iter())
            .map(|(set, entry)| SetEntry {
                set: set.to_string(),
                entry: entry.to_string(),
                presence: scene.set_entry(set, entry),
            })
            .collect(),
        ..place
    }
}

fn refused(address: &RefusedAddress) -> Place {
    Place {
        code: Some(address.code.as_str()),
        reason: Some(address.problem.clone()),
        ..unserved(address.kind, address_text(&address.address))
    }
}

fn unserved(kind: FrontendKind, address: String) -> Place {
    Place {
        kind: match kind {
            FrontendKind::ClusterIp => AddressKind::ClusterIP,
            FrontendKind::ExternalIp => AddressKind::ExternalIP,
            FrontendKind::LoadBalancerIp => AddressKind::LoadBalancerIP,
            FrontendKind::NodePort => AddressKind::NodePort,
        },
        address,
        port: None,
        protocol: None,
        port_name: String::new(),
        served: false,
        code: None,
        reason: None,
        policy: None,
        lacks_local_endpoint: false,
        source_ranges: None,
        bound: false,
        device: None,
        local_route: None,
        interface: None,
        endpoints: 0,
        virtual_server: None,
        set_entries: Vec::new(),
    }
}

/// Returns `Cluster` or `Local`.
pub(super) fn policy_text(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
}

/// Returns true if every entry that the place needs exists, as far as is known.
pub(super) fn is_complete(place: &Place) -> bool {
    let entries = place.set_entries.iter().map(|entry| entry.presence);
    (entries
        .chain(place.virtual_server)
        .chain(place.device)
        .chain(place.local_route))
    .all(|presence| presence != Presence::Missing)
}
