//! Endpoints: the older list of backends.

use super::fields::{default_text, items_mut, list, number, text};
use super::{verdict, words};
use crate::status::FieldError;
use serde_json::Value;

pub(super) fn admit(new: &mut Value) -> Result<(), Vec<FieldError>> {
    for subset in items_mut(new, "subsets") {
        for port in items_mut(subset, "ports") {
            default_text(port, "protocol", "TCP");
        }
    }
    let mut errors = Vec::new();
    for (at, subset) in list(new, "subsets").iter().enumerate() {
        let path = format!("subsets[{at}]");
        let (ready, waiting) = (list(subset, "addresses"), list(subset, "notReadyAddresses"));
        if ready.is_empty() && waiting.is_empty() {
            errors.push(FieldError::required(
                &path,
                "must specify `addresses` or `notReadyAddresses`",
            ));
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", waiting)] {
            for (at, address) in addresses.iter().enumerate() {
                check_address(address, &format!("{path}.{field}[{at}]"), &mut errors);
            }
        }
        let ports = list(subset, "ports");
        for (at, port) in ports.iter().enumerate() {
            check_port(
                port,
                ports.len() > 1,
                &format!("{path}.ports[{at}]"),
                &mut errors,
            );
        }
    }
    verdict(errors)
}

fn check_address(address: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let word = text(address, "ip");
    let path_ip = format!("{path}.ip");
    if let Some(ip) = words::address(word, &path_ip, errors) {
        words::check_not_special(ip, word, &path_ip, errors);
    }
    let hostname = text(address, "hostname");
    if !hostname.is_empty()
        && let Some(why) = words::not_label(hostname)
    {
        errors.push(FieldError::invalid(
            format!("{path}.hostname"),
            hostname,
            why,
        ));
    }
    let node = text(address, "nodeName");
    if !node.is_empty()
        && let Some(why) = words::not_subdomain(node)
    {
        errors.push(FieldError::invalid(format!("{path}.nodeName"), node, why));
    }
}

fn check_port(port: &Value, named: bool, path: &str, errors: &mut Vec<FieldError>) {
    let name = text(port, "name");
    if name.is_empty() && named {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else if !name.is_empty()
        && let Some(why) = words::not_label(name)
    {
        errors.push(FieldError::invalid(format!("{path}.name"), name, why));
    }
    words::check_port(number(port, "port"), &format!("{path}.port"), errors);
    if !matches!(text(port, "protocol"), "TCP" | "UDP" | "SCTP") {
        errors.push(FieldError::not_supported(
            format!("{path}.protocol"),
            text(port, "protocol"),
            &["SCTP", "TCP", "UDP"],
        ));
    }
}
