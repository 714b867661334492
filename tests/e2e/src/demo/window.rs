//! The shop seen from outside, and the node without it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use super::shop::{FRONT, PODS};
use super::tell::Teller;
use crate::failure::{Failure, Outcome, ensure};
use crate::objects;
use crate::probe::Probe;
use crate::process::Process;
use crate::socket::Protocol;
use crate::wait::within;
use crate::world::Family;

const NAME: &str = "window";
/// The address that a cloud's load balancer would have.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10));
/// The node's address towards the client.
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 50, 1));
const NODE_PORT: u16 = 30_080;
/// The network of the client, and one that the client is not in.
const RANGES: [&str; 2] = ["192.168.50.0/24", "198.51.100.0/24"];
const SOON: Duration = Duration::from_secs(5);

/// The load balancer for clients in this network.
fn service(range: &str) -> Value {
    let mut service = objects::service(NAME, &[Family::V4.virtual_address(9)], &[Protocol::Tcp]);
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["loadBalancerSourceRanges"] = json!([range]);
    service["spec"]["ports"][0]["nodePort"] = json!(NODE_PORT);
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": BALANCER}]}});
    service
}

/// A node port, and a load balancer with source ranges.
pub(super) fn outside(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("The shop gets a window: a node port, and a load balancer for some clients");
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
        teller.count(&format!("15 connections to the {what} {target}"), &tally);
    }
    teller.say(&format!(
        "Then the load balancer is for {} alone; the client is not in it.",
        RANGES[1]
    ));
    stage.api.replace(&service(RANGES[1]))?;
    let refused = || {
        let tally = Probe::new(&world.client, Protocol::Tcp, balancer).ask(1);
        ensure(tally.answers.is_empty(), || "the load balancer answers")
    };
    within(SOON, refused)?;
    teller.say("The load balancer answers nobody here any more.");
    let tally = Probe::new(&world.client, Protocol::Tcp, node_port)
        .ask(count)
        .complete()?;
    teller.count(
        "The node port goes on: source ranges are not about it",
        &tally,
    );
    Ok(())
}

/// A Service without a slice, then with one whose port has another name, then with the right one.
pub(super) fn unanswered(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("A new Service does not answer: why?");
    let name = "cafe";
    let mut service = objects::service(name, &[Family::V4.virtual_address(8)], &[Protocol::Tcp]);
    service["spec"]["ports"][0]["name"] = json!("web");
    stage.api.create(&service)?;
    let finding = |code: &str| {
        let ran = stage.ipvsctl("analyze")?;
        let line = ran.out.lines().find(|line| line.contains(code));
        let line = line.ok_or_else(|| Failure::new(format!("no {code}: {}", ran.out)))?;
        teller.quote(&format!("ipvsctl analyze | grep {code}"), line);
        Ok(())
    };
    finding("KIV0120")?;
    teller.say("It gets a slice, by hand, with another port name.");
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
    teller.count("With the Service's port name it answers", &tally);
    Ok(())
}

/// The daemon goes, and takes along what it made.
pub(super) fn cleaned(teller: &mut Teller, stage: &Stage, daemon: &mut Process) -> Outcome {
    teller.step("kube-ipvsd is stopped; traffic goes on until --cleanup takes all of it away");
    daemon.terminate()?;
    let tally = FRONT.probe(&stage.world, Family::V4).ask(4).complete()?;
    teller.count("Stopped, and still", &tally);
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
    teller.say("No virtual server, no set, no rule, no device is left.");
    Ok(())
}
