//! The explanation of a Service.

use std::collections::BTreeSet;

use ipvs::AddressFamily;
use model::cluster::ServiceKind;
use model::sets::SetKind;
use model::tables::TableKeys;
use model::text::rule_lines;
use model::{Desired, ObjectName, Op, PlannedOp, Reason};
use planner::{ServedSite, ServiceExplanation, SiteOutcome};

use super::scene::Scene;
use super::{endpoints, places, verdict};
use crate::schema::{self, API_VERSION, Change, DaemonChange, LastChange};

/// Returns the explanation of a Service.
pub(super) fn explanation(
    scene: &Scene,
    explained: &ServiceExplanation,
) -> schema::ServiceExplanation {
    let service = &explained.service;
    let served: Vec<&ServedSite> = served(explained).collect();
    let drift = drift(scene, &service.name, &served);
    let mut object = schema::ServiceExplanation {
        api_version: API_VERSION,
        kind: "ServiceExplanation",
        node_name: scene.input().config.node_name.to_string(),
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        service_type: type_text(explained),
        internal_traffic_policy: places::policy_text(service.internal_policy),
        external_traffic_policy: places::policy_text(service.external_policy),
        affinity_seconds: service.affinity.map(|affinity| affinity.as_secs()),
        scheduler: (served.first()).map(|site| site.virtual_server.scheduler.0.to_string()),
        slices: explained.slices,
        health_check: explained
            .health_check
            .as_ref()
            .map(|check| schema::ServiceHealthCheck {
                port: check.port.get(),
                local_endpoints: check.local_endpoints,
            }),
        live_known: scene.live().is_some(),
        addresses: places::of(scene, explained),
        endpoints: endpoints::of(scene, explained),
        rules: rules(&scene.input().desired, &served),
        findings: findings(scene, explained),
        drift,
        node_drift: node_drift(scene),
        last_change: scene.last_change(&service.name).map(LastChange::from),
        verdict: schema::Verdict::default(),
    };
    object.verdict = verdict::of_service(&object);
    object
}

fn served(explained: &ServiceExplanation) -> impl Iterator<Item = &ServedSite> {
    explained
        .sites
        .iter()
        .filter_map(|site| match &site.outcome {
            SiteOutcome::Served(served) => Some(&**served),
            _ => None,
        })
}

fn type_text(explained: &ServiceExplanation) -> &'static str {
    match explained.service.kind {
        ServiceKind::ExternalName => "ExternalName",
        _ if explained.service.cluster_ips.is_empty() => "Headless",
        ServiceKind::ClusterIp => "ClusterIP",
        ServiceKind::NodePort => "NodePort",
        ServiceKind::LoadBalancer => "LoadBalancer",
    }
}

/// Returns the findings about the Service and its slices, and those about its clashes.
fn findings(scene: &Scene, explained: &ServiceExplanation) -> Vec<schema::Finding> {
    let own = explained.findings.iter();
    let name = &explained.service.name;
    let others = (scene.input().findings.iter())
        .filter(|finding| finding.kind == "Service" && finding.object == *name)
        .filter(|finding| !explained.findings.contains(finding));
    let foreign = served(explained).filter_map(|site| scene.foreign(site));
    let mut all: Vec<&model::Finding> = own.chain(others).chain(foreign).collect();
    all.sort_by(|a, b| b.code.level().cmp(&a.code.level()).then_with(|| a.cmp(b)));
    all.dedup();
    all.into_iter().map(schema::Finding::from).collect()
}

/// Returns the rules that match packets to the served addresses, and those that masquerade, as
/// arguments of `iptables` and `ip6tables`, in the order of the tables.
fn rules(desired: &Desired, served: &[&ServedSite]) -> Vec<String> {
    let sets: BTreeSet<&str> = (served.iter())
        .flat_map(|site| &site.set_entries)
        .map(|(set, _)| set.as_str())
        .collect();
    let families: BTreeSet<AddressFamily> = (served.iter())
        .map(|site| AddressFamily::of(site.frontend.address))
        .collect();
    let mut lines = Vec::new();
    for family in families {
        let Some(rules) = desired.tables.rules.get(&family) else {
            continue;
        };
        let program = match family {
            AddressFamily::Ipv4 => "iptables",
            AddressFamily::Ipv6 => "ip6tables",
        };
        let devices = SetKind::IpvsIps.name(family);
        let mut table = String::new();
        for line in rule_lines(rules) {
            if let Some(name) = line.strip_prefix('*') {
                name.clone_into(&mut table);
            } else if matches(&line, &sets, devices.as_str()) {
                lines.push(format!("{program} -t {table} {}", without_comment(&line)));
            }
        }
    }
    lines
}

/// Returns true if `rule` matches packets to an address in all of its sets, or masquerades.
///
/// `sets` are the sets with the address. The set `devices` has every address of the device, so it
/// selects no Service by itself.
fn matches(rule: &str, sets: &BTreeSet<&str>, devices: &str) -> bool {
    let words: Vec<&str> = rule.split(' ').collect();
    let mut named = words
        .windows(3)
        .filter(|words| words[1] == "--match-set")
        .peekable();
    if named.peek().is_none() {
        return words.windows(2).any(|pair| pair == ["-j", "MASQUERADE"]);
    }
    let required: Vec<&str> = named
        .filter(|words| words[0] != "!")
        .map(|words| words[2])
        .collect();
    required.iter().any(|set| *set != devices) && required.iter().all(|set| sets.contains(set))
}

/// Returns a rule without its comment.
fn without_comment(rule: &str) -> String {
    let Some((before, rest)) = rule.split_once(" -m comment --comment ") else {
        return rule.to_owned();
    };
    let after = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map_or("", |(_, after)| after),
        None => rest
            .split_once(' ')
            .map_or("", |(_, after)| after)
            .trim_start(),
    };
    format!("{before} {}", after.trim_start())
        .trim_end()
        .to_owned()
}

/// Returns the planned changes of the entries of `service`. A change belongs to the Service if it
/// names it as owner, or changes an entry that a served address needs. The end of a drain is no
/// drift.
fn drift(scene: &Scene, service: &ObjectName, served: &[&ServedSite]) -> Vec<Change> {
    if scene.live().is_none() {
        return Vec::new();
    }
    let needed = needed(served);
    let is_of_service = |planned: &&PlannedOp| match &planned.owner {
        Some(owner) => owner.service == *service,
        None => !is_of_node(&planned.op) && needed.touches(&planned.op.keys()),
    };
    let is_drain =
        |planned: &&PlannedOp| matches!(planned.reason, Reason::Drained | Reason::DrainExpired);
    let ops = (scene.view().plan.ops())
        .filter(is_of_service)
        .filter(|planned| !is_drain(planned));
    ops.map(Change::from).collect()
}

/// Returns the keys of the entries that `served` need.
fn needed(served: &[&ServedSite]) -> TableKeys {
    TableKeys {
        virtual_servers: served.iter().map(|site| site.virtual_server.key).collect(),
        addresses: (served.iter().filter(|site| site.frontend.bind))
            .map(|site| site.frontend.address)
            .collect(),
        entries: (served.iter())
            .flat_map(|site| site.set_entries.clone())
            .collect(),
        ..TableKeys::default()
    }
}

/// Returns the number of planned changes that concern all Services.
fn node_drift(scene: &Scene) -> usize {
    match scene.live() {
        Some(_) => (scene.view().plan.ops())
            .filter(|planned| is_of_node(&planned.op))
            .count(),
        None => 0,
    }
}

fn is_of_node(op: &Op) -> bool {
    matches!(
        op,
        Op::SetSysctl(..)
            | Op::SetTimeouts(_)
            | Op::StopSyncDaemon(_)
            | Op::StartSyncDaemon(_)
            | Op::CreateSet(..)
            | Op::ReplaceSet(..)
            | Op::DestroySet(_)
            | Op::PatchRules(..)
            | Op::EnsureDevice
    )
}

impl From<DaemonChange> for LastChange {
    fn from(change: DaemonChange) -> Self {
        let DaemonChange {
            time,
            effect,
            line,
            reason,
            service: _,
            cause,
            latency_seconds,
        } = change;
        Self {
            time,
            effect,
            line,
            reason,
            cause,
            latency_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_if_all_its_sets_have_the_address() {
        let sets = BTreeSet::from(["KUBE-CLUSTER-IP", "KUBE-IPVS-IPS"]);
        for (rule, expected) in [
            (
                "-A A -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
                true,
            ),
            (
                "-A A -m set --match-set KUBE-LOAD-BALANCER dst,dst -j B",
                false,
            ),
            ("-A A -m set --match-set KUBE-IPVS-IPS dst -j REJECT", false),
            (
                "-A A -m set --match-set KUBE-CLUSTER-IP dst,dst -m set ! --match-set OTHER src -j B",
                true,
            ),
            (
                "-A A -m set --match-set KUBE-IPVS-IPS src -m set --match-set OTHER dst -j B",
                false,
            ),
            ("-A KUBE-POSTROUTING -j MASQUERADE --random-fully", true),
            ("-A KUBE-FORWARD -j ACCEPT", false),
        ] {
            assert_eq!(matches(rule, &sets, "KUBE-IPVS-IPS"), expected, "{rule}");
        }
    }

    #[test]
    fn a_rule_is_printed_without_its_comment() {
        for (rule, expected) in [
            ("-A A -j B", "-A A -j B"),
            (
                r#"-A A -m comment --comment "a b" -m set --match-set S dst -j B"#,
                "-A A -m set --match-set S dst -j B",
            ),
            ("-A A -m comment --comment word -j B", "-A A -j B"),
            (r#"-A A -j B -m comment --comment "a b""#, "-A A -j B"),
        ] {
            assert_eq!(without_comment(rule), expected, "{rule}");
        }
    }
}
