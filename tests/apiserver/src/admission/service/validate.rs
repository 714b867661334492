//! `ValidateService` and `ValidateServiceUpdate` (pkg/apis/core/validation/validation.go).

use crate::admission::fields::{list, number, text, texts};
use crate::admission::words;
use crate::status::FieldError;
use ipnetwork::IpNetwork;
use serde_json::Value;

/// Returns true if this type has cluster IPs (one of which may be `None`).
pub(super) fn needs_cluster_ip(spec: &Value) -> bool {
    matches!(
        text(spec, "type"),
        "ClusterIP" | "NodePort" | "LoadBalancer"
    )
}

/// Returns true if every port gets a node port.
pub(super) fn needs_node_ports(spec: &Value) -> bool {
    match text(spec, "type") {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"] != Value::Bool(false),
        _ => false,
    }
}

/// Returns true if there is a health check node port.
pub(super) fn needs_health_check_port(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

pub(super) fn check(service: &Value) -> Vec<FieldError> {
    let spec = &service["spec"];
    let mut errors = Vec::new();
    let kind = text(spec, "type");
    match kind {
        "ClusterIP" | "NodePort" => {}
        "LoadBalancer" if text(spec, "clusterIP") == "None" => {
            errors.push(FieldError::invalid(
                "spec.clusterIPs[0]",
                "None",
                "may not be set to 'None' for LoadBalancer services",
            ));
        }
        "LoadBalancer" => {}
        "ExternalName" => check_external_name(spec, &mut errors),
        other => errors.push(FieldError::not_supported(
            "spec.type",
            other,
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        )),
    }
    if kind == "NodePort" && text(spec, "clusterIP") == "None" {
        errors.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            "None",
            "may not be set to 'None' for NodePort services",
        ));
    }
    check_ports(spec, &mut errors);
    words::check_labels(&spec["selector"], "spec.selector", &mut errors);
    check_affinity(spec, &mut errors);
    check_cluster_ips(spec, &mut errors);
    for (at, word) in texts(spec, "externalIPs").iter().enumerate() {
        let path = format!("spec.externalIPs[{at}]");
        if let Some(ip) = words::address(word, &path, &mut errors) {
            words::check_not_special(ip, word, &path, &mut errors);
        }
    }
    check_load_balancer(spec, &mut errors);
    check_policies(spec, &mut errors);
    errors
}

fn check_external_name(spec: &Value, errors: &mut Vec<FieldError>) {
    if !texts(spec, "clusterIPs").is_empty() || !text(spec, "clusterIP").is_empty() {
        errors.push(FieldError::forbidden(
            "spec.clusterIPs",
            "may not be set for ExternalName services",
        ));
    }
    for field in ["ipFamilies", "ipFamilyPolicy"] {
        if !spec[field].is_null() {
            errors.push(FieldError::forbidden(
                format!("spec.{field}"),
                "may not be set for ExternalName services",
            ));
        }
    }
    let name = text(spec, "externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        errors.push(FieldError::required("spec.externalName", ""));
    } else if let Some(why) = words::not_subdomain(name) {
        errors.push(FieldError::invalid("spec.externalName", name, why));
    }
}

fn check_ports(spec: &Value, errors: &mut Vec<FieldError>) {
    let ports = list(spec, "ports");
    let kind = text(spec, "type");
    if ports.is_empty() && text(spec, "clusterIP") != "None" && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    for (at, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{at}]");
        let earlier = &ports[..at];
        let name = text(port, "name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(FieldError::required(format!("{path}.name"), ""));
            }
        } else {
            if let Some(why) = words::not_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, why));
            }
            if earlier.iter().any(|p| text(p, "name") == name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        words::check_port(number(port, "port"), &format!("{path}.port"), errors);
        if !matches!(text(port, "protocol"), "TCP" | "UDP" | "SCTP") {
            errors.push(FieldError::not_supported(
                format!("{path}.protocol"),
                text(port, "protocol"),
                &["SCTP", "TCP", "UDP"],
            ));
        }
        check_target_port(&port["targetPort"], &format!("{path}.targetPort"), errors);
        if earlier
            .iter()
            .any(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"])
        {
            let value = serde_json::json!({"port": port["port"], "protocol": port["protocol"]});
            errors.push(FieldError::duplicate(&path, value));
        }
        let node_port = number(port, "nodePort");
        if node_port != 0 {
            let path = format!("{path}.nodePort");
            if !matches!(kind, "NodePort" | "LoadBalancer") {
                errors.push(FieldError::forbidden(
                    &path,
                    format!("may not be used when `type` is '{kind}'"),
                ));
            } else if earlier
                .iter()
                .any(|p| number(p, "nodePort") == node_port && p["protocol"] == port["protocol"])
            {
                errors.push(FieldError::duplicate(&path, node_port));
            }
        }
    }
}

fn check_target_port(target: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match target {
        Value::Number(n) => words::check_port(n.as_i64().unwrap_or_default(), path, errors),
        Value::String(name) => {
            if let Some(why) = words::not_port_name(name) {
                errors.push(FieldError::invalid(path, name.as_str(), why));
            }
        }
        _ => {}
    }
}

fn check_affinity(spec: &Value, errors: &mut Vec<FieldError>) {
    match text(spec, "sessionAffinity") {
        "None" => {}
        "ClientIP" => {
            let timeout = number(&spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds");
            if !(1..=86400).contains(&timeout) {
                errors.push(FieldError::invalid(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                    timeout,
                    "must be greater than 0 and less than 86400",
                ));
            }
        }
        other => errors.push(FieldError::not_supported(
            "spec.sessionAffinity",
            other,
            &["ClientIP", "None"],
        )),
    }
}

/// `ValidateServiceClusterIPsRelatedFields`.
pub(super) fn check_cluster_ips(spec: &Value, errors: &mut Vec<FieldError>) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let (ips, families) = (texts(spec, "clusterIPs"), texts(spec, "ipFamilies"));
    let one = text(spec, "clusterIP");
    if ips.first().is_some_and(|first| first != one) {
        errors.push(FieldError::invalid(
            "spec.clusterIPs",
            list(spec, "clusterIPs").to_vec(),
            "first value must match `clusterIP`",
        ));
    }
    if families.len() > 2 {
        errors.push(FieldError::invalid(
            "spec.ipFamilies",
            families.clone(),
            "may only hold up to 2 values",
        ));
    }
    for (at, family) in families.iter().enumerate() {
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(
                format!("spec.ipFamilies[{at}]"),
                family.as_str(),
                &["IPv4", "IPv6"],
            ));
        } else if families[..at].contains(family) {
            errors.push(FieldError::duplicate(
                format!("spec.ipFamilies[{at}]"),
                family.as_str(),
            ));
        }
    }
    let policy = text(spec, "ipFamilyPolicy");
    if !matches!(
        policy,
        "" | "SingleStack" | "PreferDualStack" | "RequireDualStack"
    ) {
        errors.push(FieldError::not_supported(
            "spec.ipFamilyPolicy",
            policy,
            &["PreferDualStack", "RequireDualStack", "SingleStack"],
        ));
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(
            "spec.clusterIPs",
            ips.clone(),
            "may only hold up to 2 values",
        ));
    }
    let mut seen = Vec::new();
    for (at, word) in ips.iter().enumerate() {
        let path = format!("spec.clusterIPs[{at}]");
        if word == "None" {
            if ips.len() > 1 {
                errors.push(FieldError::invalid(
                    path,
                    "None",
                    "may not be set together with other values",
                ));
            }
            continue;
        }
        let Some(ip) = words::address(word, &path, errors) else {
            continue;
        };
        if families
            .get(at)
            .is_some_and(|f| (f == "IPv4") != ip.is_ipv4())
        {
            let family = families[at].as_str();
            errors.push(FieldError::invalid(
                path,
                word.as_str(),
                format!("expected an {family} value as indicated by `ipFamilies[{at}]`"),
            ));
        } else if seen.contains(&ip.is_ipv4()) {
            errors.push(FieldError::invalid(
                "spec.clusterIPs",
                ips.clone(),
                "may specify no more than one IP for each IP family",
            ));
        }
        seen.push(ip.is_ipv4());
    }
}

fn check_load_balancer(spec: &Value, errors: &mut Vec<FieldError>) {
    let is = text(spec, "type") == "LoadBalancer";
    let ranges = texts(spec, "loadBalancerSourceRanges");
    if !ranges.is_empty() && !is {
        errors.push(FieldError::forbidden(
            "spec.LoadBalancerSourceRanges",
            "may only be used when `type` is 'LoadBalancer'",
        ));
    }
    for (at, range) in ranges.iter().enumerate() {
        if !range.contains('/') || range.trim().parse::<IpNetwork>().is_err() {
            errors.push(FieldError::invalid(
                format!("spec.loadBalancerSourceRanges[{at}]"),
                range.as_str(),
                "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ));
        }
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if !spec[field].is_null() && !is {
            errors.push(FieldError::forbidden(
                format!("spec.{field}"),
                "may only be used when `type` is 'LoadBalancer'",
            ));
        }
    }
    let class = text(spec, "loadBalancerClass");
    if !class.is_empty()
        && let Some(why) = words::not_qualified_name(class)
    {
        errors.push(FieldError::invalid("spec.loadBalancerClass", class, why));
    }
}

fn check_policies(spec: &Value, errors: &mut Vec<FieldError>) {
    let exposed = matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
        || (text(spec, "type") == "ClusterIP" && !list(spec, "externalIPs").is_empty());
    let external = text(spec, "externalTrafficPolicy");
    if exposed {
        if !matches!(external, "" | "Cluster" | "Local") {
            errors.push(FieldError::not_supported(
                "spec.externalTrafficPolicy",
                external,
                &["Cluster", "Local"],
            ));
        }
    } else if !external.is_empty() {
        errors.push(FieldError::invalid(
            "spec.externalTrafficPolicy",
            external,
            "may only be set for externally-accessible services",
        ));
    }
    let internal = text(spec, "internalTrafficPolicy");
    if text(spec, "type") != "ExternalName" && !matches!(internal, "Cluster" | "Local") {
        errors.push(FieldError::not_supported(
            "spec.internalTrafficPolicy",
            internal,
            &["Cluster", "Local"],
        ));
    }
    let health = number(spec, "healthCheckNodePort");
    if health != 0 {
        if needs_health_check_port(spec) {
            words::check_port(health, "spec.healthCheckNodePort", errors);
        } else {
            errors.push(FieldError::invalid(
                "spec.healthCheckNodePort",
                health,
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
            ));
        }
    }
    let distribution = text(spec, "trafficDistribution");
    if !matches!(
        distribution,
        "" | "PreferClose" | "PreferSameZone" | "PreferSameNode"
    ) {
        errors.push(FieldError::not_supported(
            "spec.trafficDistribution",
            distribution,
            &["PreferClose", "PreferSameNode", "PreferSameZone"],
        ));
    }
}

/// Checks the fields that an update may not change.
pub(super) fn check_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let (new, old) = (&new["spec"], &old["spec"]);
    let mut errors = Vec::new();
    let both = needs_cluster_ip(new) && needs_cluster_ip(old);
    let (now, before) = (texts(new, "clusterIPs"), texts(old, "clusterIPs"));
    if both {
        for at in 0..now.len().min(before.len()) {
            if now[at] != before[at] {
                errors.push(FieldError::invalid(
                    format!("spec.clusterIPs[{at}]"),
                    now.clone(),
                    "may not change once set",
                ));
            }
        }
        let (now, before) = (texts(new, "ipFamilies"), texts(old, "ipFamilies"));
        for at in 0..now.len().min(before.len()) {
            if now[at] != before[at] {
                errors.push(FieldError::invalid(
                    format!("spec.ipFamilies[{at}]"),
                    now.clone(),
                    "may not change once set",
                ));
            }
        }
    }
    if needs_health_check_port(new)
        && needs_health_check_port(old)
        && new["healthCheckNodePort"] != old["healthCheckNodePort"]
    {
        errors.push(FieldError::invalid(
            "spec.healthCheckNodePort",
            new["healthCheckNodePort"].clone(),
            "field is immutable",
        ));
    }
    if text(new, "type") == "LoadBalancer"
        && text(old, "type") == "LoadBalancer"
        && new["loadBalancerClass"] != old["loadBalancerClass"]
    {
        errors.push(FieldError::invalid(
            "spec.loadBalancerClass",
            new["loadBalancerClass"].clone(),
            "may not change once set",
        ));
    }
    errors
}
