//! `strictARP`: which nodes on a segment answer ARP for a load balancer address.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Lan, Outcome, Probe, Process, Protocol, World, ensure, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::service::node;

/// A load balancer address of the segment, as a speaker such as MetalLB in layer 2 mode assigns it.
const VIRTUAL: &str = "192.168.90.200";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("strict_arp::off_every_node_answers", off),
        case("strict_arp::on_only_the_node_answers_that_announces", on),
    ]
}

fn objects(world: &World) -> Vec<Value> {
    let nodes = [("node1", [192, 168, 90, 11]), ("node2", [192, 168, 90, 12])];
    let mut objects: Vec<Value> = nodes
        .into_iter()
        .map(|(name, address)| node(name, &[address.into()]))
        .collect();
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "allocateLoadBalancerNodePorts": false,
            "ports": [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": e2e::PORT}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": VIRTUAL, "ipMode": "VIP"}]}},
    }));
    let pods: Vec<_> = world.pods.iter().map(|pod| pod.v4.into()).collect();
    objects.push(e2e::objects::slice("web", &pods, &[Protocol::Tcp]));
    objects
}

/// Starts two nodes with a daemon each.
fn start(strict: bool) -> Outcome<(Lan, [Process; 2])> {
    let lan = Lan::build()?;
    let line = format!("strictARP: {strict}");
    let [first, second] = &lan.nodes;
    let run = |world: &World| -> Outcome<Process> {
        let manifests = world.write_objects("all.json", objects(first))?;
        let config = world.write("config.yaml", &crate::stage::configuration(&[&line]))?;
        let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
        crate::proxy::has_synced(&daemon)?;
        Ok(daemon)
    };
    let daemons = [run(first)?, run(second)?];
    Ok((lan, daemons))
}

/// Returns the hardware addresses that answer for [`VIRTUAL`].
fn who_has(client: &World) -> Outcome<BTreeSet<String>> {
    let mut command = client.client.command("busybox");
    command.args(["arping", "-c", "3", "-w", "3", "-I", "eth0", VIRTUAL]);
    let output = command
        .output()
        .map_err(|error| e2e::Failure::new(format!("cannot run arping: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split(']').next());
    Ok(found.map(str::to_owned).collect())
}

fn off() -> Outcome {
    let (lan, _daemons) = start(false)?;
    let answer = who_has(&lan.nodes[0])?;
    let both = hardware(&lan)?;
    ensure(answer == both.into(), || {
        format!("expected ARP answers of both nodes, found {answer:?}")
    })
}

fn on() -> Outcome {
    let (lan, _daemons) = start(true)?;
    let answer = who_has(&lan.nodes[0])?;
    ensure(answer.is_empty(), || {
        format!("unexpected ARP answers: {answer:?}")
    })?;
    // The kernel acts as the speaker: the address is at the link.
    let announced = format!("address add {VIRTUAL}/32 dev eth0");
    lan.nodes[1].node.ip(&[announced])?;
    let [_, second] = hardware(&lan)?;
    within(Duration::from_secs(10), || {
        let answer = who_has(&lan.nodes[0])?;
        ensure(answer == [second.clone()].into(), || {
            format!("expected an ARP answer of the second node, found {answer:?}")
        })
    })?;
    let target: SocketAddr = format!("{VIRTUAL}:80")
        .parse()
        .map_err(|_| e2e::Failure::new(VIRTUAL))?;
    for world in &lan.nodes {
        let tally = Probe::new(&world.client, Protocol::Tcp, target).ask(3);
        ensure(
            tally.complete()?.one_pod()? == "pod1",
            || "another pod than pod1 answered",
        )?;
    }
    Ok(())
}

fn hardware(lan: &Lan) -> Outcome<[String; 2]> {
    let [first, second] = &lan.nodes;
    Ok([
        Lan::hardware_address(first)?,
        Lan::hardware_address(second)?,
    ])
}
