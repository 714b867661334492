//! Rolling updates of many Services under many connections.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{
    Family, Load, Namespace, Outcome, Places, Process, Protocol, Responder, Tables, World, ensure,
    objects, within,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;

const SERVICES: u8 = 20;
const PODS: usize = 10;
const ROUNDS: usize = 50;
/// Time between the starts of two rounds.
const ROUND: Duration = Duration::from_millis(2500);
/// New connections per second.
const RATE: u32 = 2_000;
/// The port of the pods' servers.
const PORT: u16 = 8090;
/// Minimum number of answers for a meaningful result.
const LEAST: usize = 50_000;
/// Time limit for a change to reach the tables on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// Time limit for the end of drains: the kernel keeps a reset connection for some time, and the
/// daemon polls; the machine is busy.
const DRAINED: Duration = Duration::from_secs(45);

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "rolling::updates_of_20_services_under_load_fail_no_request",
        updates,
    )]
}

/// In each round every Service gets a new pod and loses an old one; in every second Service the old
/// one does not terminate before it is removed.
fn updates() -> Outcome {
    let world = World::build(PODS)?;
    let manifests = write_round(&world, 0)?;
    let config = world.config(&["scheduler: rr"])?;
    let _daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    within(SOON, || converged(&world, &manifests, &config))?;

    let servers: Vec<_> = (world.pods.iter())
        .map(|pod| {
            let at = |address: IpAddr| (Protocol::Tcp, SocketAddr::new(address, PORT));
            (pod, [at(pod.v4.into()), at(pod.v6.into())])
        })
        .collect();
    let servers: Vec<(&Namespace, &str, Places<'_>)> = (servers.iter())
        .map(|(pod, places)| (&*pod.namespace, &*pod.name, &places[..]))
        .collect();
    let _responder = Responder::start_all(&servers)?;
    let targets: Vec<SocketAddr> = (1..=SERVICES)
        .map(|number| family(number).virtual_server(number))
        .collect();
    let busy = busy(&world)?;
    let begin = Instant::now();
    let load = Load::surge(&world.client, &targets, RATE);
    for round in 1..=ROUNDS {
        let began = Instant::now();
        write_round(&world, round)?;
        sleep(ROUND.saturating_sub(began.elapsed()));
    }
    let took = begin.elapsed();
    let answers = load.answers();
    println!(
        "{ROUNDS} rounds in {took:.0?}, {answers} requests, {:.0} per second",
        answers as f64 / took.as_secs_f64()
    );
    within(SOON, || converged(&world, &manifests, &config))?;
    let sum = load.complete(LEAST)?;
    println!("the slowest answer took {:.1?}", sum.slowest);
    drop(busy);
    ensure(sum.answers.len() == PODS, || {
        format!("expected answers of {PODS} pods, found {:?}", sum.answers)
    })?;
    // All removed endpoints are deleted in time.
    within(DRAINED, || {
        let ipvs = world.tables()?.ipvs;
        let drained = ipvs.iter().filter(|line| Tables::is_drained(line)).count();
        ensure(drained == 0, || {
            format!("{drained} real servers still drain")
        })
    })
}

fn name(number: u8) -> String {
    format!("web{number}")
}

/// Returns the family of a Service. In each family, half of the Services have pods that terminate,
/// half have pods that are removed at once.
fn family(number: u8) -> Family {
    match number {
        ..=10 => Family::V4,
        _ => Family::V6,
    }
}

/// Returns the slice of a Service in this round: two pods are ready, and the one that was ready in
/// the previous round terminates or is removed.
fn slice(world: &World, number: u8, round: usize) -> Value {
    let family = family(number);
    let first = usize::from(number) + round;
    let at = |place: usize| family.of(&world.pods[place % PODS]);
    let mut pods: Vec<IpAddr> = vec![at(first + 1), at(first + 2)];
    let terminates = round > 0 && number.is_multiple_of(2);
    if terminates {
        pods.push(at(first));
    }
    let mut slice = objects::empty_slice(&name(number), family.name(), &pods, &[Protocol::Tcp]);
    slice["ports"][0]["port"] = PORT.into();
    if terminates {
        slice["endpoints"][2]["conditions"] =
            json!({"ready": false, "serving": true, "terminating": true});
    }
    slice
}

/// Writes the Services and their slices as one file, so that all of them change at once.
fn write_round(world: &World, round: usize) -> Outcome<PathBuf> {
    let mut all = Vec::new();
    for number in 1..=SERVICES {
        let address = family(number).virtual_address(number);
        let service = objects::service(&name(number), &[address], &[Protocol::Tcp]);
        all.extend([service, slice(world, number, round)]);
    }
    world.write_objects("manifests/all.json", all)
}

fn converged(world: &World, manifests: &Path, config: &Path) -> Outcome {
    let expected = world.rendered(manifests, config)?;
    world.tables()?.are(&expected)
}

/// Starts a process that uses all idle processor time.
fn busy(world: &World) -> Outcome<Process> {
    let mut command = world.node.command("busybox");
    command.args(["nice", "-n", "10", "sh", "-c", "while :; do :; done"]);
    Process::start("busy", command)
}
