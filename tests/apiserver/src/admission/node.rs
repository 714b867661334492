//! Nodes: pod ranges and addresses.

use super::fields::{list, map, set, text, texts};
use super::{verdict, words};
use crate::status::FieldError;
use ipnetwork::IpNetwork;
use serde_json::Value;

pub(super) fn admit(new: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    map(&mut new["spec"]);
    map(&mut new["status"]);
    let spec = &mut new["spec"];
    let (one, all) = (text(spec, "podCIDR").to_owned(), texts(spec, "podCIDRs"));
    if all.is_empty() && !one.is_empty() {
        set(spec, "podCIDRs", vec![one]);
    } else if one.is_empty()
        && let Some(first) = all.first()
    {
        set(spec, "podCIDR", first.as_str());
    }
    let mut errors = Vec::new();
    check_pod_ranges(&new["spec"], &mut errors);
    check_addresses(&new["status"], &mut errors);
    if let Some(old) = old {
        let before = texts(&old["spec"], "podCIDRs");
        if !before.is_empty() && before != texts(&new["spec"], "podCIDRs") {
            errors.push(FieldError::forbidden(
                "spec.podCIDRs",
                "node updates may not change podCIDR except from \"\" to valid",
            ));
        }
        let before = text(&old["spec"], "providerID");
        if !before.is_empty() && before != text(&new["spec"], "providerID") {
            errors.push(FieldError::forbidden(
                "spec.providerID",
                "node updates may not change providerID except from \"\" to valid",
            ));
        }
    }
    verdict(errors)
}

fn check_pod_ranges(spec: &Value, errors: &mut Vec<FieldError>) {
    let ranges = texts(spec, "podCIDRs");
    if ranges
        .first()
        .is_some_and(|first| first != text(spec, "podCIDR"))
    {
        errors.push(FieldError::invalid(
            "spec.podCIDRs[0]",
            ranges[0].as_str(),
            "must match `podCIDR`",
        ));
    }
    let mut families = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        match range.parse::<IpNetwork>() {
            Ok(network) if range.contains('/') => families.push(network.is_ipv4()),
            _ => errors.push(FieldError::invalid(
                format!("spec.podCIDRs[{at}]"),
                range.as_str(),
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            )),
        }
    }
    if ranges.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        let all = list(spec, "podCIDRs").to_vec();
        errors.push(FieldError::invalid(
            "spec.podCIDRs",
            all,
            "may specify no more than one CIDR for each IP family",
        ));
    }
}

/// Type and address together are a set; an InternalIP is an address.
fn check_addresses(status: &Value, errors: &mut Vec<FieldError>) {
    let addresses = list(status, "addresses");
    for (at, address) in addresses.iter().enumerate() {
        let path = format!("status.addresses[{at}]");
        if addresses[..at].contains(address) {
            errors.push(FieldError::duplicate(&path, address.clone()));
        }
        if matches!(text(address, "type"), "InternalIP" | "ExternalIP") {
            words::address(text(address, "address"), &format!("{path}.address"), errors);
        }
    }
}
