//! EndpointSlices.

use super::fields::{default_text, items_mut, list, number, set, text, texts};
use super::{verdict, words};
use crate::status::{Fault, FieldError};
use serde_json::{Value, json};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;

pub(super) fn admit(new: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    for port in items_mut(new, "ports") {
        default_text(port, "protocol", "TCP");
        if port["name"].is_null() {
            port["name"] = json!("");
        }
    }
    // Go's encoder writes both lists even where they are nil.
    for field in ["endpoints", "ports"] {
        if new[field].is_null() {
            new[field] = Value::Null;
        }
    }
    set_generation(new, old);
    let mut errors = Vec::new();
    let family = text(new, "addressType");
    if family.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !matches!(family, "IPv4" | "IPv6" | "FQDN") {
        errors.push(FieldError::not_supported(
            "addressType",
            family,
            &["FQDN", "IPv4", "IPv6"],
        ));
    } else if let Some(old) = old
        && text(old, "addressType") != family
    {
        errors.push(FieldError::invalid(
            "addressType",
            family,
            "field is immutable",
        ));
    }
    check_endpoints(new, family, &mut errors);
    check_ports(new, &mut errors);
    verdict(errors)
}

/// One at creation, one more at every change of anything but annotations and the like.
fn set_generation(new: &mut Value, old: Option<&Value>) {
    let generation = match old {
        None => 1,
        Some(old) => {
            let before = number(&old["metadata"], "generation");
            let same = ["endpoints", "ports", "addressType"]
                .iter()
                .all(|f| old[*f] == new[*f])
                && old["metadata"]["labels"] == new["metadata"]["labels"];
            if same { before } else { before + 1 }
        }
    };
    set(&mut new["metadata"], "generation", generation);
}

fn check_endpoints(slice: &Value, family: &str, errors: &mut Vec<FieldError>) {
    let endpoints = list(slice, "endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(too_many("endpoints", endpoints.len(), MAX_ENDPOINTS));
        return;
    }
    for (at, endpoint) in endpoints.iter().enumerate() {
        let path = format!("endpoints[{at}]");
        let addresses = texts(endpoint, "addresses");
        if addresses.is_empty() {
            errors.push(FieldError::required(
                format!("{path}.addresses"),
                "must contain at least 1 address",
            ));
        } else if addresses.len() > MAX_ADDRESSES {
            errors.push(too_many(
                &format!("{path}.addresses"),
                addresses.len(),
                MAX_ADDRESSES,
            ));
        }
        for (at, address) in addresses.iter().enumerate() {
            check_address(address, family, &format!("{path}.addresses[{at}]"), errors);
        }
        for (field, check) in [
            (
                "nodeName",
                words::not_subdomain as fn(&str) -> Option<String>,
            ),
            ("hostname", words::not_label),
            ("zone", words::not_label_value),
        ] {
            let word = text(endpoint, field);
            if !word.is_empty()
                && let Some(why) = check(word)
            {
                errors.push(FieldError::invalid(format!("{path}.{field}"), word, why));
            }
        }
        check_hints(endpoint, &path, errors);
    }
}

fn check_address(word: &str, family: &str, path: &str, errors: &mut Vec<FieldError>) {
    if family == "FQDN" {
        if let Some(why) = words::not_subdomain(word.strip_suffix('.').unwrap_or(word)) {
            errors.push(FieldError::invalid(path, word, why));
        }
        return;
    }
    let Some(ip) = words::address(word, path, errors) else {
        return;
    };
    if family == "IPv4" && !ip.is_ipv4() {
        errors.push(FieldError::invalid(path, word, "must be an IPv4 address"));
    }
    if family == "IPv6" && !ip.is_ipv6() {
        errors.push(FieldError::invalid(path, word, "must be an IPv6 address"));
    }
    words::check_not_special(ip, word, path, errors);
}

fn check_hints(endpoint: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for field in ["forZones", "forNodes"] {
        let hints = list(&endpoint["hints"], field);
        let path = format!("{path}.hints.{field}");
        if hints.len() > 8 {
            errors.push(too_many(&path, hints.len(), 8));
        }
        for (at, hint) in hints.iter().enumerate() {
            let name = text(hint, "name");
            if hints[..at].iter().any(|h| text(h, "name") == name) {
                errors.push(FieldError::duplicate(format!("{path}[{at}].name"), name));
            }
            if let Some(why) = words::not_label_value(name) {
                errors.push(FieldError::invalid(format!("{path}[{at}].name"), name, why));
            }
        }
    }
}

fn check_ports(slice: &Value, errors: &mut Vec<FieldError>) {
    let ports = list(slice, "ports");
    if ports.len() > MAX_PORTS {
        errors.push(too_many("ports", ports.len(), MAX_PORTS));
        return;
    }
    for (at, port) in ports.iter().enumerate() {
        let path = format!("ports[{at}]");
        let name = text(port, "name");
        if !name.is_empty()
            && let Some(why) = words::not_label(name)
        {
            errors.push(FieldError::invalid(format!("{path}.name"), name, why));
        }
        if ports[..at].iter().any(|p| text(p, "name") == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if !matches!(text(port, "protocol"), "TCP" | "UDP" | "SCTP") {
            errors.push(FieldError::not_supported(
                format!("{path}.protocol"),
                text(port, "protocol"),
                &["SCTP", "TCP", "UDP"],
            ));
        }
        if !port["port"].is_null() {
            words::check_port(number(port, "port"), &format!("{path}.port"), errors);
        }
    }
}

fn too_many(path: &str, found: usize, most: usize) -> FieldError {
    FieldError {
        path: path.to_owned(),
        fault: Fault::TooMany(found, most),
    }
}
