//! All that `ipvsctl render` prints, put into a real kernel by the operator's own tools: they take it, give
//! it back as it was, and packets go as the packet oracle of `tests/conformance` says.

mod harness;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use e2e::{Namespace, Outcome, Probe, Protocol, World, ensure};
use harness::case;

fn main() -> ExitCode {
    let trials = vec![
        case("the_tools_take_and_give_back_what_is_rendered", taken),
        case("source_ranges_admit_clients_and_the_node", ranges),
        case("a_node_that_is_not_admitted_is_dropped_by_its_mark", mark),
        case(
            "other_ports_of_a_virtual_address_are_refused_at_once",
            refused,
        ),
        case(
            "the_node_reaches_a_policy_local_without_endpoints_here",
            local,
        ),
        case("a_pod_reaches_itself", hairpin),
        case(
            "node_ports_and_external_addresses_are_masqueraded",
            masqueraded,
        ),
    ];
    harness::run(trials, || World::build(0)?.tables().map(drop))
}

/// The node as `ipvsctl --node-state` reads it.
const NODE: &str = "\
nodeName: node1
interfaces:
  - {name: eth0, addresses: [192.168.50.1/24, \"fd00:50::1/64\"]}
  - {name: cni0, addresses: [10.244.0.1/24, \"fd00:10:244::1/64\"]}
";

const CONFIG: &str = "clusterCIDR: 10.244.0.0/16,fd00:10:244::/56\n";

const OBJECTS: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 192.168.50.1}, {type: InternalIP, address: "fd00:50::1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec:
  type: NodePort
  clusterIPs: [10.96.0.1, "fd00:96::1"]
  externalIPs: [203.0.113.1]
  ports: [{name: a, port: 80, nodePort: 30080}]
---
apiVersion: v1
kind: Service
metadata: {name: all}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.2]
  loadBalancerSourceRanges: [0.0.0.0/0]
  ports: [{name: a, port: 80}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.2}]}}
---
apiVersion: v1
kind: Service
metadata: {name: clients}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.3]
  loadBalancerSourceRanges: [192.168.50.10/31]
  ports: [{name: a, port: 80}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.3}]}}
---
apiVersion: v1
kind: Service
metadata: {name: same-address}
spec:
  type: LoadBalancer
  clusterIPs: [10.96.0.4]
  ports: [{name: a, port: 81}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.3}]}}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: 31000
  clusterIPs: [10.96.0.5]
  ports: [{name: a, port: 80}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.5}]}}
"#;

/// A world with these objects in its kernel. Every Service has the pod as its endpoint; that of
/// `elsewhere` claims to be on another node.
fn world() -> Outcome<World> {
    let world = World::build(1)?;
    let mut objects = OBJECTS.to_owned();
    for service in ["plain", "all", "clients", "same-address", "elsewhere"] {
        let node = if service == "elsewhere" {
            "node2"
        } else {
            "node1"
        };
        for (family, address) in [
            ("IPv4", world.pods[0].v4.to_string()),
            ("IPv6", world.pods[0].v6.to_string()),
        ] {
            objects.push_str(&format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {service}-{family}, labels: {{kubernetes.io/service-name: {service}}}}}\n\
                 addressType: {family}\nendpoints: [{{addresses: [\"{address}\"], nodeName: {node}}}]\n\
                 ports: [{{name: a, port: 8080}}]\n"
            ));
        }
    }
    world.write("objects.yaml", &objects)?;
    world.write("node.yaml", NODE)?;
    world.write("config.yaml", CONFIG)?;
    world.node.ip(&["link add kube-ipvs0 type dummy"])?;
    load(&world)?;
    Ok(world)
}

fn render(world: &World, section: &str) -> Outcome<String> {
    let path = |name: &str| world.path(name);
    let ran = world.ipvsctl(&[
        &"render",
        &"-f",
        &path("objects.yaml"),
        &"--node-state",
        &path("node.yaml"),
        &"--config",
        &path("config.yaml"),
        &"--section",
        &section,
    ])?;
    let text = ran.exits(0)?.out;
    Ok(text
        .split_once('\n')
        .map_or("", |(_, rest)| rest)
        .to_owned())
}

fn load(world: &World) -> Outcome {
    for (section, tool) in [
        ("ipset", "ipset restore"),
        ("rules4", "iptables-legacy-restore --noflush"),
        ("rules6", "ip6tables-legacy-restore --noflush"),
        ("ipvs", "ipvsadm --restore"),
    ] {
        let path = world.write(section, &render(world, section)?)?;
        shell(world, &format!("{tool} < {}", path.display()))?;
    }
    for address in render(world, "addresses")?.lines() {
        world
            .node
            .ip(&[format!("address add {address} dev kube-ipvs0")])?;
    }
    for setting in render(world, "sysctl")?.lines() {
        if let Some((name, value)) = setting.split_once(" = ") {
            world
                .node
                .sysctl(&name.trim_start_matches("net.").replace('.', "/"), value)?;
        }
    }
    Ok(())
}

/// Runs a line of shell on the node.
fn shell(world: &World, line: &str) -> Outcome<String> {
    let script = world.write("script", line)?;
    world.tool(&format!("sh {}", script.display()))
}

fn taken() -> Outcome {
    let world = world()?;
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.sort();
        lines
    };
    let same = |what: &str, saved: &str, rendered: &str| {
        let (saved, rendered) = (sorted(saved), sorted(rendered));
        let missing: Vec<&String> = rendered
            .iter()
            .filter(|line| !saved.contains(line))
            .collect();
        ensure(missing.is_empty(), || format!("{what} lacks {missing:#?}"))
    };
    let ipset = shell(
        &world,
        "ipset save | sed -E 's/ (hashsize|bucketsize|initval) [^ ]+//g'",
    )?;
    same("ipset", &ipset, &render(&world, "ipset")?)?;
    for (section, tool) in [
        ("rules4", "iptables-legacy-save"),
        ("rules6", "ip6tables-legacy-save"),
    ] {
        let saved = shell(&world, &format!("{tool} | sed -E 's/ \\[[0-9:]+\\]//'"))?;
        let rendered = render(&world, section)?;
        same(tool, &saved, &rendered.replace(" [0:0]", ""))?;
    }
    Ok(())
}

/// The address that the pod sees, asked from there by TCP; none without an answer.
fn seen(from: &Namespace, source: Option<&str>, target: &str) -> Outcome<Option<IpAddr>> {
    let target: SocketAddr = target.parse().map_err(|_| e2e::Failure::new("no target"))?;
    let source = source.and_then(|source| source.parse().ok());
    let tally = Probe {
        source: source.map(|address: IpAddr| SocketAddr::new(address, 0)),
        patience: Duration::from_secs(1),
        ..Probe::new(from, Protocol::Tcp, target)
    }
    .ask(1);
    Ok(tally.answers.first().map(|answer| answer.seen_from))
}

fn expect(from: &Namespace, source: Option<&str>, target: &str, seeing: Option<&str>) -> Outcome {
    let found = seen(from, source, target)?.map(|address| address.to_string());
    ensure(found.as_deref() == seeing, || {
        format!("{target} from {source:?}: the pod sees {found:?}, not {seeing:?}")
    })
}

fn ranges() -> Outcome {
    let world = world()?;
    let (client, node) = (&world.client, &world.node);
    expect(
        client,
        Some("192.168.50.10"),
        "203.0.113.3:80",
        Some("10.244.0.1"),
    )?;
    expect(client, Some("192.168.50.12"), "203.0.113.3:80", None)?;
    expect(
        client,
        Some("192.168.50.12"),
        "203.0.113.3:81",
        Some("10.244.0.1"),
    )?;
    expect(
        client,
        Some("192.168.50.12"),
        "203.0.113.2:80",
        Some("10.244.0.1"),
    )?;
    expect(node, None, "203.0.113.2:80", Some("10.244.0.1"))
}

/// The mark of nat OUTPUT is still there in filter OUTPUT, behind IPVS; without the rule there the
/// connection would be served.
fn mark() -> Outcome {
    let world = world()?;
    expect(&world.node, None, "203.0.113.3:80", None)?;
    expect(&world.node, None, "203.0.113.3:81", Some("10.244.0.1"))?;
    shell(&world, "iptables-legacy -F KUBE-IPVS-OUT-FILTER")?;
    expect(&world.node, None, "203.0.113.3:80", Some("10.244.0.1"))
}

fn refused() -> Outcome {
    let world = world()?;
    let listener = world.node.run(|| std::net::TcpListener::bind("0.0.0.0:22"));
    ensure(listener.is_ok(), || "nobody can listen at port 22")?;
    for (from, target) in [
        (&world.client, "203.0.113.1:22"),
        (&*world.node, "10.96.0.1:22"),
    ] {
        let target: SocketAddr = target.parse().map_err(|_| e2e::Failure::new("no target"))?;
        let tally = Probe::new(from, Protocol::Tcp, target).ask(1);
        let refused = tally
            .failures
            .iter()
            .any(|failure| failure.contains("refused"));
        ensure(refused, || format!("{target}: {tally:?}"))?;
    }
    Ok(())
}

/// Deviation D12; without the entry of the set the pod would see the virtual address.
fn local() -> Outcome {
    let world = world()?;
    expect(&world.node, None, "203.0.113.5:80", Some("10.244.0.1"))?;
    expect(
        &world.client,
        Some("192.168.50.10"),
        "203.0.113.5:80",
        Some("192.168.50.10"),
    )?;
    shell(&world, "ipset flush KUBE-IPVS-NO-LOCAL-ENDPOINT")?;
    expect(&world.node, None, "203.0.113.5:80", Some("203.0.113.5"))
}

fn hairpin() -> Outcome {
    let world = world()?;
    // Else a bridge sends nothing back by the port at which it came; kubelet's and CNI's bridges do.
    world
        .node
        .ip(&["link set veth10 type bridge_slave hairpin on"])?;
    let pod = &world.pods[0].namespace;
    expect(pod, None, "10.96.0.1:80", Some("10.244.0.1"))?;
    expect(pod, None, "[fd00:96::1]:80", Some("fd00:10:244::1"))
}

fn masqueraded() -> Outcome {
    let world = world()?;
    for target in ["192.168.50.1:30080", "203.0.113.1:80", "10.96.0.1:80"] {
        expect(
            &world.client,
            Some("192.168.50.10"),
            target,
            Some("10.244.0.1"),
        )?;
    }
    let target = "[fd00:50::1]:30080";
    expect(
        &world.client,
        Some("fd00:50::10"),
        target,
        Some("fd00:10:244::1"),
    )?;
    expect(&world.node, None, "192.168.50.1:30080", Some("10.244.0.1"))
}
