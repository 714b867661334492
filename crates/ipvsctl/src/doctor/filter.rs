//! Checks of the packet filter, and of leftovers of kube-proxy's other modes.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use kernel::linux::Variant;
use model::{Code, Level};
use planner::HarmfulRule;

use super::facts::{FilterFacts, NodeFacts};
use super::{Advice, Diagnosis, Severity};

pub(super) fn readable(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "packet-filter";
    let FilterFacts {
        unreadable, used, ..
    } = &facts.filter;
    let diagnosis = match (unreadable, used) {
        (Some(why), _) => Diagnosis::problem(
            check,
            why.clone(),
            "unknown: the rules are not compared; kube-ipvsd cannot masquerade, restrict or refuse connections without them",
            "install iptables in the variant that the node uses (nft or legacy), and the kernel modules for it",
        ),
        (None, Some((_, reason))) => Diagnosis::ok(check, reason.clone()),
        (None, None) => return Vec::new(),
    };
    vec![diagnosis]
}

/// Checks that only the variant in use contains chains of ours.
pub(super) fn variants(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "iptables-variants";
    let FilterFacts { used, holders, .. } = &facts.filter;
    let Some((used, _)) = used else {
        return Vec::new();
    };
    let elsewhere = holders.iter().filter(|(variant, _)| variant != used);
    let elsewhere: BTreeSet<Variant> = elsewhere.map(|(variant, _)| *variant).collect();
    let diagnosis = match elsewhere.first() {
        None if holders.is_empty() => Diagnosis::ok(check, "no chains of a proxy"),
        None => Diagnosis::ok(check, format!("all chains of the proxy are in {used}")),
        Some(other) => Diagnosis::problem(
            check,
            format!("{used} is in use, but {other} contains chains of a proxy too"),
            "packets pass both: old rules masquerade, accept and drop connections in addition to the new ones",
            &format!(
                "set iptablesBackend if {other} is the variant of this node; else the chains of {other} are old: drain and \
                 reboot the node, which removes them"
            ),
        ),
    };
    vec![diagnosis]
}

pub(super) fn leftovers(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "leftovers";
    let Some(leftovers) = &facts.filter.leftovers else {
        return Vec::new();
    };
    let diagnosis = match leftovers.finding(&facts.config.node_name) {
        None => Diagnosis::ok(check, "no leftovers of kube-proxy's other modes"),
        Some(finding) => Diagnosis {
            check,
            severity: Severity::from(finding.code.level()),
            code: Some(Code::OtherModesLeftovers),
            found: finding.problem,
            details: Vec::new(),
            services: BTreeSet::new(),
            advice: Some(Advice {
                users_see: finding.consequence,
                action:
                    "stop kube-proxy on this node, then start kube-ipvsd with --remove-leftovers"
                        .to_owned(),
            }),
        },
    };
    vec![diagnosis]
}

/// Reports rules of other programs that drop packets to Services or keep them from connection
/// tracking.
pub(super) fn harmful(facts: &NodeFacts) -> Vec<Diagnosis> {
    let check = "foreign-rules";
    let Some(live) = facts
        .live
        .as_ref()
        .filter(|live| !live.tables.rules.is_empty())
    else {
        return Vec::new();
    };
    let rules = planner::harmful_rules_with_servers(live, &facts.config);
    if rules.is_empty() {
        let found = "no rule of another program drops packets to Services";
        return vec![Diagnosis::ok(check, found)];
    }
    let diagnoses = rules.into_iter().map(|HarmfulRule { finding, servers }| {
        let consequence = finding.consequence;
        let (users_see, action) = consequence.split_once("; ").unwrap_or((&consequence, ""));
        let severity = match finding.code.level() {
            Level::Info => Severity::Ok,
            Level::Warning | Level::Error => Severity::Problem,
        };
        Diagnosis {
            check,
            severity,
            code: Some(finding.code),
            found: finding.problem,
            details: Vec::new(),
            services: facts.owners(&servers),
            advice: (severity != Severity::Ok).then(|| Advice {
                users_see: users_see.to_owned(),
                action: action.to_owned(),
            }),
        }
    });
    diagnoses.collect()
}
