//! Text output of the explanations of an address and of a pod.

use super::places::{entry_lines, more};
use super::{SHOWN, endpoints, places, section, verdict};
use crate::output::servers::table;
use crate::schema::{AddressExplanation, AddressServer, AddressService, PodExplanation};
use crate::style;

/// Returns the explanation of an address. Contains escape sequences for colours.
#[must_use]
pub fn address(object: &AddressExplanation) -> String {
    let heading = style::HEADING;
    let mut place = object.address.clone();
    if let Some(port) = object.port {
        place.push_str(&format!(" port {port}"));
    }
    if let Some(protocol) = &object.protocol {
        place.push_str(&format!("/{protocol}"));
    }
    let node_name = &object.node_name;
    let mut text = format!("{heading}Address {place} on node {node_name}{heading:#}\n");
    for line in facts(object) {
        text.push_str(&format!("  {line}\n"));
    }
    section(&mut text, "Services", &services(&object.services));
    section(
        &mut text,
        "Virtual servers",
        &servers(&object.virtual_servers),
    );
    section(&mut text, "Sets", &entry_lines(object.set_entries.iter()));
    section(
        &mut text,
        "Endpoints",
        &endpoints::with_services(&object.endpoints),
    );
    verdict(&mut text, &object.verdict);
    text
}

/// Returns the explanation of a pod. Contains escape sequences for colours.
#[must_use]
pub fn pod(object: &PodExplanation) -> String {
    let heading = style::HEADING;
    let node_name = &object.node_name;
    let addresses =
        std::iter::once(&*object.address).chain(object.other_addresses.iter().map(String::as_str));
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    let pod = match &object.name {
        Some(name) => format!("{name} ({addresses})"),
        None => addresses,
    };
    let mut text = format!("{heading}Pod {pod}, seen from node {node_name}{heading:#}\n");
    if !object.live_known {
        text.push_str("  live state unknown: only the desired tables are explained\n");
    }
    section(
        &mut text,
        "Endpoints",
        &endpoints::with_services(&object.endpoints),
    );
    verdict(&mut text, &object.verdict);
    text
}

fn facts(object: &AddressExplanation) -> Vec<String> {
    let mut facts = Vec::new();
    if !object.live_known {
        facts.push("live state unknown: only the desired tables are explained".to_owned());
    }
    if let Some(presence) = object.device {
        facts.push(format!("on kube-ipvs0: {}", presence.text()));
    }
    if let Some(interface) = &object.interface {
        facts.push(format!("on this node's interface {interface}"));
    }
    if let Some(node) = &object.node {
        facts.push(format!("address of Node {node}"));
    }
    facts
}

fn services(services: &[AddressService]) -> String {
    let rows = services.iter().take(SHOWN).map(|found| {
        vec![
            format!("{}/{}", found.namespace, found.name),
            found.place.kind.text().to_owned(),
            places::address(&found.place),
            places::port_name(&found.place.port_name).to_owned(),
            places::served(&found.place),
        ]
    });
    let titles = ["SERVICE", "KIND", "ADDRESS", "PORT", "SERVED"];
    let mut text = table(&titles, rows.collect(), "");
    more(&mut text, services.len());
    text
}

fn servers(servers: &[AddressServer]) -> String {
    let rows = servers.iter().take(SHOWN).map(|server| {
        let service = match (&server.service, server.foreign) {
            (_, true) => "(another program)".to_owned(),
            (Some(service), false) => service.clone(),
            (None, false) => "(no Service)".to_owned(),
        };
        let reals = (server.real_servers).map_or("-".to_owned(), |number| number.to_string());
        vec![
            server.virtual_server.clone(),
            service,
            match server.foreign {
                true => "foreign".to_owned(),
                false => server.presence.text().to_owned(),
            },
            reals,
        ]
    });
    let titles = ["VIRTUAL SERVER", "SERVICE", "STATE", "REAL SERVERS"];
    let mut text = table(&titles, rows.collect(), "");
    more(&mut text, servers.len());
    text
}
