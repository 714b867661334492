//! Connections to removed endpoints: how long they live, and how they end.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Context as _, Conversation, Failure, Outcome, ensure, get, scaled, within};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, own_configuration, with_slices};

/// Drain timeout on an idle machine, just long enough for the checks in between.
const DEADLINE: Duration = Duration::from_secs(8);
/// Tolerance for the end of a drain: connections are counted every five seconds, and the machine
/// may be slow.
const LATE: Duration = Duration::from_secs(20);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("drains::one_ends_at_its_deadline_with_a_reset", deadline),
        case("drains::one_goes_on_after_a_restart_and_ends_then", restart),
        case(
            "drains::a_lost_endpoint_is_cut_where_that_is_asked_for",
            || lost(true),
        ),
        case(
            "drains::a_lost_endpoint_is_not_cut_where_that_is_not_asked_for",
            || lost(false),
        ),
        case(
            "drains::one_that_terminated_is_not_cut_even_where_that_is_asked_for",
            terminated,
        ),
    ]
}

/// Returns the drain timeout for this machine, in whole seconds: checks during a drain must not
/// outlast it.
fn drain_timeout() -> Duration {
    Duration::from_secs(scaled(DEADLINE).as_secs())
}

fn web() -> Service {
    Service::new("web", 1)
}

/// Starts the stage with the Service on `pod1`. `pod2` gets endpoints later.
fn stage(cut: bool) -> Outcome<Stage> {
    let fields = [
        format!("drainTimeout: {}s", drain_timeout().as_secs()),
        format!("cutLostEndpoints: {cut}"),
    ];
    let configuration = own_configuration(&fields.each_ref().map(String::as_str));
    let stage = Stage::configured(&["pod1", "pod2"], &configuration, |world| {
        with_slices(world, web(), web().outside(), &["pod1"])
    })?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod1"])?;
    Ok(stage)
}

/// Opens connections from the client to the cluster IP and to the load balancer, in both families.
fn conversations(stage: &Stage) -> Outcome<Vec<Conversation>> {
    let kinds = [Address::ClusterIp, Address::LoadBalancer];
    let targets = FAMILIES
        .into_iter()
        .flat_map(|family| kinds.map(|kind| web().at(kind, family)));
    targets
        .map(|target| {
            let opened = Conversation::open(&stage.world.client, target)?;
            let pod = &opened.pod;
            ensure(pod == "pod1", || format!("{pod} answers at {target}"))?;
            Ok(opened)
        })
        .collect()
}

fn live(conversations: &[Conversation]) -> Outcome {
    conversations.iter().try_for_each(Conversation::is_alive)
}

/// Fails unless the next line on each connection resets it, and no line reaches the pod.
fn are_reset(stage: &Stage, conversations: &[Conversation]) -> Outcome {
    let pod = stage.pod("pod1")?;
    let _ = pod.take_answers();
    for conversation in conversations {
        conversation.fails_by(io::ErrorKind::ConnectionReset)?;
    }
    let reached = pod.take_answers();
    ensure(reached == 0, || format!("{reached} lines reached the pod"))
}

/// Returns the TCP real servers of weight 0: `-a -t VIRTUAL -r REAL -m -w 0`.
fn drained(stage: &Stage) -> Outcome<Vec<String>> {
    let tables = stage.world.tables()?;
    let lines = tables.ipvs.into_iter();
    Ok(lines.filter(|line| e2e::Tables::is_drained(line)).collect())
}

/// Returns the drains that `ipvsctl` lists. Fails unless the daemon's pages list the same drains.
fn reported(stage: &Stage) -> Outcome<Vec<Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let ran = stage.world.ipvsctl(&[&"get", &"drains", &"-o", &"json"])?;
    let text = ran.exits(0)?.out;
    let by_tool: Value = serde_json::from_str(&text).context(|| text.clone())?;
    let (_, page) = get(&stage.world.node, METRICS, "/drains")?;
    let (_, status) = get(&stage.world.node, METRICS, "/statusz?format=json")?;
    // All three list the same drains.
    let (by_tool, status) = (list(&by_tool["drains"]), list(&status["drains"]));
    let same = list(&page) == status && status.len() == by_tool.len();
    ensure(same, || {
        format!("the lists differ:\n{page}\n{status:?}\n{by_tool:?}")
    })?;
    for (one, other) in status.iter().zip(&by_tool) {
        let same = one["since"] == other["since"] && one["ends"] == other["deadline"];
        ensure(same && one["ends"].is_string(), || {
            format!("the times differ: {one} and {other}")
        })?;
    }
    Ok(by_tool)
}

/// Fails unless the real server of every conversation is listed, with the connection and the
/// deadline.
fn are_reported(stage: &Stage, conversations: &[Conversation]) -> Outcome {
    within(Duration::from_secs(8), || {
        let drains = reported(stage)?;
        for conversation in conversations {
            let server = format!("{}/TCP", conversation.target);
            let drain = drains.iter().find(|drain| drain["virtualServer"] == server);
            let drain = drain.ok_or_else(|| Failure::new(format!("no {server} in {drains:?}")))?;
            let complete = drain["activeConnections"] == 1
                && drain["service"] == "default/web:tcp"
                && drain["since"].is_string()
                && drain["deadline"].is_string();
            ensure(complete, || drain.to_string())?;
        }
        Ok(())
    })
}

fn is_over(stage: &Stage) -> Outcome {
    within(DEADLINE + LATE, || {
        let drained = drained(stage)?;
        ensure(drained.is_empty(), || format!("{drained:?}"))
    })
}

fn deadline() -> Outcome {
    let stage = stage(false)?;
    let conversations = conversations(&stage)?;
    let begin = Instant::now();
    stage.set_endpoints(web(), &["pod2"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    live(&conversations)?;
    are_reported(&stage, &conversations)?;
    is_over(&stage)?;
    let time = begin.elapsed();
    ensure(time >= drain_timeout(), || {
        format!("the drain ended early, after {time:?}")
    })?;
    are_reset(&stage, &conversations)?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    // The pages are updated within seconds.
    within(LATE, || {
        ensure(
            reported(&stage)?.is_empty(),
            || "a drain that ended is still listed",
        )
    })
}

/// After a restart the daemon reads from the kernel that a real server drains, but not since when:
/// its time starts again (deviation D6).
fn restart() -> Outcome {
    let mut stage = stage(false)?;
    let conversations = conversations(&stage)?;
    stage.set_endpoints(web(), &["pod2"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    stage.stop_daemon()?;
    sleep(Duration::from_secs(2));
    let begin = Instant::now();
    stage.start_daemon(&[])?;
    live(&conversations)?;
    are_reported(&stage, &conversations)?;
    is_over(&stage)?;
    let time = begin.elapsed();
    ensure(time >= drain_timeout(), || {
        format!("the drain ended early, after {time:?}")
    })?;
    are_reset(&stage, &conversations)
}

/// A node fails: its pods send nothing any more, and their endpoints are removed without having
/// terminated.
fn lost(cut: bool) -> Outcome {
    let stage = stage(cut)?;
    let conversations = conversations(&stage)?;
    stage.pod("pod1")?.namespace.ip(&["link set eth0 down"])?;
    stage.set_endpoints(web(), &["pod2"])?;
    // Requests to the dead pod would wait for long.
    sleep(Duration::from_secs(1));
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod2"])?;
    if cut {
        let drained = drained(&stage)?;
        ensure(drained.is_empty(), || format!("{drained:?}"))?;
        return are_reset(&stage, &conversations);
    }
    // The client waits for an answer, at least until the end of the drain.
    conversations[0].fails_by(io::ErrorKind::WouldBlock)?;
    let drained = drained(&stage)?;
    ensure(!drained.is_empty(), || "nothing drains")
}

fn terminated() -> Outcome {
    let stage = stage(true)?;
    let conversations = conversations(&stage)?;
    stage.set_endpoints(web(), &["-pod1", "pod2"])?;
    stage.soon_served_by(web(), Address::ClusterIp, &["pod2"])?;
    stage.set_endpoints(web(), &["pod2"])?;
    // Long enough for a cut, and shorter than the deadline.
    sleep(Duration::from_secs(1));
    live(&conversations)
}
