//! Compares the choice of endpoints with a second implementation of the rule, for any conditions,
//! hints, policies and duplicates.

use model::cluster::{Endpoint, EndpointSlice, Service, TrafficPolicy};
use model::frontend::FrontendKind;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{NodeContext, resolve};
use crate::testing::{config, endpoint, service, slice};

const ADDRESSES: [&str; 4] = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"];
const CLUSTER_IP: &str = "10.96.0.1";
const EXTERNAL_IP: &str = "198.51.100.1";

/// Hints of an address for nodes and for zones. The value is true if they name this node or its
/// zone, `None` without hints.
type Hints = [Option<bool>; 2];

/// An entry of a slice.
#[derive(Clone, Debug)]
struct Entry {
    address: usize,
    here: bool,
    ready: bool,
    serving: bool,
    terminating: bool,
}

fn entry() -> impl Strategy<Value = Entry> {
    let flags = any::<[bool; 4]>();
    (0..ADDRESSES.len(), flags).prop_map(|(address, flags)| {
        let [here, ready, serving, terminating] = flags;
        Entry {
            address,
            here,
            ready,
            serving,
            terminating,
        }
    })
}

fn real(entry: &Entry, hints: &[Hints]) -> Endpoint {
    let [nodes, zones] = hints[entry.address];
    let name = |hit: bool, yes: &str, no: &str| [if hit { yes } else { no }.into()].into();
    let mut made = endpoint(ADDRESSES[entry.address]);
    made.node = Some(if entry.here { "node1" } else { "node2" }.into());
    made.ready = entry.ready;
    made.serving = entry.serving;
    made.terminating = entry.terminating;
    made.node_hints = nodes.map_or_else(Box::default, |hit| name(hit, "node1", "node2"));
    made.zone_hints = zones.map_or_else(Box::default, |hit| name(hit, "zone-a", "zone-b"));
    made
}

/// Returns the real servers of the frontend of this kind.
fn served(service: &Service, slices: &[EndpointSlice], kind: FrontendKind) -> Vec<String> {
    let node = NodeContext {
        zone: Some("zone-a".into()),
        ..NodeContext::default()
    };
    let frontends = resolve(service, slices, &node, &config()).frontends;
    let mut of_kind = frontends.iter().filter(|frontend| frontend.kind == kind);
    let frontend = of_kind.next().expect("it is served");
    let backends = frontend.backends.iter();
    backends.map(|one| one.address.to_string()).collect()
}

/// An address after its entries were merged.
#[derive(Clone, Copy)]
struct Known {
    address: usize,
    here: bool,
    ready: bool,
    last_resort: bool,
}

/// Merges the entries of an address:
/// - The address is ready if any entry is ready.
/// - Terminating entries count only without others of the same readiness.
/// - The address is local if a counted entry is local.
fn known(address: usize, entries: &[Entry]) -> Option<Known> {
    let all: Vec<&Entry> = entries
        .iter()
        .filter(|one| one.address == address)
        .collect();
    let narrowed = |from: &[&Entry], keep: fn(&Entry) -> bool| -> Vec<Entry> {
        let kept: Vec<Entry> = (from.iter())
            .filter(|one| keep(one))
            .map(|one| (*one).clone())
            .collect();
        match kept.is_empty() {
            true => from.iter().map(|one| (*one).clone()).collect(),
            false => kept,
        }
    };
    let best = narrowed(&all, |one| one.ready);
    let best = narrowed(&best.iter().collect::<Vec<_>>(), |one| !one.terminating);
    let best = narrowed(&best.iter().collect::<Vec<_>>(), |one| one.here);
    let first = best.first()?;
    Some(Known {
        address,
        here: first.here,
        ready: first.ready,
        last_resort: first.terminating && best.iter().any(|one| one.serving),
    })
}

/// Implements `CategorizeEndpoints` (pkg/proxy/topology.go, Kubernetes 1.36) with the fallback of
/// policy Local in ipvs mode.
fn expected(
    entries: &[Entry],
    hints: &[Hints],
    policy: TrafficPolicy,
    reached_from_outside: bool,
    internal: TrafficPolicy,
) -> Vec<String> {
    let all: Vec<Known> = (0..ADDRESSES.len())
        .filter_map(|at| known(at, entries))
        .collect();
    let ready: Vec<Known> = all.iter().copied().filter(|one| one.ready).collect();
    let leaving: Vec<Known> = (all.iter().copied())
        .filter(|one| !one.ready && one.last_resort)
        .collect();
    // Node hints precede zone hints.
    let hint = (0..2).find(|&kind| {
        let of = |one: &Known| hints[one.address][kind];
        ready.iter().all(|one| of(one).is_some()) && ready.iter().any(|one| of(one) == Some(true))
    });
    let near = |from: &[Known]| -> Vec<Known> {
        let hit = |one: &Known| hint.is_none_or(|kind| hints[one.address][kind] == Some(true));
        from.iter().copied().filter(hit).collect()
    };
    let here =
        |from: &[Known]| -> Vec<Known> { from.iter().copied().filter(|one| one.here).collect() };
    let first = |lists: [Vec<Known>; 2]| -> Vec<Known> {
        lists
            .into_iter()
            .find(|list| !list.is_empty())
            .unwrap_or_default()
    };
    let local = first([here(&ready), here(&leaving)]);
    let cluster = first([near(&ready), near(&leaving)]);
    let chosen = match policy {
        TrafficPolicy::Local if !local.is_empty() => local,
        _ if internal == TrafficPolicy::Local && !reached_from_outside => Vec::new(),
        _ => cluster,
    };
    let addresses = chosen.iter().map(|one| ADDRESSES[one.address].to_owned());
    addresses.collect()
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop_oneof![Just(TrafficPolicy::Cluster), Just(TrafficPolicy::Local)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_choice_follows_the_reference_rule(
        entries in vec(entry(), 0..8),
        cut in 0_usize..8,
        hints in vec(any::<Hints>(), ADDRESSES.len()),
        [internal, external] in [policy(), policy()],
        outside in any::<bool>(),
    ) {
        let mut web = service("web", &[CLUSTER_IP]);
        (web.internal_policy, web.external_policy) = (internal, external);
        if outside {
            web.external_ips = service("web", &[EXTERNAL_IP]).cluster_ips;
        }
        let (one, two) = entries.split_at(cut.min(entries.len()));
        let slices: Vec<EndpointSlice> = [("a", one), ("b", two)]
            .into_iter()
            .filter(|(_, part)| !part.is_empty())
            .map(|(name, part)| slice("web", name, part.iter().map(|one| real(one, &hints)).collect()))
            .collect();
        prop_assert_eq!(
            served(&web, &slices, FrontendKind::ClusterIp),
            expected(&entries, &hints, internal, outside, internal)
        );
        if outside {
            prop_assert_eq!(
                served(&web, &slices, FrontendKind::ExternalIp),
                expected(&entries, &hints, external, outside, internal)
            );
        }
    }
}
