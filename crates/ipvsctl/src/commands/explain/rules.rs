//! Rules that match packets of a Service.

use std::collections::BTreeSet;

use ipset::SetName;
use ipvs::AddressFamily;
use model::Desired;
use model::rules::{Match, Rule, Target};
use model::sets::SetKind;
use planner::ServedSite;

/// Returns the rules that match packets to the served addresses, and those that masquerade, as
/// arguments of `iptables` and `ip6tables` without comments, by table and chain.
pub(super) fn of(desired: &Desired, served: &[&ServedSite]) -> Vec<String> {
    let sets: BTreeSet<&SetName> = (served.iter())
        .flat_map(|site| &site.set_entries)
        .map(|(set, _)| set)
        .collect();
    let families: BTreeSet<AddressFamily> = (served.iter())
        .map(|site| AddressFamily::of(site.frontend.address))
        .collect();
    let mut lines = Vec::new();
    for family in families {
        let program = match family {
            AddressFamily::Ipv4 => "iptables",
            AddressFamily::Ipv6 => "ip6tables",
        };
        let devices = SetKind::IpvsIps.name(family);
        let chains =
            (desired.tables.rules.get(&family).into_iter()).flat_map(|rules| &rules.chains);
        for (key, rules) in chains {
            let matching = (rules.iter()).filter(|rule| matches(rule, &sets, &devices));
            lines.extend(matching.map(|rule| {
                let rule = without_comment(rule);
                format!("{program} -t {} -A {} {rule}", key.table, key.chain)
            }));
        }
    }
    lines
}

/// Returns true if `rule` matches packets to an address in all of its sets, or masquerades.
///
/// `sets` are the sets with the address. The set `devices` has every address of the device, so it
/// selects no Service by itself.
fn matches(rule: &Rule, sets: &BTreeSet<&SetName>, devices: &SetName) -> bool {
    let named: Vec<(bool, &SetName)> = (rule.matches.iter())
        .filter_map(|condition| match condition {
            Match::Set { negated, name, .. } => Some((*negated, name)),
            _ => None,
        })
        .collect();
    if named.is_empty() {
        return matches!(rule.target, Target::Masquerade { .. });
    }
    let mut required = named.iter().filter(|(negated, _)| !negated);
    required.clone().any(|(_, set)| *set != devices) && required.all(|(_, set)| sets.contains(set))
}

fn without_comment(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    (rule.matches).retain(|condition| !matches!(condition, Match::Comment(_)));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_if_all_its_sets_have_the_address() {
        let [cluster_ip, devices] =
            ["KUBE-CLUSTER-IP", "KUBE-IPVS-IPS"].map(|name| SetName::new(name).expect("a name"));
        let sets = BTreeSet::from([&cluster_ip, &devices]);
        for (rule, expected) in [
            ("-m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT", true),
            ("-m set --match-set KUBE-LOAD-BALANCER dst,dst -j B", false),
            ("-m set --match-set KUBE-IPVS-IPS dst -j REJECT", false),
            (
                "-m set --match-set KUBE-CLUSTER-IP dst,dst -m set ! --match-set OTHER src -j B",
                true,
            ),
            (
                "-m set --match-set KUBE-IPVS-IPS src -m set --match-set OTHER dst -j B",
                false,
            ),
            ("-m set ! --match-set OTHER src -j B", false),
            (
                r#"-m comment --comment "--match-set KUBE-CLUSTER-IP dst" -j B"#,
                false,
            ),
            ("-j MASQUERADE --random-fully", true),
            ("-j ACCEPT", false),
        ] {
            assert_eq!(
                matches(&Rule::parse(rule), &sets, &devices),
                expected,
                "{rule}"
            );
        }
    }

    #[test]
    fn a_rule_is_printed_without_its_comment() {
        for (rule, expected) in [
            ("-j B", "-j B"),
            (
                r#"-m comment --comment "a \"b\" -m" -m set --match-set S dst -j B"#,
                "-m set --match-set S dst -j B",
            ),
            ("-m comment --comment word -j B", "-j B"),
        ] {
            assert_eq!(
                without_comment(&Rule::parse(rule)).to_string(),
                expected,
                "{rule}"
            );
        }
    }
}
