//! Sets, rules, settings and health checks. Entries and rules are in the syntax of `ipset` and
//! `iptables`, and are read back from it.

use std::collections::BTreeMap;

use ipset::text::{print_create, print_entry};
use ipvs::AddressFamily;
use model::text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A set.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpSet {
    /// The name.
    pub name: String,
    /// Type and options in the syntax of `ipset save`: `hash:ip,port family inet maxelem 65536`.
    pub header: String,
    /// Entries in the syntax of `ipset save`.
    pub entries: Vec<String>,
}

/// Health-check node port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Port on the node.
    pub port: u16,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Number of ready endpoints on the node.
    pub local_endpoints: usize,
}

/// Returns the sets of `tables`, ordered by name.
pub(super) fn sets(tables: &model::NodeTables) -> Vec<IpSet> {
    let behind = |line: String, name: &str| {
        let rest = line.split_once(name).map_or("", |(_, rest)| rest);
        rest.trim_start().to_owned()
    };
    (tables.sets.iter())
        .map(|(name, set)| IpSet {
            name: name.to_string(),
            header: behind(print_create(name, &set.header), name.as_str()),
            entries: (set.entries.iter())
                .map(|entry| behind(print_entry(name, entry), name.as_str()))
                .collect(),
        })
        .collect()
}

/// Returns the lines of `iptables-save` and `ip6tables-save`, by family.
pub(super) fn rules(tables: &model::NodeTables) -> BTreeMap<String, Vec<String>> {
    (tables.rules.iter())
        .map(|(family, rules)| (family.to_string(), text::rule_lines(rules)))
        .collect()
}

/// Returns the settings by name.
pub(super) fn sysctls(tables: &model::NodeTables) -> BTreeMap<String, String> {
    (tables.sysctls.iter())
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// Returns the health checks of `desired`, ordered by Service.
pub(super) fn health_checks(desired: &model::Desired) -> Vec<HealthCheck> {
    (desired.health_checks.iter())
        .map(|(service, check)| HealthCheck {
            port: check.port.get(),
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            local_endpoints: check.local_endpoints,
        })
        .collect()
}

/// Returns the sets, rules and settings in the syntax of `model::text`.
pub(super) fn as_text(
    sets: &[IpSet],
    rules: &BTreeMap<String, Vec<String>>,
    sysctls: &BTreeMap<String, String>,
) -> String {
    let mut lines = vec!["# ipset".to_owned()];
    for set in sets {
        lines.push(format!("create {} {}", set.name, set.header));
        let entries = set.entries.iter();
        lines.extend(entries.map(|entry| format!("add {} {entry}", set.name)));
    }
    for (family, heading) in [
        (AddressFamily::Ipv4, "# rules4"),
        (AddressFamily::Ipv6, "# rules6"),
    ] {
        if let Some(rules) = rules.get(&family.to_string()) {
            lines.push(heading.to_owned());
            lines.extend(rules.iter().cloned());
        }
    }
    lines.push("# sysctl".to_owned());
    lines.extend(
        sysctls
            .iter()
            .map(|(name, value)| format!("{name} = {value}")),
    );
    lines.join("\n")
}
