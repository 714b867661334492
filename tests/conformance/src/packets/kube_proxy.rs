//! kube-proxy's tables on the recorded node, derived from ours: without the deviations, every probe
//! ends as recorded.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipset::Entry;
use ipvs::AddressFamily;
use model::cluster::Parsed;
use model::rules::{ChainKey, Match, Rule, Table, Target};
use model::sets::SetKind;
use model::{ClusterState, NodeTables};

static SERVICES: LazyLock<ChainKey> = LazyLock::new(|| ChainKey::new(Table::Nat, "KUBE-SERVICES"));

static OUT_FILTER: LazyLock<ChainKey> =
    LazyLock::new(|| ChainKey::new(Table::Filter, "KUBE-IPVS-OUT-FILTER"));

/// Returns the tables of kube-proxy 1.30 for the Services of `cluster`, for which ours are
/// `tables`:
/// - without the set and the rule by which the node itself reaches addresses without a local
///   endpoint (deviation D12);
/// - with the addresses whose source ranges have length 0 among the restricted ones (kube-proxy
///   fails to write these ranges; since 1.34 they restrict nothing);
/// - with the node ports before the addresses of Services (deviation D24);
/// - with a rule `-m ipvs` for each address that the node itself may not use, in place of our mark.
#[must_use]
pub fn tables_of_kube_proxy(tables: &NodeTables, cluster: &ClusterState) -> NodeTables {
    let mut theirs = tables.clone();
    for (kind, entry) in open_to_all(cluster) {
        let family = entry
            .address()
            .map_or(AddressFamily::Ipv4, AddressFamily::of);
        if let Some(set) = theirs.sets.get_mut(&kind.name(family)) {
            set.entries.insert(entry);
        }
    }
    for family in AddressFamily::ALL {
        theirs.sets.remove(&SetKind::NoLocalEndpoint.name(family));
        let blocked = blocked(&theirs, family);
        if let Some(rules) = theirs.rules.get_mut(&family) {
            for chain in rules.chains.values_mut() {
                chain.retain(|rule| !is_ours_alone(rule, family));
            }
            // After it, kube-proxy accepts cluster IPs and load-balancer addresses.
            if let Some(services) = rules.chains.get_mut(&*SERVICES) {
                let node_ports = services.pop();
                let at = services.len().saturating_sub(2);
                services.splice(at..at, node_ports);
            }
            rules.chains.insert(OUT_FILTER.clone(), blocked);
        }
    }
    theirs
}

/// Returns the entries of Services with a source range of length 0: their addresses are restricted,
/// and the node is admitted.
fn open_to_all(cluster: &ClusterState) -> Vec<(SetKind, Entry)> {
    let mut entries = Vec::new();
    for service in cluster
        .service_names()
        .filter_map(|name| cluster.service(name))
    {
        let ranges = || (service.source_ranges.iter()).filter_map(|range| range.as_result().ok());
        let is_open = |address: &IpAddr| {
            let family = AddressFamily::of(*address);
            ranges().any(|range| range.prefix() == 0 && AddressFamily::of(range.ip()) == family)
        };
        let addresses =
            (service.load_balancer_ips.iter()).filter_map(|address| address.as_result().ok());
        for address in addresses.filter(|address| is_open(address)) {
            for port in &service.ports {
                let (Parsed::Valid(number), Parsed::Valid(protocol)) = (&port.port, &port.protocol)
                else {
                    continue;
                };
                let (number, protocol) = (number.get(), ipset::Protocol(protocol.number()));
                entries.push((
                    SetKind::LoadBalancerFw,
                    Entry::IpPort(*address, protocol, number),
                ));
                entries.push((
                    SetKind::LoadBalancerSourceIp,
                    Entry::IpPortIp(*address, protocol, number, *address),
                ));
            }
        }
    }
    entries
}

/// Returns true for a rule about a set that kube-proxy does not have, or one that sets our second
/// mark.
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

/// Returns a rule for each load-balancer address whose source ranges exclude the node.
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
