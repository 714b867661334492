//! Masquerading may select a source port that is a node port of another Service.

use std::ops::RangeInclusive;

use e2e::{Failure, Outcome, Probe, Protocol, World};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, own_configuration, with_slices};

/// Node ports of the other Service. Masquerading selects one of them for one connection in 65.
const NODE_PORTS: RangeInclusive<u16> = 31_000..=31_999;

/// The protocols of these node ports.
const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// The networks of the node's addresses towards its pods, which masquerading uses as source
/// addresses.
const TOWARDS_PODS: &str = "nodePortAddresses: [10.244.0.0/24, \"fd00:10:244::/64\"]";

/// Number of requests from node ports that are enough to pass.
const ENOUGH: usize = 2;

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "source_ports::answers_to_a_node_port_that_masquerading_chose_arrive",
        answers,
    )]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn objects(world: &World) -> Vec<Value> {
    let many = Service::new("many", 2);
    let ports = || NODE_PORTS.flat_map(|port| PROTOCOLS.map(|protocol| (port, protocol)));
    let name = |(port, protocol): (u16, Protocol)| format!("{protocol}-{port}");
    let of_service = ports().map(|(port, protocol)| {
        json!({
            "name": name((port, protocol)), "protocol": protocol.name(), "port": port, "nodePort": port,
        })
    });
    let of_slice = ports().map(|(port, protocol)| {
        json!({
            "name": name((port, protocol)), "protocol": protocol.name(), "port": e2e::PORT,
        })
    });
    let mut service = many.inside();
    service["spec"]["type"] = "NodePort".into();
    service["spec"]["ports"] = of_service.collect();
    let of_slice: Value = of_slice.collect();
    let mut all = with_slices(world, many, service, &["pod2"]);
    for slice in &mut all[1..] {
        slice["ports"] = of_slice.clone();
    }
    all.extend(with_slices(world, web(), web().outside(), &["pod1"]));
    all
}

/// Requests of the node to a cluster IP, and of a client outside to a load balancer. Both are
/// masqueraded.
fn answers() -> Outcome {
    let configuration = own_configuration(&[TOWARDS_PODS]);
    let stage = Stage::configured(&["pod1", "pod2"], &configuration, objects)?;
    let origins = [
        (&*stage.world.node, Address::ClusterIp),
        (&stage.world.client, Address::LoadBalancer),
    ];
    for (from, kind) in origins {
        for family in FAMILIES {
            let target = web().at(kind, family);
            for protocol in PROTOCOLS {
                answered_at_node_ports(&stage, &Probe::new(from, protocol, target))?;
            }
        }
    }
    Ok(())
}

/// Sends requests until some had a node port as source. Fails unless every one is answered.
fn answered_at_node_ports(stage: &Stage, probe: &Probe<'_>) -> Outcome {
    let pod = stage.pod("pod1")?;
    let mut found = 0;
    for _ in 0..100 {
        drop(pod.take_ports());
        probe.ask(100).complete()?;
        found += pod.take_ports().range(NODE_PORTS).count();
        if found >= ENOUGH {
            return Ok(());
        }
    }
    Err(Failure::new(format!(
        "{}/{}: masquerading selected only {found} node ports in 10,000 requests",
        probe.target, probe.protocol
    )))
}
