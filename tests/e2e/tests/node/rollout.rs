//! Pods and daemons that start and stop under load.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use e2e::{Load, LongLived, Outcome, Process, Protocol, ask_and_reset, ensure, within};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, served_by, with_slices};

/// Minimum number of requests for a meaningful result: one for each client in some ten
/// milliseconds.
const LEAST: usize = 100;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "endpoints::one_that_terminates_keeps_its_connections_and_gets_no_new_ones",
            terminating,
        ),
        case(
            "endpoints::where_all_terminate_they_still_serve",
            all_terminate,
        ),
        case(
            "endpoints::a_rolling_update_under_load_fails_no_request",
            rolling_update,
        ),
        case(
            "endpoints::a_source_port_that_is_used_again_meets_no_pod_that_left",
            port_reuse,
        ),
        case("daemon::killed_under_load_fails_no_request", killed),
        case(
            "daemon::an_upgrade_under_load_fails_no_connection",
            upgraded,
        ),
        case(
            "daemon::a_second_one_ends_and_leaves_the_first_at_its_work",
            second,
        ),
    ]
}

const WEB: (&str, u8) = ("web", 1);

fn web() -> Service {
    Service::new(WEB.0, WEB.1)
}

/// Starts the stage with the Service on the pods `first`. The other pods get endpoints later.
fn stage(pods: &[&str], first: &[&str]) -> Outcome<Stage> {
    let stage = Stage::start(pods, &[], |world| {
        with_slices(world, web(), web().outside(), first)
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, first)?;
    Ok(stage)
}

/// Starts clients. TCP only: UDP and SCTP requests to a removed endpoint are cut, as with
/// kube-proxy.
fn load(stage: &Stage) -> Load {
    let targets = FAMILIES.map(|family| (Protocol::Tcp, web().at(Address::LoadBalancer, family)));
    Load::start(&stage.world.client, &targets, 2)
}

fn connections(stage: &Stage) -> Outcome<Vec<LongLived>> {
    FAMILIES
        .into_iter()
        .map(|family| LongLived::open(&stage.world.client, web().at(Address::ClusterIp, family)))
        .collect()
}

fn terminating() -> Outcome {
    let stage = stage(&["pod1", "pod2"], &["pod1"])?;
    let connections = connections(&stage)?;
    stage.set_endpoints(web(), &["-pod1", "pod2"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod2"])?;
    // The endpoint keeps its connections even when it is removed from the slices.
    stage.set_endpoints(web(), &["pod2"])?;
    sleep(Duration::from_millis(500));
    for connection in connections {
        ensure(connection.pod == "pod1", || connection.pod.clone())?;
        let lines = connection.lines();
        within(Duration::from_secs(1), || {
            ensure(
                connection.lines() > lines + 2,
                || "the connection is stalled",
            )
        })?;
        connection.close()?;
    }
    Ok(())
}

fn all_terminate() -> Outcome {
    let stage = stage(&["pod1", "pod2"], &["pod1", "pod2"])?;
    let load = load(&stage);
    stage.set_endpoints(web(), &["-pod1", "-pod2"])?;
    sleep(Duration::from_secs(1));
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1", "pod2"])?;
    load.complete(LEAST).map(drop)
}

/// A source port is used again. The kernel keeps the entry of a connection longer than the
/// connection lives, with its pod.
fn port_reuse() -> Outcome {
    let stage = stage(&["pod1", "pod2"], &["pod1", "pod2"])?;
    let again = |pods: &[&str]| -> Outcome {
        for family in FAMILIES {
            let target = web().at(Address::ClusterIp, family);
            let source = family.client_addresses()[0];
            let mut seen = BTreeSet::new();
            for request in 0..60 {
                let source = SocketAddr::new(source, 40_000 + request % 3);
                let (answer, time) = ask_and_reset(&stage.world.client, source, target)?;
                seen.insert(answer.pod);
                // TCP sends a dropped first packet again after a second.
                ensure(time < Duration::from_millis(500), || {
                    format!("{source}: {time:?}")
                })?;
            }
            ensure(seen.iter().eq(pods), || {
                format!("{target}: expected {pods:?}, found {seen:?}")
            })?;
        }
        Ok(())
    };
    again(&["pod1", "pod2"])?;
    stage.set_endpoints(web(), &["-pod1", "pod2"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    again(&["pod2"])?;
    stage.set_endpoints(web(), &["pod2"])?;
    sleep(Duration::from_millis(300));
    again(&["pod2"])
}

/// Replaces pods as a Deployment does: a new pod becomes ready; an old one terminates, keeps its
/// connections for its grace period, and is removed.
fn rolling_update() -> Outcome {
    let mut stage = stage(
        &["old1", "old2", "old3", "new1", "new2", "new3"],
        &["old1", "old2", "old3"],
    )?;
    let load = load(&stage);
    sleep(Duration::from_millis(300));
    let steps: [(&[&str], &str); 3] = [
        (&["-old1", "new1", "old2", "old3"], "old1"),
        (&["-old2", "new1", "new2", "old3"], "old2"),
        (&["-old3", "new1", "new2", "new3"], "old3"),
    ];
    for (endpoints, old) in steps {
        stage.set_endpoints(web(), endpoints)?;
        // The grace period: requests in progress are answered.
        sleep(Duration::from_secs(2));
        let left: Vec<&str> = endpoints[1..].to_vec();
        stage.set_endpoints(web(), &left)?;
        sleep(Duration::from_millis(300));
        stage.world.pods.retain(|pod| pod.name != old);
    }
    stage.soon_served_by(web(), Address::LoadBalancer, &["new1", "new2", "new3"])?;
    let sum = load.complete(LEAST)?;
    ensure(sum.answers.len() == 6, || {
        format!("not all six pods answered: {:?}", sum.answers)
    })
}

fn killed() -> Outcome {
    let mut stage = stage(&["pod1", "pod2"], &["pod1", "pod2"])?;
    let load = load(&stage);
    let connections = connections(&stage)?;
    sleep(Duration::from_millis(500));
    stage.daemon.kill()?;
    sleep(Duration::from_secs(1));
    let daemon = stage.another_daemon()?;
    still_works(&stage, daemon)?;
    connections.into_iter().try_for_each(LongLived::close)?;
    load.complete(LEAST).map(drop)
}

fn upgraded() -> Outcome {
    let mut stage = stage(&["pod1", "pod2", "pod3"], &["pod1", "pod2"])?;
    let load = load(&stage);
    let connections = connections(&stage)?;
    sleep(Duration::from_millis(500));
    let status = stage.daemon.terminate()?;
    ensure(status.success(), || format!("ended with {status}"))?;
    let daemon = stage.another_daemon()?;
    still_works(&stage, daemon)?;
    connections.into_iter().try_for_each(LongLived::close)?;
    load.complete(LEAST).map(drop)
}

/// A second daemon, started by mistake, ends: two daemons would undo each other's changes.
fn second() -> Outcome {
    let stage = stage(&["pod1", "pod2"], &["pod1", "pod2"])?;
    let load = load(&stage);
    let mut second = stage.another_daemon()?;
    let status = second.wait(Duration::from_secs(10))?;
    ensure(
        !status.success(),
        || "the second daemon ended without an error",
    )?;
    second.wait_for_log(Duration::from_secs(1), &["ERROR", "runs on this node"])?;
    stage.set_endpoints(web(), &["pod1"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    load.complete(LEAST).map(drop)
}

/// Fails unless the new daemon applies a change soon.
fn still_works(stage: &Stage, daemon: Process) -> Outcome {
    within(Duration::from_secs(10), || {
        ensure(
            daemon.log().contains("kube-ipvsd starts"),
            || "the log lacks the start of the new daemon",
        )
    })?;
    sleep(Duration::from_secs(1));
    stage.set_endpoints(web(), &["pod2"])?;
    // The load shares the only processor.
    within(Duration::from_secs(15), || {
        let target = web().at(Address::ClusterIp, FAMILIES[0]);
        served_by(&stage.world.client, target, &["pod2"])
    })?;
    drop(daemon);
    Ok(())
}
