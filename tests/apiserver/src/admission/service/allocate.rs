//! Cluster IPs and node ports (pkg/registry/core/service/storage/alloc.go).

use super::validate::{needs_cluster_ip, needs_health_check_port, needs_node_ports};
use crate::admission::allocations::Allocations;
use crate::admission::fields::{items_mut, list, number, set, text, texts};
use crate::object::Key;
use crate::status::FieldError;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) fn allocate(service: &mut Value, taken: &Allocations) -> Result<(), Vec<FieldError>> {
    let owner = Key::of(service);
    let spec = &mut service["spec"];
    cluster_ips(spec, &owner, taken)?;
    node_ports(spec, &owner, taken)
}

fn cluster_ips(spec: &mut Value, owner: &Key, taken: &Allocations) -> Result<(), Vec<FieldError>> {
    if !needs_cluster_ip(spec) || text(spec, "clusterIP") == "None" {
        return Ok(());
    }
    let mut ips = texts(spec, "clusterIPs");
    for (at, family) in texts(spec, "ipFamilies").iter().enumerate() {
        if let Some(word) = ips.get(at) {
            let refused = word
                .parse::<IpAddr>()
                .ok()
                .and_then(|ip| taken.refuse_ip(ip, owner));
            if let Some(why) = refused {
                let all = list(spec, "clusterIPs").to_vec();
                let why = format!("failed to allocate IP {word}: {why}");
                return Err(vec![FieldError::invalid("spec.clusterIPs", all, why)]);
            }
        } else {
            let Some(ip) = taken.free_ip(family == "IPv4") else {
                let why = "failed to allocate a serviceIP: range is full";
                return Err(vec![FieldError::invalid(
                    "spec.clusterIPs",
                    json!(ips),
                    why,
                )]);
            };
            ips.push(ip.to_string());
        }
    }
    set(spec, "clusterIP", ips.first().map_or("", String::as_str));
    set(spec, "clusterIPs", ips);
    Ok(())
}

fn node_ports(spec: &mut Value, owner: &Key, taken: &Allocations) -> Result<(), Vec<FieldError>> {
    let mut chosen = BTreeSet::new();
    let mut errors = Vec::new();
    for (at, port) in list(spec, "ports").iter().enumerate() {
        if let Some(asked) = asked_port(port, "nodePort") {
            if let Some(why) = taken.refuse_port(asked, owner) {
                errors.push(FieldError::invalid(
                    format!("spec.ports[{at}].nodePort"),
                    asked,
                    why,
                ));
            }
            chosen.insert(asked);
        }
    }
    if let Some(asked) = asked_port(spec, "healthCheckNodePort") {
        if let Some(why) = taken.refuse_port(asked, owner) {
            errors.push(FieldError::invalid("spec.healthCheckNodePort", asked, why));
        }
        chosen.insert(asked);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let full = || {
        vec![FieldError::invalid(
            "spec.ports",
            0,
            "failed to allocate a nodePort: range is full",
        )]
    };
    if needs_node_ports(spec) {
        // TCP and UDP of one port number share a node port, as in the real allocator.
        let mut shared: Vec<(i64, String, u16)> = Vec::new();
        for port in items_mut(spec, "ports") {
            let (number_, protocol) = (number(port, "port"), text(port, "protocol").to_owned());
            let given = asked_port(port, "nodePort").or_else(|| {
                shared
                    .iter()
                    .find(|(n, p, _)| *n == number_ && *p != protocol)
                    .map(|(.., given)| *given)
            });
            let given = given
                .or_else(|| taken.free_port(&chosen))
                .ok_or_else(full)?;
            chosen.insert(given);
            shared.push((number_, protocol, given));
            set(port, "nodePort", given);
        }
    }
    if needs_health_check_port(spec) && number(spec, "healthCheckNodePort") == 0 {
        let given = taken.free_port(&chosen).ok_or_else(full)?;
        set(spec, "healthCheckNodePort", given);
    }
    Ok(())
}

fn asked_port(object: &Value, field: &str) -> Option<u16> {
    u16::try_from(number(object, field))
        .ok()
        .filter(|p| *p != 0)
}
