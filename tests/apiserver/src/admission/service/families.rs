//! `initIPFamilyFields` (pkg/registry/core/service/storage/alloc.go).

use super::validate::check_cluster_ips;
use crate::admission::allocations::Allocations;
use crate::admission::fields::{list, set, text, texts};
use crate::admission::verdict;
use crate::status::FieldError;
use serde_json::Value;
use std::net::IpAddr;

pub(super) fn init(
    new: &mut Value,
    old: Option<&Value>,
    cluster: &Allocations,
) -> Result<(), Vec<FieldError>> {
    if text(new, "type") == "ExternalName" || old.is_some_and(|old| unchanged_prefer_dual(new, old))
    {
        return Ok(());
    }
    let selectorless_headless = text(new, "clusterIP") == "None"
        && new["selector"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
    if text(new, "ipFamilyPolicy").is_empty() {
        let inherited = old
            .map(|o| text(o, "ipFamilyPolicy"))
            .filter(|p| !p.is_empty());
        let policy = inherited.unwrap_or(if selectorless_headless {
            "RequireDualStack"
        } else {
            "SingleStack"
        });
        set(new, "ipFamilyPolicy", policy);
    }
    let mut errors = Vec::new();
    check_cluster_ips(new, &mut errors);
    verdict(errors)?;
    if let Some(old) = old {
        shrink(new, old)?;
    }
    infer(new, cluster)?;

    let single = text(new, "ipFamilyPolicy") == "SingleStack";
    let default = family_name(cluster.primary_is_ipv4());
    if selectorless_headless {
        if texts(new, "ipFamilies").is_empty() {
            set(new, "ipFamilies", vec![default]);
        }
        if !single {
            add_other_family(new);
        }
        return Ok(());
    }
    let mut errors = Vec::new();
    if text(new, "ipFamilyPolicy") == "RequireDualStack" && !cluster.is_dual() {
        let policy = new["ipFamilyPolicy"].clone();
        let why = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy, why));
    }
    for (at, family) in texts(new, "ipFamilies").iter().enumerate() {
        if !cluster.has_family(family == "IPv4") {
            let path = format!("spec.ipFamilies[{at}]");
            errors.push(FieldError::invalid(
                path,
                family.as_str(),
                "not configured on this cluster",
            ));
        }
    }
    verdict(errors)?;
    if texts(new, "ipFamilies").is_empty() {
        set(new, "ipFamilies", vec![default]);
    }
    if !single && cluster.is_dual() {
        add_other_family(new);
    }
    Ok(())
}

/// A Service that prefers two stacks is not changed by an update that says nothing about them.
fn unchanged_prefer_dual(new: &Value, old: &Value) -> bool {
    let fields = [
        "type",
        "ipFamilyPolicy",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
    ];
    text(new, "ipFamilyPolicy") == "PreferDualStack" && fields.iter().all(|f| new[*f] == old[*f])
}

fn shrink(new: &mut Value, old: &Value) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (now, before) = (texts(new, field), texts(old, field));
        if text(new, "ipFamilyPolicy") == "SingleStack" {
            if now == before && now.len() > 1 {
                set(new, field, vec![now[0].as_str()]);
            }
        } else if !now.is_empty() && now.len() < before.len() {
            let policy = new["ipFamilyPolicy"].clone();
            let why = format!("must be 'SingleStack' to release the secondary {what}");
            errors.push(FieldError::invalid("spec.ipFamilyPolicy", policy, why));
        }
    }
    verdict(errors)
}

fn infer(new: &mut Value, cluster: &Allocations) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    let ips = texts(new, "clusterIPs");
    let mut families = texts(new, "ipFamilies");
    if text(new, "ipFamilyPolicy") == "SingleStack" {
        for (many, what) in [
            (ips.len() == 2, "cluster IPs"),
            (families.len() == 2, "IP families"),
        ] {
            if many {
                let why = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                );
                errors.push(FieldError::invalid(
                    "spec.ipFamilyPolicy",
                    "SingleStack",
                    why,
                ));
            }
        }
    }
    for (at, ip) in ips.iter().enumerate().skip(families.len()) {
        let Ok(ip) = ip.parse::<IpAddr>() else { break };
        let family = family_name(ip.is_ipv4());
        if cluster.has_family(ip.is_ipv4()) {
            families.push(family.to_owned());
        } else {
            let path = format!("spec.clusterIPs[{at}]");
            let all = list(new, "clusterIPs").to_vec();
            errors.push(FieldError::invalid(
                path,
                all,
                format!("{family} is not configured on this cluster"),
            ));
        }
    }
    set(new, "ipFamilies", families);
    verdict(errors)
}

fn add_other_family(new: &mut Value) {
    let mut families = texts(new, "ipFamilies");
    if let [one] = families.as_slice() {
        let other = family_name(one != "IPv4");
        families.push(other.to_owned());
        set(new, "ipFamilies", families);
    }
}

fn family_name(ipv4: bool) -> &'static str {
    if ipv4 { "IPv4" } else { "IPv6" }
}
