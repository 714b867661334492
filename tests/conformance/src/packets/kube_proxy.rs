//! kube-proxy's tables on the recorded node, made of ours: where the deviations are undone, every probe
//! ends as it was recorded.

use std::sync::LazyLock;

use ipset::Entry;
use ipvs::AddressFamily;
use model::NodeTables;
use model::rules::{ChainKey, Match, Rule, Table, Target};
use model::sets::SetKind;

static OUT_FILTER: LazyLock<ChainKey> =
    LazyLock::new(|| ChainKey::new(Table::Filter, "KUBE-IPVS-OUT-FILTER"));

/// Returns kube-proxy's tables of the Services for which ours are `tables`:
///
/// - without the set and the rule by which the node itself reaches addresses without a local endpoint
///   (deviation D12);
/// - without the two halves of `0.0.0.0/0` and `::/0` among the source ranges, which it fails to write
///   (deviation D11);
/// - with a rule `-m ipvs` for each address that the node itself may not use, where we have a mark.
#[must_use]
pub fn tables_of_kube_proxy(tables: &NodeTables) -> NodeTables {
    let mut theirs = tables.clone();
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let ranges = SetKind::LoadBalancerSourceCidr.name(family);
        if let Some(set) = theirs.sets.get_mut(&ranges) {
            (set.entries).retain(
                |entry| !matches!(entry, Entry::IpPortNet(_, _, _, network) if network.prefix() == 1),
            );
        }
        theirs.sets.remove(&SetKind::NoLocalEndpoint.name(family));
        let blocked = blocked(tables, family);
        if let Some(rules) = theirs.rules.get_mut(&family) {
            for chain in rules.chains.values_mut() {
                chain.retain(|rule| !is_ours_alone(rule, family));
            }
            rules.chains.insert(OUT_FILTER.clone(), blocked);
        }
    }
    theirs
}

/// A rule about a set that kube-proxy does not have, or one that sets our second mark.
fn is_ours_alone(rule: &Rule, family: AddressFamily) -> bool {
    let name = SetKind::NoLocalEndpoint.name(family);
    let by_set =
        |condition: &Match| matches!(condition, Match::Set { name: it, .. } if *it == name);
    rule.matches.iter().any(by_set)
        || matches!(
            rule.target,
            Target::Mark {
                value: 0x8000,
                mask: 0x8000
            }
        )
}

/// A rule for each load-balancer address with source ranges that leave out the node.
fn blocked(tables: &NodeTables, family: AddressFamily) -> Vec<Rule> {
    let entries = |kind: SetKind| {
        let set = tables.sets.get(&kind.name(family));
        set.into_iter().flat_map(|set| &set.entries)
    };
    let admitted = |wanted: &Entry| {
        entries(SetKind::LoadBalancerSourceIp).any(|entry| match (entry, wanted) {
            (Entry::IpPortIp(ip, protocol, port, _), Entry::IpPort(a, b, c)) => {
                (ip, protocol, port) == (a, b, c)
            }
            _ => false,
        })
    };
    (entries(SetKind::LoadBalancerFw).filter(|entry| !admitted(entry)))
        .filter_map(|entry| match entry {
            Entry::IpPort(ip, protocol, port) => Some(Rule {
                matches: vec![
                    Match::Source {
                        negated: false,
                        network: (*ip).into(),
                    },
                    Match::Other(
                        format!(
                            "-m ipvs --vproto {} --vaddr {ip} --vport {port}",
                            protocol.0
                        )
                        .into(),
                    ),
                ],
                target: Target::Drop,
            }),
            _ => None,
        })
        .collect()
}
