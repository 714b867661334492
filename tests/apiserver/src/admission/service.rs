//! Services: defaults, fields kept or dropped at an update, families, validation, allocation.

mod allocate;
mod defaults;
mod families;
mod update;
mod validate;

use super::allocations::Allocations;
use super::fields::{map, text};
use super::{verdict, words};
use crate::status::FieldError;
use serde_json::{Value, json};

/// Prepares and checks a Service (`old` is `None` at creation).
pub(super) fn admit(
    new: &mut Value,
    old: Option<&Value>,
    allocations: &Allocations,
) -> Result<(), Vec<FieldError>> {
    map(&mut new["spec"]);
    if old.is_none() {
        new["status"] = json!({"loadBalancer": {}});
    }
    defaults::set_defaults(new);
    if let Some(old) = old {
        update::keep_allocated(&mut new["spec"], &old["spec"]);
        update::drop_by_type(&mut new["spec"], &old["spec"]);
    }
    update::normalize_cluster_ips(&mut new["spec"], old.map(|o| &o["spec"]));
    families::init(&mut new["spec"], old.map(|o| &o["spec"]), allocations)?;
    let mut errors = validate::check(new);
    if let Some(old) = old {
        errors.extend(validate::check_update(new, old));
    }
    verdict(errors)?;
    allocate::allocate(new, allocations)
}

/// Checks the status of a Service (`ValidateLoadBalancerStatus`) and fills in `ipMode`.
pub(super) fn admit_status(new: &mut Value) -> Result<(), Vec<FieldError>> {
    map(&mut new["status"]["loadBalancer"]);
    let is_load_balancer = text(&new["spec"], "type") == "LoadBalancer";
    let mut errors = Vec::new();
    let ingress = new["status"]["loadBalancer"]
        .get_mut("ingress")
        .and_then(Value::as_array_mut);
    for (at, entry) in ingress.into_iter().flatten().enumerate() {
        let path = format!("status.loadBalancer.ingress[{at}]");
        if !is_load_balancer {
            errors.push(FieldError::forbidden(
                "status.loadBalancer.ingress",
                "may only be used when `spec.type` is \"LoadBalancer\"",
            ));
            break;
        }
        let ip = text(entry, "ip").to_owned();
        if ip.is_empty() {
            let host = text(entry, "hostname");
            if !host.is_empty()
                && let Some(why) = words::not_subdomain(host)
            {
                errors.push(FieldError::invalid(format!("{path}.hostname"), host, why));
            }
            if !entry["ipMode"].is_null() {
                errors.push(FieldError::forbidden(
                    format!("{path}.ipMode"),
                    "may not be set when `ip` is not set",
                ));
            }
            continue;
        }
        words::address(&ip, &format!("{path}.ip"), &mut errors);
        if entry["ipMode"].is_null() {
            entry["ipMode"] = json!("VIP");
        } else if !matches!(text(entry, "ipMode"), "VIP" | "Proxy") {
            let mode = entry["ipMode"].clone();
            errors.push(FieldError::not_supported(
                format!("{path}.ipMode"),
                mode,
                &["Proxy", "VIP"],
            ));
        }
    }
    verdict(errors)
}
