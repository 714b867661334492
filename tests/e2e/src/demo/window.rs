//! Steps about access from outside, about a Service without endpoints, and about the cleanup.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use super::output::Output;
use super::shop::{FRONT, PODS};
use crate::failure::{Failure, Outcome, ensure};
use crate::objects;
use crate::probe::Probe;
use crate::process::Process;
use crate::socket::Protocol;
use crate::wait::within;
use crate::world::Family;

const NAME: &str = "window";
/// Address of the load balancer.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
/// Address of the node in the network of the client.
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 50, 1));
const NODE_PORT: u16 = 30_080;
/// Network of the client, and another one.
const RANGES: [&str; 2] = ["192.168.50.0/24", "198.51.100.0/24"];
const SOON: Duration = Duration::from_secs(5);

/// Returns the load balancer for clients in the network `range`.
fn service(range: &str) -> Value {
    let mut service = objects::service(NAME, &[Family::V4.virtual_address(9)], &[Protocol::Tcp]);
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["loadBalancerSourceRanges"] = json!([range]);
    service["spec"]["ports"][0]["nodePort"] = json!(NODE_PORT);
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": BALANCER}]}});
    service
}

/// Shows a node port, and a load balancer with source ranges.
pub(super) fn outside(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("External access: a node port, and a load balancer with source ranges");
    let world = &stage.world;
    let count = FRONT.pods.len();
    let pods: Vec<IpAddr> = (world.pods.iter().zip(PODS).take(count))
        .map(|(pod, _)| Family::V4.of(pod))
        .collect();
    stage.api.create(&service(RANGES[0]))?;
    stage
        .api
        .create(&objects::slice(NAME, &pods, &[Protocol::Tcp]))?;
    let node_port = SocketAddr::new(NODE, NODE_PORT);
    let balancer = SocketAddr::new(BALANCER, 80);
    for (what, target) in [("node port", node_port), ("load balancer", balancer)] {
        let probe = Probe::new(&world.client, Protocol::Tcp, target);
        within(SOON, || probe.ask(count).complete().map(drop))?;
        let tally = probe.ask(5 * count).complete()?;
        output.count(&format!("15 connections to the {what} {target}"), &tally);
    }
    output.line(&format!(
        "The source range changes to {}, which does not contain the client.",
        RANGES[1]
    ));
    stage.api.replace(&service(RANGES[1]))?;
    let refused = || {
        let tally = Probe::new(&world.client, Protocol::Tcp, balancer).ask(1);
        ensure(tally.answers.is_empty(), || "the load balancer answers")
    };
    within(SOON, refused)?;
    output.line("The load balancer no longer answers this client.");
    let tally = Probe::new(&world.client, Protocol::Tcp, node_port)
        .ask(count)
        .complete()?;
    output.count(
        "The node port still answers: source ranges do not apply to it",
        &tally,
    );
    Ok(())
}

/// Shows a Service without a slice, then with a slice with a wrong port name, then with a correct
/// one.
pub(super) fn unanswered(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("ipvsctl analyze explains why a new Service does not answer");
    let name = "cafe";
    let mut service = objects::service(name, &[Family::V4.virtual_address(8)], &[Protocol::Tcp]);
    service["spec"]["ports"][0]["name"] = json!("web");
    stage.api.create(&service)?;
    let finding = |code: &str| {
        let ran = stage.ipvsctl("analyze")?;
        let line = ran.out.lines().find(|line| line.contains(code));
        let line = line.ok_or_else(|| Failure::new(format!("no {code}: {}", ran.out)))?;
        output.command(&format!("ipvsctl analyze | grep {code}"), line);
        Ok(())
    };
    finding("KIV0120")?;
    output.line("A slice is created, with a wrong port name.");
    let pods = [Family::V4.of(&stage.world.pods[0])];
    let mut slice = objects::slice(name, &pods, &[Protocol::Tcp]);
    slice["ports"][0]["name"] = json!("http");
    stage.api.create(&slice)?;
    finding("KIV0122")?;
    slice["ports"][0]["name"] = json!("web");
    stage.api.replace(&slice)?;
    let target = Family::V4.virtual_server(8);
    let probe = Probe::new(&stage.world.client, Protocol::Tcp, target);
    within(SOON, || probe.ask(3).complete().map(drop))?;
    let tally = probe.ask(3).complete()?;
    output.count("With the correct port name the Service answers", &tally);
    Ok(())
}

/// Stops the daemon, then deletes all that it created.
pub(super) fn cleaned(output: &mut Output, stage: &Stage, daemon: &mut Process) -> Outcome {
    output
        .step("kube-ipvsd is stopped; connections still work until --cleanup deletes its entries");
    daemon.terminate()?;
    let tally = FRONT.probe(&stage.world, Family::V4).ask(4).complete()?;
    output.count("After the stop", &tally);
    stage.world.run_daemon(&[&"--cleanup"])?.exits(0)?;
    for tool in ["ipvsadm --save --numeric", "ipset save"] {
        let left = stage.world.tool(tool)?;
        ensure(left.is_empty(), || format!("{tool}: {left}"))?;
    }
    for tool in ["iptables-save", "ip6tables-save"] {
        let left = stage.world.tool(tool)?;
        ensure(!left.contains("KUBE-"), || format!("{tool}: {left}"))?;
    }
    let links = stage.world.tool("ip -oneline link show")?;
    ensure(!links.contains("kube-ipvs0"), || links)?;
    output.line("No virtual servers, sets, rules or device are left.");
    Ok(())
}
