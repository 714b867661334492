//! The demo: a shop of Services on one node, told in plain words. What it claims it checks.

mod shop;
mod tell;
mod window;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::shop::{FRONT, FRONT_PODS, PODS, SERVICES};
use self::tell::Teller;
use crate::api::ApiServer;
use crate::failure::{Failure, Outcome, ensure};
use crate::http::get_text;
use crate::probe::{Probe, Tally};
use crate::process::Process;
use crate::socket::Protocol;
use crate::wait::{eventually, within};
use crate::world::{Family, World};

/// Interval of the daemon's audits.
const AUDIT: &str = "4s";
/// Deletion by hand.
const BY_HAND: &str = "ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.11:8080";
const DELETE_DEVICE: &str = "ip link delete kube-ipvs0";
const NO_DIFFERENCE: &str = "Plan: 0 to add, 0 to change, 0 to delete";

/// Everything that takes part.
struct Stage {
    world: World,
    api: ApiServer,
}

/// Runs it.
///
/// # Errors
/// At the first claim that is not so.
pub fn run() -> Outcome {
    let mut teller = Teller::new(13);
    let stage = set(&mut teller)?;
    analyzed(&mut teller, &stage)?;
    before(&mut teller, &stage)?;
    let mut daemon = start(&mut teller, &stage)?;
    requests(&mut teller, &stage)?;
    window::outside(&mut teller, &stage)?;
    window::unanswered(&mut teller, &stage)?;
    added(&mut teller, &stage)?;
    removed(&mut teller, &stage)?;
    repaired(&mut teller, &stage, &daemon)?;
    device(&mut teller, &stage, &daemon)?;
    after(&mut teller, &stage)?;
    window::cleaned(&mut teller, &stage, &mut daemon)?;
    teller.end();
    Ok(())
}

fn set(teller: &mut Teller) -> Outcome<Stage> {
    teller.step("A node, its pods and a client outside, each a network namespace of its own");
    let world = World::with_pods(&PODS)?;
    // On a node kubelet, which has rules of its own, has loaded them; a container has no modprobe.
    world.tool("modprobe -a ip_tables ip6_tables")?;
    let names = PODS.join(", ");
    teller.say(&format!("{} pods with tiny servers: {names}", PODS.len()));
    teller.say("The pods route through the node, and so does the client.");
    let api = ApiServer::start(&world, &[])?;
    teller.say("A Kubernetes API server runs on the node, with a shop of Services:");
    for service in &SERVICES {
        api.create_all(&service.objects(&world))?;
        teller.say(&format!("  {service}"));
    }
    teller.say(&format!(
        "{} has another pod, {}, for later.",
        FRONT.name, PODS[3]
    ));
    Ok(Stage { world, api })
}

/// A load balancer that the shop might want, with a mistake: another node has its second address.
const BALANCER: &str = "\
apiVersion: v1
kind: Service
metadata: {name: balancer, namespace: shop}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.9.9]
  externalIPs: [203.0.113.9, 192.168.50.77]
  loadBalancerSourceRanges: [198.51.100.0/24]
  ports: [{port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}
---
apiVersion: v1
kind: Node
metadata: {name: node1}
---
apiVersion: v1
kind: Node
metadata: {name: node2}
status: {addresses: [{type: InternalIP, address: 192.168.50.77}]}
";

fn analyzed(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller
        .step("What would a load balancer make of a node, and what is odd about it? Asked offline");
    let world = &stage.world;
    let file = world.write("balancer.yaml", BALANCER)?;
    let node = world.write(
        "node.yaml",
        "nodeName: node1\ninterfaces: [{name: eth0, addresses: [192.168.50.1/24]}]\n",
    )?;
    let ran = world.ipvsctl(&[&"analyze", &"-f", &file, &"--node-state", &node])?;
    let said = ran.exits(1)?.out;
    teller.quote("ipvsctl analyze -f balancer.yaml", &said);
    ensure(
        said.contains("KIV0108"),
        || "the other node's address is not told",
    )?;
    let render: [&dyn AsRef<std::ffi::OsStr>; 7] = [
        &"render",
        &"-f",
        &file,
        &"--node-state",
        &node,
        &"--section",
        &"ipset",
    ];
    let sets = world.ipvsctl(&render)?.exits(0)?.out;
    let entries: Vec<&str> = (sets.lines())
        .filter(|line| line.starts_with("add "))
        .collect();
    teller.quote(
        "ipvsctl render --section ipset -f balancer.yaml | grep add",
        &entries.join("\n"),
    );
    ensure(entries.len() == 9, || format!("{} entries", entries.len()))
}

fn before(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("What would kube-ipvsd do? It does not run yet; ipvsctl diff only looks");
    let ran = stage.ipvsctl("diff")?.exits(1)?;
    teller.quote("ipvsctl diff", &ran.out);
    let nobody = FRONT.probe(&stage.world, Family::V4).ask(1);
    ensure(nobody.answers.is_empty(), || "somebody answers already")?;
    teller.say("The kernel's table is empty, and nobody answers at a virtual address.");
    Ok(())
}

fn start(teller: &mut Teller, stage: &Stage) -> Outcome<Process> {
    teller.step("kube-ipvsd starts and programs the kernel over netlink");
    let config = stage.config()?;
    let kubeconfig = &stage.api.kubeconfig;
    let daemon = stage
        .world
        .daemon(&[&"--kubeconfig", kubeconfig, &"--config", &config])?;
    eventually(|| stage.has_no_difference())?;
    teller.log(&daemon, "synced. Plan");
    let table = stage.world.ipvsctl(&[&"get", &"servers"])?.exits(0)?.out;
    teller.quote("ipvsctl get servers", &table);
    Ok(daemon)
}

fn requests(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("The client asks the virtual addresses; every answer has the name of a pod");
    for service in &SERVICES {
        for family in service.families {
            let probe = service.probe(&stage.world, *family);
            let count = 10 * service.pods.len();
            let tally = probe.ask(count).complete()?;
            teller.count(&service.question(*family), &tally);
            in_equal_shares(&tally, service.pods)?;
        }
    }
    Ok(())
}

fn added(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("An endpoint is added: the API server is told of the pod front-4");
    let began = Instant::now();
    stage.set_front(&FRONT_PODS)?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    within(Duration::from_secs(5), || {
        let tally = probe.ask(FRONT_PODS.len()).complete()?;
        in_equal_shares(&tally, &FRONT_PODS)
    })?;
    teller.say(&format!(
        "{} ms later it gets its share.",
        began.elapsed().as_millis()
    ));
    let tally = probe.ask(40).complete()?;
    teller.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS)
}

fn removed(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("An endpoint is removed: front-1 goes");
    let rest = &FRONT_PODS[1..];
    let began = Instant::now();
    stage.set_front(rest)?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    // What is on its way to a real server that is deleted is lost with it: no long waiting for that.
    let hasty = Probe {
        patience: Duration::from_millis(300),
        ..probe
    };
    within(Duration::from_secs(5), || {
        in_equal_shares(&hasty.ask(rest.len()).complete()?, rest)
    })?;
    teller.say(&format!(
        "{} ms later it gets nothing more.",
        began.elapsed().as_millis()
    ));
    let tally = probe.ask(30).complete()?;
    teller.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, rest)
}

fn repaired(teller: &mut Teller, stage: &Stage, daemon: &Process) -> Outcome {
    teller.step("Another program deletes a real server by hand");
    // An audit may come between the deletion and the look at it: then once more.
    let (began, ran) = within(Duration::from_secs(10), || {
        stage.world.tool(BY_HAND)?;
        Ok((Instant::now(), stage.ipvsctl("diff")?.exits(1)?))
    })?;
    teller.quote(BY_HAND, "");
    teller.quote("ipvsctl diff", &ran.out);
    within(Duration::from_secs(10), || stage.has_no_difference())?;
    teller.say(&format!(
        "{:.1} s later the audit, which runs every {AUDIT} here, has put it back:",
        began.elapsed().as_secs_f64()
    ));
    daemon.wait_for_log(Duration::from_secs(5), &["repairing drift"])?;
    teller.log(daemon, "repairing drift");
    let probe = FRONT.probe(&stage.world, Family::V4);
    let tally = probe.ask(30).complete()?;
    teller.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS[1..])
}

fn device(teller: &mut Teller, stage: &Stage, daemon: &Process) -> Outcome {
    teller.step("Another program deletes kube-ipvs0 with every virtual address");
    let before = stage.world.tables()?.addresses;
    let began = Instant::now();
    stage.world.tool(DELETE_DEVICE)?;
    teller.quote(DELETE_DEVICE, "");
    within(Duration::from_secs(10), || {
        let there = stage.world.tables()?.addresses;
        ensure(there == before, || format!("addresses: {there:?}"))
    })?;
    teller.say(&format!(
        "{} ms later its {} addresses are back: the kernel reports the loss, and no audit has to find it.",
        began.elapsed().as_millis(),
        before.len(),
    ));
    within(Duration::from_secs(10), || stage.has_no_difference())?;
    let server = SocketAddr::from(([127, 0, 0, 1], 10256));
    for path in ["/livez", "/readyz"] {
        let said = get_text(&stage.world.node, server, path)?;
        teller.quote(&format!("curl 127.0.0.1:10256{path}"), &said);
    }
    daemon.wait_for_log(Duration::from_secs(5), &["repairing drift", "kube-ipvs0"])?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    let tally = probe.ask(30).complete()?;
    teller.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS[1..])
}

fn after(teller: &mut Teller, stage: &Stage) -> Outcome {
    teller.step("Is the kernel as the cluster asks?");
    let ran = stage.ipvsctl("diff")?.exits(0)?;
    teller.quote("ipvsctl diff", &ran.out);
    ensure(ran.out.trim() == NO_DIFFERENCE, || ran.out)
}

impl Stage {
    fn config(&self) -> Outcome<PathBuf> {
        let audit = format!("syncPeriod: {AUDIT}");
        self.world.config(&["scheduler: rr", &audit])
    }

    fn ipvsctl(&self, verb: &str) -> Outcome<crate::process::Ran> {
        self.world.ipvsctl(&[
            &verb,
            &"--config",
            &self.config()?,
            &"--kubeconfig",
            &self.api.kubeconfig,
            &"--node",
            &"node1",
        ])
    }

    fn has_no_difference(&self) -> Outcome {
        let ran = self.ipvsctl("diff")?;
        ensure(ran.status == 0, || ran.out + &ran.err)
    }

    /// Makes these pods the endpoints of the front.
    fn set_front(&self, pods: &[&str]) -> Outcome {
        let slices = FRONT.slices(&self.world, pods);
        slices.iter().try_for_each(|slice| self.api.replace(slice))
    }
}

/// As many answers from each of these pods, and none from others.
fn in_equal_shares(tally: &Tally, pods: &[&str]) -> Outcome {
    let by_pod = tally.by_pod();
    let share = tally.answers.len() / pods.len();
    let equal =
        by_pod.len() == pods.len() && pods.iter().all(|pod| by_pod.get(pod) == Some(&share));
    if equal {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{pods:?} should have equal shares, but have {by_pod:?}"
        )))
    }
}

/// Returns the kind of request by which a protocol is asked.
fn tool(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "HTTP GET",
        Protocol::Udp => "UDP datagram",
        Protocol::Sctp => "SCTP association",
    }
}
