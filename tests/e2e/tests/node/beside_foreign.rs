//! Node ports for which another program has a virtual server at one address of the node.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use e2e::{Family, Outcome, Probe, Protocol, World, ensure, get_text, within};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::case;
use crate::nodes;
use crate::service::{FAMILIES, Service};
use crate::stage::{METRICS, Stage, configuration, node_address, with_slices};

/// Protocols whose node ports are marked without their addresses.
const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// Time limit for a change, longer than an audit.
const SOON: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("node_port_beside_foreign::of_policy_cluster", || {
            beside_foreign(Service::outside, true)
        }),
        case("node_port_beside_foreign::of_policy_local", || {
            beside_foreign(Service::outside_local, false)
        }),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

/// A node port at an address of the node.
#[derive(Clone, Copy)]
struct Target {
    family: Family,
    protocol: Protocol,
    at: SocketAddr,
}

/// Returns the node ports at the node's first or second address.
fn targets(second: bool) -> impl Iterator<Item = Target> {
    FAMILIES.into_iter().flat_map(move |family| {
        let address: IpAddr = match second {
            true => nodes::second_address(family),
            false => node_address(family),
        };
        PROTOCOLS.map(|protocol| Target {
            family,
            protocol,
            at: SocketAddr::new(address, web().node_port(protocol)),
        })
    })
}

/// Fails unless this pod alone answers at the node's first or second address. It sees the node as
/// its client if `masqueraded`, otherwise the client.
fn answers(world: &World, second: bool, pod: &str, masqueraded: bool) -> Outcome {
    for Target {
        family,
        protocol,
        at,
    } in targets(second)
    {
        let tally = Probe::new(&world.client, protocol, at).ask(3).complete()?;
        let clients = family.client_addresses();
        let from_client = (tally.answers.iter()).all(|answer| clients.contains(&answer.seen_from));
        ensure(
            tally.one_pod()? == pod && from_client != masqueraded,
            || {
                format!(
                    "{at}/{protocol}: expected {pod} (masqueraded: {masqueraded}), found {tally:?}"
                )
            },
        )?;
    }
    Ok(())
}

/// Adds virtual servers for the ports at the node's first address, with this pod, as another
/// program would.
fn add_foreign(stage: &Stage, pod: &str) -> Outcome {
    let pod = stage.pod(pod)?;
    for Target {
        family,
        protocol,
        at,
    } in targets(false)
    {
        let (flag, real) = (flag(protocol), SocketAddr::new(family.of(pod), e2e::PORT));
        let tool = |line: String| stage.world.tool(&line).map(drop);
        tool(format!("ipvsadm -A {flag} {at} -s rr"))?;
        tool(format!("ipvsadm -a {flag} {at} -r {real} -m"))?;
    }
    let count = targets(false).count();
    // The daemon notices them at the next audit.
    within(SOON, || {
        let metrics = get_text(&stage.world.node, METRICS, "/metrics")?;
        let line = format!("kubeipvs_foreign_virtual_servers {count}");
        ensure(metrics.lines().any(|of| of == line), || {
            format!("the metrics lack {line}")
        })
    })
}

/// Returns the `ipvsadm` option for a virtual server of this protocol.
fn flag(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "-u",
        Protocol::Tcp | Protocol::Sctp => "-t",
    }
}

/// A starting daemon distinguishes its virtual servers from those of other programs by the kernel's
/// tables alone. A restart leaves the others unchanged, and continues with ours.
fn beside_foreign(object: fn(Service) -> Value, masqueraded: bool) -> Outcome {
    let text = configuration(&[]).replace("syncPeriod: 30s", "syncPeriod: 1s");
    let pods = ["pod1", "pod2", "foreign"];
    let mut stage = Stage::configured(&pods, &text, |_| Vec::new())?;
    nodes::add(&stage.world)?;
    add_foreign(&stage, "foreign")?;
    let objects = with_slices(&stage.world, web(), object(web()), &["pod1"]);
    stage.api.create_all(&objects)?;
    let served = |stage: &Stage, pod: &str| {
        answers(&stage.world, false, "foreign", false)?;
        answers(&stage.world, true, pod, masqueraded)
    };
    within(SOON, || served(&stage, "pod1"))?;

    stage.daemon.kill()?;
    stage.set_endpoints(web(), &["pod2"])?;
    stage.start_daemon(&[])?;
    within(SOON, || served(&stage, "pod2"))?;

    for Target { protocol, at, .. } in targets(false) {
        let delete = format!("ipvsadm -D {} {at}", flag(protocol));
        stage.world.tool(&delete)?;
    }
    within(SOON, || {
        answers(&stage.world, false, "pod2", masqueraded)?;
        answers(&stage.world, true, "pod2", masqueraded)
    })?;
    let sets = stage.world.tool("ipset save")?;
    let left = sets
        .lines()
        .find(|line| line.contains("-EXTERNAL-IP") && line.contains("192.168."));
    ensure(left.is_none(), || format!("a set entry is left: {left:?}"))
}
