//! Beside rules of others: policies of the filter, and ports of the host.

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
            "filter::input_policy_drop_lets_in_what_the_operator_lets_in",
            input,
        ),
        case(
            "filter::a_host_port_does_not_shadow_a_virtual_address",
            host_port,
        ),
    ]
}

/// One on the node, one on its neighbour.
const PODS: [&str; 2] = ["pod1", "pod3"];

fn web() -> Service {
    Service::new("web", 1)
}

/// With an endpoint on the node and one on its neighbour.
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
    let askers = [
        ("the client", &stage.world.client),
        ("a pod", pod),
        ("the node", &stage.world.node),
    ];
    let mut failures = Vec::new();
    for (name, from) in askers {
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
    // Neighbours on the bridge find each other by packets that the filter sees, and ARP is none of them.
    stage
        .world
        .tool("ip6tables-legacy -A FORWARD -p icmpv6 -j ACCEPT")?;
    // What is no Service's is dropped.
    let there = SocketAddr::new(Family::V4.of(&neighbour.pods[0]), e2e::PORT);
    let patience = Duration::from_millis(700);
    let found = knock(&stage.world.client, None, Protocol::Tcp, there, patience);
    ensure(found == Knock::Silence, || format!("{there}: {found:?}"))?;
    all_served(&stage)
}

/// Packets to virtual addresses pass INPUT. Our chains return what they do not refuse, so that the operator's rules and
/// policy have the last word.
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
    let patience = Duration::from_millis(700);
    for family in FAMILIES {
        let target = web().at(Address::LoadBalancer, family);
        let found = knock(&stage.world.client, None, Protocol::Tcp, target, patience);
        ensure(found == Knock::Silence, || format!("{target}: {found:?}"))?;
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

/// A CNI plug-in's rules for a pod with a host port that is the Service's port too.
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
