//! Rules of other programs: policies of the packet filter, and host ports.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{
    Context as _, Family, Knock, Namespace, Neighbour, Outcome, Protocol, ensure, knock, within,
};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, Endpoint, FAMILIES, Service};
use crate::stage::{Stage, node_address, served_by, with_slices};

const TABLES: [&str; 2] = ["iptables-legacy", "ip6tables-legacy"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "filter::forward_policy_drop_stops_nothing_of_services",
            forward,
        ),
        case(
            "filter::input_policy_drop_admits_what_the_operator_accepts",
            input,
        ),
        case(
            "filter::a_host_port_does_not_shadow_a_virtual_address",
            host_port,
        ),
    ]
}

/// A pod on the node and one on its neighbour.
const PODS: [&str; 2] = ["pod1", "pod3"];

fn web() -> Service {
    Service::new("web", 1)
}

/// Starts the stage with an endpoint on the node and one on its neighbour.
fn stage() -> Outcome<(Stage, Neighbour)> {
    let stage = Stage::start(&["pod1", "pod2"], &[], |world| {
        with_slices(world, web(), web().outside(), &["pod1"])
    })?;
    let neighbour = Neighbour::beside(&stage.world, &["pod3"])?;
    for family in FAMILIES {
        let here = family.of(&stage.world.pods[0]);
        let there = family.of(&neighbour.pods[0]);
        let endpoints = [
            Endpoint::ready(here, "node1"),
            Endpoint::ready(there, "node2"),
        ];
        stage.api.replace(&web().slice(family, &endpoints))?;
    }
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod1", "pod3"])?;
    Ok((stage, neighbour))
}

/// Fails unless both pods answer the client, a pod and the node at all addresses.
fn all_served(stage: &Stage) -> Outcome {
    let pod = &stage.pod("pod2")?.namespace;
    let kinds = [Address::ClusterIp, Address::LoadBalancer, Address::External];
    let origins = [
        ("the client", &stage.world.client),
        ("a pod", pod),
        ("the node", &stage.world.node),
    ];
    let mut failures = Vec::new();
    for (name, from) in origins {
        for family in FAMILIES {
            let at_kinds = kinds.map(|kind| served_by(from, web().at(kind, family), &PODS));
            let at_node_port = node_port_served(from, family);
            let all = at_kinds.into_iter().chain([at_node_port]);
            failures.extend(
                all.filter_map(Result::err)
                    .map(|failure| format!("{name}: {failure}")),
            );
        }
    }
    ensure(failures.is_empty(), || failures.join("\n"))
}

fn node_port_served(from: &Namespace, family: Family) -> Outcome {
    for protocol in Protocol::ALL {
        let target = (node_address(family), web().node_port(protocol)).into();
        let tally = e2e::Probe::new(from, protocol, target).ask(4).complete();
        let tally = tally.context(|| format!("{target}/{protocol}"))?;
        ensure(tally.by_pod().len() == PODS.len(), || {
            format!("{target}: {tally:?}")
        })?;
    }
    Ok(())
}

fn forward() -> Outcome {
    let (stage, neighbour) = stage()?;
    for tables in TABLES {
        stage.world.tool(&format!("{tables} -P FORWARD DROP"))?;
    }
    // Neighbour discovery on the bridge passes the filter, unlike ARP.
    stage
        .world
        .tool("ip6tables-legacy -A FORWARD -p icmpv6 -j ACCEPT")?;
    // Packets that belong to no Service are dropped.
    let there = SocketAddr::new(Family::V4.of(&neighbour.pods[0]), e2e::PORT);
    let limit = Duration::from_millis(700);
    let found = knock(&stage.world.client, None, Protocol::Tcp, there, limit);
    ensure(found == Knock::Silence, || {
        format!("{there}: expected no answer, found {found:?}")
    })?;
    all_served(&stage)
}

/// Packets to virtual addresses pass INPUT. Our chains return the packets that they do not refuse,
/// so that the operator's rules and policy decide.
fn input() -> Outcome {
    let (stage, _neighbour) = stage()?;
    for tables in TABLES {
        for line in [
            "-A INPUT -i lo -j ACCEPT",
            "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-P INPUT DROP",
        ] {
            stage.world.tool(&format!("{tables} {line}"))?;
        }
    }
    stage
        .world
        .tool("ip6tables-legacy -A INPUT -p icmpv6 -j ACCEPT")?;
    let limit = Duration::from_millis(700);
    for family in FAMILIES {
        let target = web().at(Address::LoadBalancer, family);
        let found = knock(&stage.world.client, None, Protocol::Tcp, target, limit);
        ensure(found == Knock::Silence, || {
            format!("{target}: expected no answer, found {found:?}")
        })?;
    }
    for tables in TABLES {
        for protocol in Protocol::ALL {
            let ports = format!("80,30000:{}", 30_100);
            let line = format!("-A INPUT -p {protocol} -m multiport --dports {ports} -j ACCEPT");
            stage.world.tool(&format!("{tables} {line}"))?;
        }
    }
    all_served(&stage)
}

/// Adds the rules of a CNI plug-in for a pod with a host port that equals the Service's port.
fn host_port() -> Outcome {
    let (stage, _neighbour) = stage()?;
    for (tables, family) in TABLES.into_iter().zip(FAMILIES) {
        let pod = SocketAddr::new(family.of(stage.pod("pod2")?), e2e::PORT);
        for line in [
            "-N CNI-HOSTPORT".to_owned(),
            format!("-A CNI-HOSTPORT -p tcp --dport 80 -j DNAT --to-destination {pod}"),
            "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT".to_owned(),
            "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT".to_owned(),
        ] {
            stage.world.tool(&format!("{tables} -t nat {line}"))?;
        }
        let own = SocketAddr::new(node_address(family), 80);
        within(Duration::from_secs(2), || {
            let tally = e2e::Probe::new(&stage.world.client, Protocol::Tcp, own).ask(2);
            let tally = tally.complete()?;
            ensure(tally.one_pod()? == "pod2", || format!("{tally:?}"))
        })?;
    }
    all_served(&stage)
}
