//! Fields that an update inherits from the stored Service or that a change of type drops (pkg/registry/core/service/strategy.go
//! and storage/storage.go).

use super::validate::{needs_cluster_ip, needs_health_check_port, needs_node_ports};
use crate::admission::fields::{items_mut, list, map, number, set, text, texts};
use serde_json::{Value, json};

/// `patchAllocatedValues`: an update without the allocated values keeps them.
pub(super) fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if text(new, "clusterIP").is_empty() {
            set(new, "clusterIP", text(old, "clusterIP"));
        }
        if texts(new, "clusterIPs").is_empty() && text(new, "clusterIP") == text(old, "clusterIP") {
            set(new, "clusterIPs", texts(old, "clusterIPs"));
        }
    }
    if needs_node_ports(old) && needs_node_ports(new) {
        let before = list(old, "ports");
        for port in items_mut(new, "ports") {
            let same = |p: &&Value| p["port"] == port["port"] && p["protocol"] == port["protocol"];
            if number(port, "nodePort") == 0
                && let Some(before) = before.iter().find(same)
            {
                let kept = number(before, "nodePort");
                set(port, "nodePort", kept);
            }
        }
    }
    if needs_health_check_port(old)
        && needs_health_check_port(new)
        && number(new, "healthCheckNodePort") == 0
    {
        set(
            new,
            "healthCheckNodePort",
            number(old, "healthCheckNodePort"),
        );
    }
}

/// `dropTypeDependentFields`: fields that only the old type used go, unless the update changes them.
pub(super) fn drop_by_type(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) && same_ips(new, old) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            map(new).remove(field);
        }
    }
    let had = number(old, "healthCheckNodePort");
    if needs_node_ports(old) && !needs_node_ports(new) && same_node_ports(new, old) {
        for port in items_mut(new, "ports") {
            set(port, "nodePort", 0);
        }
    }
    if needs_health_check_port(old)
        && !needs_health_check_port(new)
        && number(new, "healthCheckNodePort") == had
    {
        map(new).remove("healthCheckNodePort");
    }
    let (new_type, old_type) = (text(new, "type").to_owned(), text(old, "type"));
    let exposed = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    if !exposed(&new_type) && exposed(old_type) && list(new, "externalIPs").is_empty() {
        drop_unchanged(new, old, "externalTrafficPolicy");
    }
    if old_type == "LoadBalancer" && new_type != "LoadBalancer" {
        drop_unchanged(new, old, "allocateLoadBalancerNodePorts");
        drop_unchanged(new, old, "loadBalancerClass");
    }
    if new_type == "ExternalName" && old_type != "ExternalName" {
        drop_unchanged(new, old, "internalTrafficPolicy");
    }
    if old_type == "ExternalName" && new_type != "ExternalName" {
        drop_unchanged(new, old, "externalName");
    }
}

fn drop_unchanged(new: &mut Value, old: &Value, field: &str) {
    if new[field] == old[field] {
        map(new).remove(field);
    }
}

fn same_ips(new: &Value, old: &Value) -> bool {
    text(new, "clusterIP") == text(old, "clusterIP")
        && texts(new, "clusterIPs") == texts(old, "clusterIPs")
}

fn same_node_ports(new: &Value, old: &Value) -> bool {
    let ports = |spec: &Value| -> Vec<i64> {
        list(spec, "ports")
            .iter()
            .map(|p| number(p, "nodePort"))
            .collect()
    };
    ports(new).iter().all(|p| ports(old).contains(p))
}

/// `NormalizeClusterIPs`: `clusterIP` and `clusterIPs[0]` are two spellings of one field.
pub(super) fn normalize_cluster_ips(new: &mut Value, old: Option<&Value>) {
    let (one, all) = (text(new, "clusterIP").to_owned(), texts(new, "clusterIPs"));
    let Some(old) = old else {
        if !one.is_empty() && all.is_empty() {
            new["clusterIPs"] = json!([one]);
        }
        return;
    };
    let (old_one, old_all) = (text(old, "clusterIP"), texts(old, "clusterIPs"));
    if one.is_empty() && !old_one.is_empty() && all == old_all {
        map(new).remove("clusterIPs");
    } else if one != old_one && all == old_all {
        set(new, "clusterIPs", vec![one]);
    }
}
