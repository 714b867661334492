//! The explanation of a pod.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::ObjectName;
use model::cluster::EndpointSlice;

use super::endpoints;
use super::scene::Scene;
use super::verdict::count;
use crate::schema::{API_VERSION, PodEndpoint, PodExplanation, Verdict};

/// Returns the explanation of the pod with `addresses`, and `name` if it is known.
pub(super) fn explanation(
    scene: &Scene,
    name: Option<&ObjectName>,
    addresses: &BTreeSet<IpAddr>,
) -> PodExplanation {
    let endpoints: Vec<PodEndpoint> = (addresses.iter())
        .flat_map(|address| of_address(scene, *address))
        .collect();
    let mut addresses = addresses.iter().map(ToString::to_string);
    PodExplanation {
        api_version: API_VERSION,
        kind: "PodExplanation",
        node_name: scene.input().config.node_name.to_string(),
        name: name.map(ToString::to_string),
        address: addresses.next().unwrap_or_default(),
        other_addresses: addresses.collect(),
        live_known: scene.live().is_some(),
        verdict: verdict(&endpoints),
        endpoints,
    }
}

/// Returns every endpoint with this address, and real servers with it that are no endpoints of
/// these Services.
pub(super) fn of_address(scene: &Scene, address: IpAddr) -> Vec<PodEndpoint> {
    let text = address.to_string();
    let mut found = Vec::new();
    for service in services(scene, address) {
        let Some(explained) = scene.explain(service) else {
            continue;
        };
        let of_pod = endpoints::of(scene, &explained).into_iter();
        found.extend(
            of_pod
                .filter(|endpoint| endpoint.address == text)
                .map(|endpoint| PodEndpoint {
                    namespace: service.namespace.to_string(),
                    name: service.name.to_string(),
                    endpoint,
                }),
        );
    }
    found
}

/// Returns the Services with an endpoint of this address, or with a real server of it.
fn services(scene: &Scene, address: IpAddr) -> impl Iterator<Item = &ObjectName> {
    let cluster = &scene.input().cluster;
    let desired = &scene.input().desired;
    let servers = scene.live().map(|live| &live.tables.virtual_servers);
    let live: BTreeSet<&ObjectName> = (servers.into_iter().flatten())
        .filter(|(_, entry)| {
            entry
                .real_servers
                .keys()
                .any(|real| real.address == address)
        })
        .filter_map(|(key, _)| desired.owner(*key))
        .map(|owner| &owner.service)
        .collect();
    let has = move |slice: EndpointSlice| {
        (slice.endpoints.iter()).any(|endpoint| endpoint.address.as_result() == Ok(&address))
    };
    (cluster.service_names())
        .filter(move |name| live.contains(name) || cluster.slices(name).any(has))
}

fn verdict(endpoints: &[PodEndpoint]) -> Verdict {
    let chosen = (endpoints.iter()).filter(|found| found.endpoint.chosen);
    let (chosen, all) = (chosen.count(), endpoints.len());
    Verdict {
        ok: chosen > 0,
        text: match (chosen, all) {
            (_, 0) => "no Service has an endpoint with this address".to_owned(),
            (0, _) => format!("not used: {}", endpoints[0].endpoint.text),
            _ => format!(
                "used for {chosen} of {}; {}",
                count(all, "Service port", "Service ports"),
                connections(endpoints)
            ),
        },
    }
}

/// Returns the number of active connections as text.
fn connections(endpoints: &[PodEndpoint]) -> String {
    let mut known = (endpoints.iter())
        .filter_map(|found| found.endpoint.active_connections)
        .peekable();
    if known.peek().is_none() {
        return "number of connections unknown".to_owned();
    }
    let sum = usize::try_from(known.sum::<u64>()).unwrap_or(usize::MAX);
    count(sum, "active connection", "active connections")
}
