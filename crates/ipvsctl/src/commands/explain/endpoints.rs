//! Endpoints of a Service, with their real servers in the kernel.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use ipvs::{AddressFamily, Forwarding, Protocol, RealServer, RealServerKey, VirtualServerKey};
use model::Snapshot;
use model::frontend::Backend;
use planner::{EndpointExplanation, PortExplanation, ServedSite, ServiceExplanation, SiteOutcome};

use super::places::address_text;
use super::scene::Scene;
use crate::schema::{ExplainedDrain, ExplainedEndpoint, ExplainedSlowStart};

/// Returns every endpoint of every slice, and real servers that are no endpoints.
pub(super) fn of(scene: &Scene, explained: &ServiceExplanation) -> Vec<ExplainedEndpoint> {
    let mut all = Vec::new();
    for port in &explained.ports {
        let servers = servers(explained, port);
        all.extend((port.endpoints.iter()).map(|endpoint| row(scene, port, &servers, endpoint)));
        all.extend(strangers(scene, port, &servers));
    }
    all.extend((explained.other_families.iter()).map(decision));
    all
}

/// Returns the desired virtual servers of `port`.
fn servers<'a>(explained: &'a ServiceExplanation, port: &PortExplanation) -> Vec<&'a ServedSite> {
    let is_of_port = |site: &&ServedSite| {
        let frontend = &site.frontend;
        frontend.owner.port == port.name
            && frontend.protocol == port.protocol
            && AddressFamily::of(frontend.address) == port.family
    };
    let served = explained
        .sites
        .iter()
        .filter_map(|site| match &site.outcome {
            SiteOutcome::Served(site) => Some(&**site),
            _ => None,
        });
    // The same address may be of two kinds.
    let mut seen = BTreeSet::new();
    (served.filter(is_of_port))
        .filter(|site| seen.insert(site.virtual_server.key))
        .collect()
}

/// Returns the endpoint with the decision about it, without the kernel's state.
fn decision(endpoint: &EndpointExplanation) -> ExplainedEndpoint {
    let EndpointExplanation {
        slice,
        address,
        port,
        node,
        local,
        internal,
        external,
    } = endpoint;
    let differs = external.as_ref().filter(|external| *external != internal);
    ExplainedEndpoint {
        address: address_text(address),
        port: port.map(NonZeroU16::get),
        slice: Some(slice.name.to_string()),
        node: node.as_ref().map(ToString::to_string),
        local: *local,
        chosen: endpoint.is_chosen(),
        reason: internal.name(),
        text: match differs {
            None => internal.to_string(),
            Some(external) => format!("{internal}; from outside: {external}"),
        },
        external_reason: differs.map(planner::EndpointVerdict::name),
        ..ExplainedEndpoint::default()
    }
}

/// Returns the method by which the endpoint gets packets that are not rewritten.
fn unrewritten(servers: &[&ServedSite], endpoint: &EndpointExplanation) -> Option<Forwarding> {
    let backend = Backend {
        address: *endpoint.address.as_result().ok()?,
        port: endpoint.port?,
    };
    servers.iter().find_map(|site| {
        let methods = site.frontend.forwarding.as_ref()?;
        let place = site.frontend.backends.binary_search(&backend).ok()?;
        Some(methods[place]).filter(|method| *method != Forwarding::Masquerade)
    })
}

fn row(
    scene: &Scene,
    port: &PortExplanation,
    servers: &[&ServedSite],
    endpoint: &EndpointExplanation,
) -> ExplainedEndpoint {
    let mut row = ExplainedEndpoint {
        port_name: port.name.to_string(),
        protocol: Some(port.protocol.to_string()),
        ..decision(endpoint)
    };
    if let Some(method) = unrewritten(servers, endpoint) {
        row.text
            .push_str(&format!("; {method} at addresses from outside"));
        row.forwarding = Some(method.to_string());
    }
    let (Ok(address), Some(number), Some(live)) =
        (endpoint.address.as_result(), endpoint.port, scene.live())
    else {
        return row;
    };
    if matches!(endpoint.internal, planner::EndpointVerdict::Duplicate(_)) {
        // The other entry has the real server.
        return row;
    }
    let backend = Backend {
        address: *address,
        port: number,
    };
    with_real_server(scene, live, servers, backend, row)
}

/// Adds the state of the real servers of `backend` in `servers`.
fn with_real_server(
    scene: &Scene,
    live: &Snapshot,
    servers: &[&ServedSite],
    backend: Backend,
    row: ExplainedEndpoint,
) -> ExplainedEndpoint {
    let real = RealServerKey {
        address: backend.address,
        port: backend.port.get(),
    };
    let (mut weights, mut missing) = (Vec::new(), 0);
    let (mut active, mut inactive) = (0, 0);
    let (mut drain, mut slow_start) = (None, None);
    for site in servers {
        let key = site.virtual_server.key;
        let wanted = site.frontend.backends.binary_search(&backend).is_ok();
        let Some(found) = real_server(live, key, real) else {
            missing += usize::from(wanted);
            continue;
        };
        weights.push(found.weight);
        if let Some(connections) = live.connections.get(&(key, real)) {
            active += u64::from(connections.active);
            inactive += u64::from(connections.inactive);
        }
        if let Some(known) = scene.slow_start(&key, &real).filter(|_| wanted) {
            slow_start.get_or_insert_with(|| ExplainedSlowStart {
                weight: known.weight,
                full_weight: known.full_weight,
                ends: known.ends.clone(),
            });
        }
        if !wanted && found.weight == 0 {
            let known = scene.drain(&key, &real);
            drain.get_or_insert_with(|| ExplainedDrain {
                since: known.and_then(|drain| drain.since.clone()),
                deadline: known.and_then(|drain| drain.deadline.clone()),
            });
        }
    }
    let counted = !weights.is_empty() && scene.has_connections();
    ExplainedEndpoint {
        active_connections: counted.then_some(active),
        inactive_connections: counted.then_some(inactive),
        weights: Some(weights),
        missing: Some(missing),
        drain,
        slow_start,
        ..row
    }
}

fn real_server(
    live: &Snapshot,
    server: VirtualServerKey,
    real: RealServerKey,
) -> Option<&RealServer> {
    let server = live.tables.virtual_servers.get(&server)?;
    server.real_servers.get(&real)
}

/// Returns the live real servers of `servers` that are no endpoints of `port`.
fn strangers(
    scene: &Scene,
    port: &PortExplanation,
    servers: &[&ServedSite],
) -> Vec<ExplainedEndpoint> {
    let Some(live) = scene.live() else {
        return Vec::new();
    };
    let known: BTreeSet<Backend> = (port.endpoints.iter())
        .filter_map(|endpoint| {
            let address = *endpoint.address.as_result().ok()?;
            let port = endpoint.port?;
            Some(Backend { address, port })
        })
        .collect();
    let found = servers
        .iter()
        .filter_map(|site| (live.tables.virtual_servers).get(&site.virtual_server.key));
    let reals: BTreeSet<Backend> = found
        .flat_map(|server| server.real_servers.keys())
        .filter_map(|real| {
            let port = NonZeroU16::new(real.port)?;
            let address = real.address;
            Some(Backend { address, port })
        })
        .filter(|backend| !known.contains(backend))
        .collect();
    (reals.into_iter())
        .map(|backend| stranger(scene, live, port.protocol, (&port.name, servers), backend))
        .collect()
}

fn stranger(
    scene: &Scene,
    live: &Snapshot,
    protocol: Protocol,
    (port_name, servers): (&str, &[&ServedSite]),
    backend: Backend,
) -> ExplainedEndpoint {
    let row = ExplainedEndpoint {
        port_name: port_name.to_owned(),
        protocol: Some(protocol.to_string()),
        address: backend.address.to_string(),
        port: Some(backend.port.get()),
        reason: "NoEndpoint",
        text: "no endpoint of the Service".to_owned(),
        ..ExplainedEndpoint::default()
    };
    with_real_server(scene, live, servers, backend, row)
}
