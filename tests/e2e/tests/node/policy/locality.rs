//! Shares by the place of the endpoints.

use e2e::{Conversation, Family, Outcome, ensure, within};
use serde_json::Value;

use super::{
    SOON, annotated, ask, configuration, count, ensure_shares, real_server, soon_has,
    virtual_server,
};
use crate::service::{Address, FAMILIES, Service, node};
use crate::stage::{Stage, node_address, slices};

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
/// Node and zone of each pod. The daemon runs on `node1`.
const PLACES: [(&str, &str); 3] = [("node1", "a"), ("node2", "a"), ("node3", "b")];
/// Limit of the connections of an endpoint.
const FULL: usize = 5;

fn web() -> Service {
    Service::new("web", 1)
}

fn other() -> Service {
    Service::new("other", 2)
}

/// Returns the slices of the Service with these pods in their places.
fn placed(world: &e2e::World, service: Service, pods: &[&str]) -> Vec<Value> {
    let mut all = slices(world, service, pods);
    for slice in &mut all {
        for (place, pod) in pods.iter().enumerate() {
            let number = PODS.iter().position(|name| name == pod).unwrap_or(0);
            let (node, zone) = PLACES[number];
            slice["endpoints"][place]["nodeName"] = node.into();
            slice["endpoints"][place]["zone"] = zone.into();
        }
    }
    all
}

fn stage(annotations: &[(&str, &str)]) -> Outcome<Stage> {
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let mut all = vec![
            annotated(web().inside(), annotations),
            annotated(other().inside(), annotations),
        ];
        all.extend(placed(world, web(), &PODS));
        all.extend(placed(world, other(), &PODS));
        all
    })?;
    Ok(stage)
}

/// Gives the node its zone, which it did not have at the start.
fn set_zone(stage: &Stage) -> Outcome {
    let mut node = node("node1", &FAMILIES.map(node_address));
    node["metadata"]["labels"] = serde_json::json!({"topology.kubernetes.io/zone": "a"});
    stage.api.replace(&node)
}

/// A node without a zone knows only its own endpoints. Its zone takes effect as soon as it is known.
pub(super) fn shares() -> Outcome {
    let stage = stage(&[
        ("scheduler", "wrr"),
        ("locality", "node=5, zone=2, other=1"),
    ])?;
    let target = web().at(Address::ClusterIp, Family::V4);
    let counts = ask(&stage, target, 70)?;
    ensure_shares(&counts, &[("pod1", 5), ("pod2", 1), ("pod3", 1)], |part| {
        part / 20.0
    })?;
    set_zone(&stage)?;
    soon_has(&stage, &[real_server(&stage, target, "pod2", 2)?])?;
    for family in FAMILIES {
        let target = web().at(Address::ClusterIp, family);
        let mut counts = super::Counts::new();
        // The table of IPv6 may follow a moment later.
        within(SOON, || {
            counts = ask(&stage, target, 80)?;
            ensure_shares(&counts, &[("pod1", 5), ("pod2", 2), ("pod3", 1)], |part| {
                part / 20.0
            })
        })?;
    }
    Ok(())
}

/// The node's endpoint gets every connection until it is full, then that of the zone, then the
/// other one. Full endpoints refuse. If the node's endpoint is gone, the zone's gets all.
pub(super) fn spill_over() -> Outcome {
    let limit = format!("upper={FULL}");
    let stage = stage(&[
        ("scheduler", "fo"),
        ("locality", "node=100, zone=10"),
        ("connection-limits", &limit),
    ])?;
    set_zone(&stage)?;
    let (target, gone) = (
        web().at(Address::ClusterIp, Family::V4),
        other().at(Address::ClusterIp, Family::V4),
    );
    let mut lines = vec![virtual_server(target, "fo"), virtual_server(gone, "fo")];
    for (pod, weight) in [("pod1", 100), ("pod2", 10), ("pod3", 1)] {
        lines.push(real_server(&stage, target, pod, weight)?);
    }
    soon_has(&stage, &lines)?;
    let open = |target| Conversation::open(&stage.world.client, target);
    let mut held = Vec::new();
    for pod in PODS {
        for _ in 0..FULL {
            let opened = open(target)?;
            ensure(opened.pod == pod, || {
                format!("{} answers instead of {pod}", opened.pod)
            })?;
            held.push(opened);
        }
    }
    let refused = open(target);
    ensure(refused.is_err(), || {
        format!("a connection to full endpoints: {refused:?}")
    })?;
    // The limits count for each virtual server: the other Service has the same endpoints.
    let first = open(gone)?;
    ensure(first.pod == "pod1", || format!("{first:?}"))?;
    let left = placed(&stage.world, other(), &["pod2", "pod3"]);
    left.iter().try_for_each(|slice| stage.api.replace(slice))?;
    soon_has(&stage, &[real_server(&stage, gone, "pod1", 0)?])?;
    let next = (0..FULL).map(|_| open(gone)).collect::<Outcome<Vec<_>>>()?;
    ensure_shares(
        &count(next.iter().map(|one| &*one.pod)),
        &[("pod2", 1)],
        |_| 0.0,
    )?;
    held.push(first);
    held.extend(next);
    held.iter().try_for_each(Conversation::is_alive)
}
