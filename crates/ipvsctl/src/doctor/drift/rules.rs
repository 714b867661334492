//! Missing and changed rules of the packet filter, by their effect.

use std::collections::{BTreeMap, BTreeSet};

use ipvs::{AddressFamily, VirtualServerKey};
use model::rules::{ChainKey, Rules, RulesPatch, Table, Target};
use model::sets::SetKind;
use model::{Desired, ObjectName, Op, Snapshot};

use super::super::facts::{Compared, NodeFacts};
use super::super::process::{Scope, repair};
use super::super::{Diagnosis, Severity, count};
use super::affected::Affected;

/// Effect of chains and jumps, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// Masquerades connections.
    Masquerade,
    /// Masquerades connections to load balancers.
    LoadBalancers,
    /// Masquerades connections to node ports.
    NodePorts,
    /// Accepts forwarded packets.
    Forward,
    /// Accepts health checks and, if configured, served packets.
    Accept,
    /// Enforces source ranges.
    SourceRanges,
    /// Rejects connections to unserved ports.
    Reject,
}

impl Effect {
    /// Returns the effect of one of our chains.
    fn of(table: Table, chain: &str) -> Option<Self> {
        Some(match (table, chain) {
            (Table::Nat, "KUBE-SERVICES" | "KUBE-MARK-MASQ" | "KUBE-POSTROUTING") => {
                Self::Masquerade
            }
            (Table::Nat, "KUBE-LOAD-BALANCER") => Self::LoadBalancers,
            (Table::Nat, "KUBE-NODE-PORT") => Self::NodePorts,
            (Table::Filter, "KUBE-FORWARD") => Self::Forward,
            (Table::Filter, "KUBE-NODE-PORT") => Self::Accept,
            (Table::Filter, "KUBE-IPVS-FILTER") => Self::Reject,
            (
                Table::Filter,
                "KUBE-PROXY-FIREWALL" | "KUBE-SOURCE-RANGES-FIREWALL" | "KUBE-IPVS-OUT-FILTER",
            ) => Self::SourceRanges,
            _ => return None,
        })
    }

    fn users_see(self) -> &'static str {
        match self {
            Self::Masquerade => {
                "the source of connections is not masqueraded: answers take another path and are lost, for connections of \
                 the node itself, from outside, and of a pod to itself"
            }
            Self::LoadBalancers => {
                "the source of connections to load-balancer addresses is not masqueraded, so that answers are lost"
            }
            Self::NodePorts => {
                "the source of connections to node ports is not masqueraded, so that answers of endpoints on other nodes \
                 are lost"
            }
            Self::Forward => {
                "packets to endpoints are dropped if another rule or the policy of chain FORWARD drops them"
            }
            Self::Accept => {
                "health checks, and with acceptServedTraffic all connections, get no answer if chain INPUT drops them"
            }
            Self::SourceRanges => {
                "loadBalancerSourceRanges is not enforced: clients outside of the ranges are admitted"
            }
            Self::Reject => {
                "ports of Service addresses that no Service has reach programs of this node, such as its SSH server"
            }
        }
    }

    /// Returns the Services that the rules affect.
    fn services(
        self,
        desired: &Desired,
        family: AddressFamily,
        accepts_all: bool,
    ) -> BTreeSet<ObjectName> {
        let of_sets = |kinds: &[SetKind]| {
            let affected = Affected::new(desired);
            let sets = kinds
                .iter()
                .filter_map(|kind| desired.tables.sets.get(&kind.name(family)));
            let entries = sets.flat_map(|set| &set.entries);
            entries.flat_map(|entry| affected.of_entry(entry)).collect()
        };
        match self {
            Self::LoadBalancers => of_sets(&[SetKind::LoadBalancer]),
            Self::NodePorts => of_sets(&[
                SetKind::NodePortTcp,
                SetKind::NodePortUdp,
                SetKind::NodePortSctp,
            ]),
            Self::SourceRanges => of_sets(&[SetKind::LoadBalancerFw]),
            Self::Accept if !accepts_all => desired.health_checks.keys().cloned().collect(),
            Self::Masquerade | Self::Forward | Self::Reject | Self::Accept => all(desired, family),
        }
    }
}

/// Returns all Services with a virtual server of `family`.
pub(super) fn all(desired: &Desired, family: AddressFamily) -> BTreeSet<ObjectName> {
    let owners = desired.owners.virtual_servers.iter();
    let of_family = owners.filter(|(key, _)| match key {
        VirtualServerKey::Address { address, .. } => AddressFamily::of(*address) == family,
        VirtualServerKey::Fwmark { .. } => false,
    });
    of_family.map(|(_, owner)| owner.service.clone()).collect()
}

/// Reports the rules that differ, one result for each family and effect.
pub(super) fn diagnoses(facts: &NodeFacts, compared: &Compared, live: &Snapshot) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for planned in compared.plan.ops() {
        let Op::PatchRules(family, patch) = &planned.op else {
            continue;
        };
        // The check `packet-filter` reports rules that cannot be read.
        let Some(rules) = live.tables.rules.get(family) else {
            continue;
        };
        for (effect, lines) in missing(patch, rules) {
            let accepts_all = facts.config.accept_served_traffic;
            let services = effect.services(&compared.input.desired, *family, accepts_all);
            found.push(diagnosis(facts, *family, effect, lines, services));
        }
        found.extend(extra(facts, *family, patch));
    }
    found
}

fn diagnosis(
    facts: &NodeFacts,
    family: AddressFamily,
    effect: Effect,
    lines: Vec<String>,
    services: BTreeSet<ObjectName>,
) -> Diagnosis {
    let found = match lines.len() {
        1 => format!("1 chain or jump of the {family} packet filter is missing or changed"),
        many => {
            format!("{many} chains and jumps of the {family} packet filter are missing or changed")
        }
    };
    let action = format!("{}; see ipvsctl diff", repair(facts, Scope::Audit));
    let severity = match services.is_empty() {
        true => Severity::Warning,
        false => Severity::Problem,
    };
    Diagnosis {
        severity,
        ..Diagnosis::problem("rules", found, effect.users_see(), &action)
    }
    .with(lines)
    .about(services)
}

/// Returns the missing and changed chains and jumps by effect, each as a line.
fn missing(patch: &RulesPatch, live: &Rules) -> BTreeMap<Effect, Vec<String>> {
    let mut by_effect: BTreeMap<Effect, Vec<String>> = BTreeMap::new();
    for (ChainKey { table, chain }, wanted) in &patch.chains {
        let Some(effect) = Effect::of(*table, chain) else {
            continue;
        };
        let there = live.chains.get(&ChainKey::new(*table, chain.clone()));
        let state = match there {
            None => "missing".to_owned(),
            Some(rules) if rules.is_empty() => "empty".to_owned(),
            Some(rules) => format!(
                "changed, {} instead of {}",
                count(rules.len(), "rule"),
                wanted.len()
            ),
        };
        by_effect
            .entry(effect)
            .or_default()
            .push(format!("chain {chain} of table {table}: {state}"));
    }
    for (ChainKey { table, chain }, rule) in &patch.insert_jumps {
        let Target::Jump(to) = &rule.target else {
            continue;
        };
        if let Some(effect) = Effect::of(*table, to) {
            let line = format!("jump {chain} -> {to} of table {table}: missing");
            by_effect.entry(effect).or_default().push(line);
        }
    }
    by_effect
}

/// Reports chains and jumps that kube-ipvsd would delete.
fn extra(facts: &NodeFacts, family: AddressFamily, patch: &RulesPatch) -> Option<Diagnosis> {
    let chains = patch.delete_chains.iter();
    let chains = chains.map(|key| format!("chain {} of table {}", key.chain, key.table));
    let jumps = patch.delete_jumps.iter();
    let jumps = jumps.map(|(key, rule)| format!("{} of table {}: {rule}", key.chain, key.table));
    let lines: Vec<String> = chains.chain(jumps).collect();
    let found = format!(
        "the {family} packet filter has old chains or jumps: {}",
        lines.len()
    );
    (!lines.is_empty()).then(|| {
        let users_see = "packets pass rules that kube-ipvsd does not need";
        let action = format!("{}; see ipvsctl diff", repair(facts, Scope::Audit));
        Diagnosis::warning("rules", found, users_see, &action).with(lines)
    })
}

#[cfg(test)]
mod tests {
    use model::rules::OURS;

    use super::*;

    #[test]
    fn every_chain_of_ours_has_an_effect() {
        for (table, chain) in OURS {
            assert!(Effect::of(table, chain).is_some(), "{table} {chain}");
        }
        assert_eq!(Effect::of(Table::Nat, "PREROUTING"), None);
    }
}
