//! The node itself: its addresses, its health check node ports, and cleanup.

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use e2e::{Family, Outcome, Probe, Protocol, World, ensure, get, within};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, node_address, slices, with_slices};

/// Time limit for a new address or endpoint to take effect.
const SOON: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "node::an_address_that_is_added_has_node_ports_at_once",
            address_added,
        ),
        case("node::a_removed_address_has_no_node_ports", address_removed),
        case(
            "health_check_node_port::says_whether_endpoints_are_here",
            health_check,
        ),
        case(
            "health_check_node_port::answers_at_virtual_addresses_too",
            health_check_at_virtual_address,
        ),
        case("cleanup::leaves_everything_as_it_was_before", cleanup),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn stage() -> Outcome<Stage> {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        with_slices(world, web(), web().outside_local(), &["pod1"])
    })?;
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod1"])?;
    Ok(stage)
}

/// The address that [`add`] gives the node.
pub(crate) fn second_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 168, 51, 1].into(),
        Family::V6 => [0xfd00, 0x51, 0, 0, 0, 0, 0, 1].into(),
    }
}

/// Gives the node a second address in each family.
pub(crate) fn add(world: &World) -> Outcome {
    world.node.ip(&[
        "address add 192.168.51.1/24 dev outside",
        "address add fd00:51::1/64 dev outside nodad",
    ])?;
    world.client.ip(&[
        "route add 192.168.51.0/24 via 192.168.50.1",
        "route add fd00:51::/64 via fd00:50::1",
    ])
}

/// Fails unless the node port is served at all new addresses (if `expected`), or at none of them.
fn served(stage: &Stage, expected: bool) -> Outcome {
    for address in FAMILIES.map(second_address) {
        for protocol in Protocol::ALL {
            let target = SocketAddr::new(address, web().node_port(protocol));
            let probe = Probe {
                timeout: Duration::from_millis(500),
                ..Probe::new(&stage.world.client, protocol, target)
            };
            let tally = probe.ask(1);
            ensure(tally.failures.is_empty() == expected, || {
                format!("{target}/{protocol}: {tally:?}")
            })?;
        }
    }
    Ok(())
}

fn address_added() -> Outcome {
    let stage = stage()?;
    add(&stage.world)?;
    within(SOON, || served(&stage, true))
}

fn address_removed() -> Outcome {
    let stage = stage()?;
    add(&stage.world)?;
    within(SOON, || served(&stage, true))?;
    stage.world.node.ip(&[
        "address del 192.168.51.1/24 dev outside",
        "address del fd00:51::1/64 dev outside",
    ])?;
    sleep(Duration::from_secs(1));
    // The addresses are now local through `lo`: nothing may be served there any more.
    stage.world.node.ip(&[
        "route add local 192.168.51.1 dev lo",
        "route add local fd00:51::1 dev lo",
    ])?;
    served(&stage, false)
}

fn healthy(stage: &Stage, address: SocketAddr, endpoints: u64) -> Outcome {
    let (status, body) = get(&stage.world.client, address, "/")?;
    let wanted = if endpoints > 0 { 200 } else { 503 };
    let found = (status, body["localEndpoints"].as_u64());
    ensure(found == (wanted, Some(endpoints)), || {
        format!("{address}: expected {wanted} with {endpoints} endpoints, found {status} {body}")
    })
}

fn health_check() -> Outcome {
    let stage = stage()?;
    let all = |endpoints| -> Outcome {
        for family in FAMILIES {
            let port = web().health_check_port();
            healthy(
                &stage,
                SocketAddr::new(node_address(family), port),
                endpoints,
            )?;
        }
        Ok(())
    };
    within(SOON, || all(1))?;
    stage.set_endpoints(web(), &["pod1", "pod2"])?;
    within(SOON, || all(2))?;
    // Endpoints that terminate do not count.
    stage.set_endpoints(web(), &["-pod1", "-pod2"])?;
    within(SOON, || all(0))?;
    stage.set_endpoints(web(), &["pod2"])?;
    within(SOON, || all(1))
}

fn health_check_at_virtual_address() -> Outcome {
    let stage = stage()?;
    for family in FAMILIES {
        let address = web().address(Address::LoadBalancer, family);
        let address = SocketAddr::new(address, web().health_check_port());
        within(SOON, || healthy(&stage, address, 1))?;
    }
    Ok(())
}

/// Returns the state of the kernel, without counters and timestamps.
fn everything(world: &World) -> Outcome<String> {
    let mut all = String::new();
    for line in [
        "iptables-legacy-save",
        "ip6tables-legacy-save",
        "ipset save",
        "ipvsadm -Sn",
        "ip -oneline link show",
        "ip -4 route show table all",
    ] {
        let mut lines: Vec<String> = (world.tool(line)?.lines())
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(" [").next().unwrap_or_default().to_owned())
            // A bridge becomes UP shortly after its first port.
            .map(|line| line.replace(" state UNKNOWN ", " state UP "))
            .collect();
        lines.push(format!("--- {line}"));
        all.push_str(&lines.join("\n"));
        all.push('\n');
    }
    Ok(all)
}

fn cleanup() -> Outcome {
    let world = World::with_pods(&["pod1", "pod2"])?;
    // Rules and sets of another program. Besides, `iptables-save` shows a table only after its
    // first use.
    for tables in ["iptables-legacy", "ip6tables-legacy"] {
        for line in [
            "-t nat -N THEIRS",
            "-t nat -A POSTROUTING -j THEIRS",
            "-A INPUT -p tcp --dport 9 -j DROP",
            "-t mangle -A PREROUTING -p tcp --dport 9 -j ACCEPT",
        ] {
            world.tool(&format!("{tables} {line}"))?;
        }
    }
    world.tool("ipset create THEIRS hash:ip")?;
    world.tool("ipvsadm -A -t 192.168.50.1:8443 -s rr")?;
    world.tool("ipvsadm -a -t 192.168.50.1:8443 -r 10.244.0.10:8080 -m")?;
    let before = everything(&world)?;

    let mut objects = with_slices(&world, web(), web().outside_local(), &["pod1", "pod2"]);
    let mut guarded = Service::new("guarded", 2).outside();
    guarded["spec"]["loadBalancerSourceRanges"] = serde_json::json!(["192.168.50.0/24"]);
    objects.push(guarded);
    objects.extend(slices(&world, Service::new("guarded", 2), &["pod1"]));
    let objects = world.write_objects("all.json", objects)?;
    let config = world.write("config.yaml", &crate::stage::configuration(&[]))?;
    let mut daemon = world.daemon(&[&"--manifests", &objects, &"--config", &config])?;
    within(Duration::from_secs(30), || {
        let target = web().at(Address::LoadBalancer, Family::V6);
        let tally = Probe::new(&world.client, Protocol::Tcp, target).ask(2);
        tally.complete().map(drop)
    })?;
    ensure(
        everything(&world)? != before,
        || "the daemon changed nothing",
    )?;
    daemon.terminate()?;
    let arguments: e2e::Arguments<'_> = &[&"--cleanup", &"--config", &config];
    world.run_daemon(arguments)?.exits(0)?;
    let after = everything(&world)?;
    let more = after.lines().filter(|line| !before.contains(*line));
    let less = before.lines().filter(|line| !after.contains(*line));
    let differs: Vec<String> = more
        .map(|line| format!("+ {line}"))
        .chain(less.map(|line| format!("- {line}")))
        .collect();
    ensure(after == before, || {
        format!("the cleanup left differences:\n{}", differs.join("\n"))
    })
}
