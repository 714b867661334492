//! Addresses and set entries in explanations.

use std::collections::BTreeSet;

use super::SHOWN;
use crate::output::at_port;
use crate::output::servers::table;
use crate::schema::{Place, Presence, ServiceExplanation, SetEntry};

/// Returns a row for each requested address and port.
pub(super) fn text(object: &ServiceExplanation) -> String {
    let titles = [
        "KIND",
        "ADDRESS",
        "PORT",
        "ENDPOINTS",
        "VIRTUAL SERVER",
        "KUBE-IPVS0",
        "SERVED",
    ];
    let rows = object.addresses.iter().take(SHOWN).map(row).collect();
    let mut text = table(&titles, rows, "The Service requests no address.\n");
    more(&mut text, object.addresses.len());
    text
}

fn row(place: &Place) -> Vec<String> {
    let presence = |presence: Option<Presence>| match presence {
        Some(presence) => presence.text().to_owned(),
        None => "-".to_owned(),
    };
    let endpoints = match place.served {
        true => place.endpoints.to_string(),
        false => "-".to_owned(),
    };
    vec![
        place.kind.text().to_owned(),
        address(place),
        port_name(&place.port_name).to_owned(),
        endpoints,
        presence(place.virtual_server),
        presence(place.device),
        served(place),
    ]
}

/// Returns the name of a port, or `-`.
pub(super) fn port_name(name: &str) -> &str {
    if name.is_empty() { "-" } else { name }
}

/// Returns `10.96.0.10:80/TCP`, or the address of a place without a port.
pub(crate) fn address(place: &Place) -> String {
    let address = &place.address;
    let (Some(port), Some(protocol)) = (place.port, &place.protocol) else {
        return address.clone();
    };
    format!("{}/{protocol}", at_port(address, port))
}

/// Returns how a place is served, or why it is not.
pub(super) fn served(place: &Place) -> String {
    if !place.served {
        let code = place.code.unwrap_or_default();
        let reason = place.reason.as_deref().unwrap_or_default();
        return format!("no: {code} {reason}");
    }
    if place.virtual_server == Some(Presence::Missing) {
        return "no: its virtual server is missing".to_owned();
    }
    if place.local_route == Some(Presence::Missing) {
        return "no: this node has no local route to the address".to_owned();
    }
    let mut text = "yes".to_owned();
    let mut add = |part: &str| {
        text.push_str(", ");
        text.push_str(part);
    };
    if place.policy == Some("Local") {
        add("policy Local");
    }
    if let Some(interface) = &place.interface {
        add(&format!("{interface} has the address too"));
    }
    if place.lacks_local_endpoint {
        add("no endpoint on this node");
    }
    if let Some(ranges) = &place.source_ranges {
        match ranges.is_empty() {
            true => add("no client admitted"),
            false => add(&format!("only from {}", ranges.join(" "))),
        }
    }
    text
}

/// Returns the set entries of all places, each once.
pub(super) fn sets(object: &ServiceExplanation) -> String {
    let entries: BTreeSet<&SetEntry> = (object.addresses.iter())
        .flat_map(|place| &place.set_entries)
        .collect();
    entry_lines(entries.into_iter())
}

/// Returns a row for each set entry.
pub(super) fn entry_lines<'a>(entries: impl Iterator<Item = &'a SetEntry>) -> String {
    let entries: Vec<&SetEntry> = entries.collect();
    let rows: Vec<Vec<String>> = (entries.iter().take(SHOWN))
        .map(|entry| {
            vec![
                entry.set.clone(),
                entry.entry.clone(),
                entry.presence.text().to_owned(),
            ]
        })
        .collect();
    let mut text = table(&["SET", "ENTRY", "STATE"], rows, "");
    more(&mut text, entries.len());
    text
}

/// Adds a line with the number of rows that are not shown.
pub(super) fn more(text: &mut String, all: usize) {
    if all > SHOWN {
        text.push_str(&format!("and {} more: see -o json\n", all - SHOWN));
    }
}
