//! Session affinity.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use e2e::{LongLived, Outcome, Probe, Protocol, Tally, ask_and_reset, ensure, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, with_slices};

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("affinity::a_client_keeps_to_a_pod", keeps),
        case("affinity::it_expires", expires),
        case("affinity::it_expires_over_tcp", expires_over_tcp),
        case(
            "affinity::a_connection_that_is_open_holds_it_longer",
            held_open,
        ),
        case("affinity::it_leaves_a_pod_that_died", dead_pod),
        case("affinity::it_can_be_turned_on_and_off", on_and_off),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn sticky(seconds: u32) -> Value {
    let mut service = web().outside();
    service["spec"]["sessionAffinity"] = "ClientIP".into();
    service["spec"]["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": seconds}});
    service
}

fn stage(service: Value, ipvs: &[&str]) -> Outcome<Stage> {
    Stage::start(&PODS, ipvs, |world| {
        with_slices(world, web(), service, &PODS)
    })
}

/// Sends requests from one of the client's addresses; returns the answers.
fn ask(stage: &Stage, protocol: Protocol, target: SocketAddr, count: usize, from: usize) -> Tally {
    let family = match target {
        SocketAddr::V4(_) => e2e::Family::V4,
        SocketAddr::V6(_) => e2e::Family::V6,
    };
    let source = family.client_addresses()[from];
    let probe = Probe {
        source: Some(SocketAddr::new(source, 0)),
        timeout: Duration::from_secs(1),
        ..Probe::new(&stage.world.client, protocol, target)
    };
    probe.ask(count)
}

fn keeps() -> Outcome {
    let stage = stage(sticky(10_800), &[])?;
    for family in FAMILIES {
        for protocol in Protocol::ALL {
            let target = web().at(Address::LoadBalancer, family);
            let mut pods = Vec::new();
            for from in 0..PODS.len() {
                let tally = ask(&stage, protocol, target, 5, from).complete()?;
                pods.push(tally.one_pod()?.to_owned());
            }
            pods.sort();
            // Round robin assigned the addresses to the pods in turn.
            ensure(pods == PODS, || {
                format!("{target}/{protocol}: the addresses are served by {pods:?}")
            })?;
        }
    }
    Ok(())
}

/// Affinity expires. Uses UDP, because a connection prolongs the affinity and those of UDP expire
/// soon.
fn expires() -> Outcome {
    let stage = stage(sticky(2), &["udpTimeout: 1s"])?;
    for family in FAMILIES {
        let target = web().at(Address::ClusterIp, family);
        let pod = |count| -> Outcome<String> {
            let tally = ask(&stage, Protocol::Udp, target, count, 0).complete()?;
            tally.one_pod().map(str::to_owned)
        };
        let first = pod(5)?;
        sleep(Duration::from_millis(700));
        ensure(pod(5)? == first, || "the affinity expires too early")?;
        sleep(Duration::from_secs(5));
        let second = pod(5)?;
        ensure(second != first, || {
            format!("{first} still answers after five seconds")
        })?;
    }
    Ok(())
}

/// Returns the pods that answer connections, one after the other, each of which ends with a reset.
/// The kernel forgets such a connection after ten seconds; a connection that is closed normally,
/// after two minutes (`tcp_timeouts`, net/netfilter/ipvs/ip_vs_proto_tcp.c, Linux 6.1).
fn ask_by_tcp(stage: &Stage, first_port: u16) -> Outcome<Vec<String>> {
    let mut pods = Vec::new();
    for family in FAMILIES {
        let target = web().at(Address::ClusterIp, family);
        let mut seen = BTreeSet::new();
        for port in first_port..first_port + 4 {
            let source = SocketAddr::new(family.client_addresses()[0], port);
            let (answer, _) = ask_and_reset(&stage.world.client, source, target)?;
            seen.insert(answer.pod);
        }
        ensure(seen.len() == 1, || {
            format!("{target}: more than one pod answers: {seen:?}")
        })?;
        pods.extend(seen);
    }
    Ok(pods)
}

/// Affinity over TCP expires. Its timeout is longer than the time for which the kernel keeps a
/// connection.
fn expires_over_tcp() -> Outcome {
    let stage = stage(sticky(20), &[])?;
    let first = ask_by_tcp(&stage, 40_000)?;
    // The kernel has forgotten the connections, and only the affinity remains.
    sleep(Duration::from_secs(12));
    let again = ask_by_tcp(&stage, 40_010)?;
    ensure(again == first, || {
        format!("{first:?} answered before, {again:?} too early")
    })?;
    sleep(Duration::from_secs(24));
    let second = ask_by_tcp(&stage, 40_020)?;
    let moved = first.iter().zip(&second).all(|(before, now)| before != now);
    ensure(moved, || {
        format!("{first:?} answered before, {second:?} after 24 seconds")
    })
}

/// An open connection prolongs the affinity. Not the API but the kernel defines this: a template
/// with a connection does not expire (`ip_vs_conn_expire`, net/netfilter/ipvs/ip_vs_conn.c, Linux
/// 6.1).
fn held_open() -> Outcome {
    let stage = stage(sticky(2), &[])?;
    let mut open = Vec::new();
    let mut first = Vec::new();
    for family in FAMILIES {
        let target = web().at(Address::ClusterIp, family);
        let connection = LongLived::open(&stage.world.client, target)?;
        first.push(connection.pod.clone());
        open.push(connection);
    }
    sleep(Duration::from_secs(6));
    // From the source address that the kernel selects, as before.
    let now: Vec<String> = FAMILIES
        .into_iter()
        .map(|family| {
            let target = web().at(Address::ClusterIp, family);
            let tally = Probe::new(&stage.world.client, Protocol::Tcp, target).ask(4);
            tally.complete()?.one_pod().map(str::to_owned)
        })
        .collect::<Outcome<_>>()?;
    ensure(now == first, || {
        format!("{first:?} answered before, {now:?} now")
    })?;
    open.into_iter().try_for_each(LongLived::close)
}

fn dead_pod() -> Outcome {
    let stage = stage(sticky(10_800), &[])?;
    let targets: Vec<_> = FAMILIES
        .into_iter()
        .flat_map(|family| {
            Protocol::ALL.map(|protocol| (protocol, web().at(Address::ClusterIp, family)))
        })
        .collect();
    let mut pods = Vec::new();
    for (protocol, target) in &targets {
        let tally = ask(&stage, *protocol, *target, 3, 0).complete()?;
        pods.push(tally.one_pod()?.to_owned());
    }
    let dead = pods[0].clone();
    let left: Vec<&str> = PODS.into_iter().filter(|pod| *pod != dead).collect();
    stage.pod(&dead)?.namespace.ip(&["link set eth0 down"])?;
    stage.set_endpoints(web(), &left)?;
    sleep(Duration::from_secs(1));
    for (place, (protocol, target)) in targets.iter().enumerate() {
        let now = within(Duration::from_secs(2), || {
            let tally = ask(&stage, *protocol, *target, 3, 0).complete()?;
            tally.one_pod().map(str::to_owned)
        })?;
        ensure(now != dead, || {
            format!("{target}/{protocol}: clients are sent to the dead pod {now}")
        })?;
        // The clients of the other pods stay there.
        let stays = pods[place] == dead || pods[place] == now;
        ensure(stays, || {
            format!(
                "{target}/{protocol}: {} answered before, {now} now",
                pods[place]
            )
        })?;
    }
    Ok(())
}

fn on_and_off() -> Outcome {
    let stage = stage(web().outside(), &[])?;
    let target = web().at(Address::ClusterIp, FAMILIES[0]);
    let pods = |wanted: usize| -> Outcome {
        within(Duration::from_secs(2), || {
            let tally = ask(&stage, Protocol::Tcp, target, 6, 0).complete()?;
            ensure(tally.by_pod().len() == wanted, || {
                format!("{:?}", tally.by_pod())
            })
        })
    };
    pods(3)?;
    stage.api.replace(&sticky(10_800))?;
    pods(1)?;
    stage.api.replace(&web().outside())?;
    pods(3)
}
