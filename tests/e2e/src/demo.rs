//! The demo: a shop of Services on one node. It checks every claim that it prints.

mod broken;
mod output;
mod policies;
mod shop;
mod window;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::output::Output;
use self::shop::{FRONT, FRONT_PODS, PODS, SERVICES};
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
/// Command that deletes a real server.
const BY_HAND: &str = "ipvsadm -d -t 10.96.1.1:80 -r 10.244.0.11:8080";
const DELETE_DEVICE: &str = "ip link delete kube-ipvs0";
const NO_DIFFERENCE: &str = "Plan: 0 to add, 0 to change, 0 to delete";

/// World and API server of the demo.
struct Stage {
    world: World,
    api: ApiServer,
}

/// Runs the demo.
///
/// # Errors
/// A claim does not hold.
pub fn run() -> Outcome {
    let mut output = Output::new(15);
    let stage = set(&mut output)?;
    analyzed(&mut output, &stage)?;
    before(&mut output, &stage)?;
    let mut daemon = start(&mut output, &stage)?;
    requests(&mut output, &stage)?;
    window::outside(&mut output, &stage)?;
    window::unanswered(&mut output, &stage)?;
    added(&mut output, &stage)?;
    removed(&mut output, &stage)?;
    policies::weighed_and_checked(&mut output, &stage)?;
    repaired(&mut output, &stage, &daemon)?;
    device(&mut output, &stage, &daemon)?;
    broken::explained(&mut output, &stage, &daemon)?;
    after(&mut output, &stage)?;
    window::cleaned(&mut output, &stage, &mut daemon)?;
    output.finish();
    Ok(())
}

fn set(output: &mut Output) -> Outcome<Stage> {
    output.step("A node, its pods and an external client, each in its own network namespace");
    let world = World::with_pods(&PODS)?;
    // On a real node kubelet has loaded these modules for its rules; the container has no modprobe.
    world.tool("modprobe -a ip_tables ip6_tables")?;
    let names = PODS.join(", ");
    output.line(&format!("{} pods with small servers: {names}", PODS.len()));
    output.line("The pods and the client route through the node.");
    let api = ApiServer::start(&world, &[])?;
    output.line("A Kubernetes API server runs on the node, with a shop of Services:");
    for service in &SERVICES {
        api.create_all(&service.objects(&world))?;
        output.line(&format!("  {service}"));
    }
    output.line(&format!(
        "A further pod of {}, {}, is added later.",
        FRONT.name, PODS[3]
    ));
    Ok(Stage { world, api })
}

/// A load balancer with a mistake: its second external address belongs to another node.
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

fn analyzed(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("ipvsctl analyze and render check a load balancer offline, before it is created");
    let world = &stage.world;
    let file = world.write("balancer.yaml", BALANCER)?;
    let node = world.write(
        "node.yaml",
        "nodeName: node1\ninterfaces: [{name: eth0, addresses: [192.168.50.1/24]}]\n",
    )?;
    let ran = world.ipvsctl(&[&"analyze", &"-f", &file, &"--node-state", &node])?;
    let findings = ran.exits(1)?.out;
    output.command("ipvsctl analyze -f balancer.yaml", &findings);
    ensure(
        findings.contains("KIV0108"),
        || "no finding about the address of the other node",
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
    output.command(
        "ipvsctl render --section ipset -f balancer.yaml | grep add",
        &entries.join("\n"),
    );
    ensure(entries.len() == 9, || format!("{} entries", entries.len()))
}

fn before(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("ipvsctl diff shows what kube-ipvsd would do, without changing anything");
    let ran = stage.ipvsctl("diff")?.exits(1)?;
    output.command("ipvsctl diff", &ran.out);
    let tally = FRONT.probe(&stage.world, Family::V4).ask(1);
    ensure(
        tally.answers.is_empty(),
        || "a virtual address answers before the daemon started",
    )?;
    output.line("The kernel's table is empty, and no virtual address answers.");
    Ok(())
}

fn start(output: &mut Output, stage: &Stage) -> Outcome<Process> {
    output.step("kube-ipvsd starts and programs the kernel over netlink");
    let config = stage.config()?;
    let kubeconfig = &stage.api.kubeconfig;
    let daemon = stage
        .world
        .daemon(&[&"--kubeconfig", kubeconfig, &"--config", &config])?;
    eventually(|| stage.has_no_difference())?;
    output.log(&daemon, "synced: ");
    let table = stage.world.ipvsctl(&[&"get", &"servers"])?.exits(0)?.out;
    output.command("ipvsctl get servers", &table);
    Ok(daemon)
}

fn requests(output: &mut Output, stage: &Stage) -> Outcome {
    output.step(
        "The client connects to the virtual addresses; each answer contains the name of a pod",
    );
    for service in &SERVICES {
        for family in service.families {
            let probe = service.probe(&stage.world, *family);
            let count = 10 * service.pods.len();
            let tally = probe.ask(count).complete()?;
            output.count(&service.question(*family), &tally);
            in_equal_shares(&tally, service.pods)?;
        }
    }
    Ok(())
}

fn added(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("An endpoint is added: pod front-4");
    let began = Instant::now();
    stage.set_front(&FRONT_PODS)?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    within(Duration::from_secs(5), || {
        let tally = probe.ask(FRONT_PODS.len()).complete()?;
        in_equal_shares(&tally, &FRONT_PODS)
    })?;
    output.line(&format!(
        "After {} ms it gets its share of the connections.",
        began.elapsed().as_millis()
    ));
    let tally = probe.ask(40).complete()?;
    output.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS)
}

fn removed(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("An endpoint is removed: pod front-1");
    let rest = &FRONT_PODS[1..];
    let began = Instant::now();
    stage.set_front(rest)?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    // Packets to a real server that is being deleted are lost, so that a long wait for an answer is
    // useless.
    let hasty = Probe {
        timeout: Duration::from_millis(300),
        ..probe
    };
    within(Duration::from_secs(5), || {
        in_equal_shares(&hasty.ask(rest.len()).complete()?, rest)
    })?;
    output.line(&format!(
        "After {} ms it gets no more connections.",
        began.elapsed().as_millis()
    ));
    let tally = probe.ask(30).complete()?;
    output.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, rest)
}

fn repaired(output: &mut Output, stage: &Stage, daemon: &Process) -> Outcome {
    output.step("Another program deletes a real server");
    // An audit may repair the deletion before `diff` reads it. Then the loop tries again.
    let (began, ran) = within(Duration::from_secs(10), || {
        stage.world.tool(BY_HAND)?;
        Ok((Instant::now(), stage.ipvsctl("diff")?.exits(1)?))
    })?;
    output.command(BY_HAND, "");
    output.command("ipvsctl diff", &ran.out);
    within(Duration::from_secs(10), || stage.has_no_difference())?;
    output.line(&format!(
        "After {:.1} s the audit, which runs every {AUDIT} here, has repaired it:",
        began.elapsed().as_secs_f64()
    ));
    daemon.wait_for_log(Duration::from_secs(5), &["repairing drift"])?;
    output.log(daemon, "repairing drift");
    let probe = FRONT.probe(&stage.world, Family::V4);
    let tally = probe.ask(30).complete()?;
    output.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS[1..])
}

fn device(output: &mut Output, stage: &Stage, daemon: &Process) -> Outcome {
    output.step("Another program deletes kube-ipvs0 with all virtual addresses");
    let before = stage.world.tables()?.addresses;
    let began = Instant::now();
    stage.world.tool(DELETE_DEVICE)?;
    output.command(DELETE_DEVICE, "");
    within(Duration::from_secs(10), || {
        let live = stage.world.tables()?.addresses;
        ensure(live == before, || format!("addresses: {live:?}"))
    })?;
    output.line(&format!(
        "After {} ms its {} addresses are restored: the kernel reports the deletion, so that no audit is needed.",
        began.elapsed().as_millis(),
        before.len(),
    ));
    within(Duration::from_secs(10), || stage.has_no_difference())?;
    let server = SocketAddr::from(([127, 0, 0, 1], 10256));
    for path in ["/livez", "/readyz"] {
        let page = get_text(&stage.world.node, server, path)?;
        output.command(&format!("curl 127.0.0.1:10256{path}"), &page);
    }
    daemon.wait_for_log(Duration::from_secs(5), &["repairing drift", "kube-ipvs0"])?;
    let probe = FRONT.probe(&stage.world, Family::V4);
    let tally = probe.ask(30).complete()?;
    output.count(&FRONT.question(Family::V4), &tally);
    in_equal_shares(&tally, &FRONT_PODS[1..])
}

fn after(output: &mut Output, stage: &Stage) -> Outcome {
    output.step("ipvsctl diff finds no difference");
    let ran = stage.ipvsctl("diff")?.exits(0)?;
    output.command("ipvsctl diff", &ran.out);
    ensure(ran.out.trim() == NO_DIFFERENCE, || ran.out)
}

impl Stage {
    fn config(&self) -> Outcome<PathBuf> {
        let text = format!(
            "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\nmode: ipvs\n\
             conntrack: {{maxPerCore: 0}}\nipvs: {{scheduler: rr, syncPeriod: {AUDIT}}}\n\
             healthChecks: {{networks: [10.244.0.0/16]}}\n\
             allowedAnnotations: [scheduler, weights, healthCheck]\n"
        );
        self.world.write("config.yaml", &text)
    }

    /// Runs `ipvsctl` with the words of `line` and the input of the demo.
    fn ipvsctl(&self, line: &str) -> Outcome<crate::process::Ran> {
        let words: Vec<&str> = line.split(' ').collect();
        let config = self.config()?;
        let mut arguments: Vec<&dyn AsRef<OsStr>> = Vec::new();
        arguments.extend(words.iter().map(|word| word as &dyn AsRef<OsStr>));
        let input: [&dyn AsRef<OsStr>; 6] = [
            &"--config",
            &config,
            &"--kubeconfig",
            &self.api.kubeconfig,
            &"--node",
            &"node1",
        ];
        arguments.extend(input);
        self.world.ipvsctl(&arguments)
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

/// Fails unless each of these pods, and no other, gave the same number of answers.
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

/// Returns the kind of request for a protocol.
fn tool(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "HTTP GET",
        Protocol::Udp => "UDP datagram",
        Protocol::Sctp => "SCTP association",
    }
}
