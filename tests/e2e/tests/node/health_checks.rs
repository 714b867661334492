//! Health checks of endpoints: where new connections go, and what happens to those that exist.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{
    Context as _, Conversation, Family, Outcome, Protocol, Responder, ensure, get, scaled, within,
};
use libtest_mimic::Trial;

use crate::case;
use crate::policy::Growth;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, own_configuration, served_by, with_slices};

/// Port that is probed. The servers of the pods answer at another one all the time, so that only a
/// health check keeps connections away from them.
const PROBED: u16 = 9090;

/// Time limit for a change to affect packets. The check takes 0.65 s; a responder ends within half
/// a second.
const SOON: Duration = Duration::from_secs(5);

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "health_checks::a_failed_endpoint_gets_no_new_connections_and_keeps_its_own",
            quiesced,
        ),
        case(
            "health_checks::all_endpoints_are_used_if_too_many_fail",
            panics,
        ),
        case(
            "health_checks::an_endpoint_that_recovers_starts_slowly",
            recovers_slowly,
        ),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn stage() -> Outcome<Stage> {
    stage_with("")
}

/// Starts the stage with these further fields of the policy.
fn stage_with(fields: &str) -> Outcome<Stage> {
    let check = format!("type=tcp, port={PROBED}, interval=200ms, timeout=200ms, rise=1, fall=2");
    let policy = format!("  policy: {{healthCheck: \"{check}\"{fields}}}");
    let configuration = own_configuration(&[
        "healthChecks: {networks: [10.244.0.0/16, fd00:10:244::/56]}",
        "servicePolicies:",
        "- name: checked",
        &policy,
    ]);
    Stage::configured(&PODS, &configuration, |world| {
        with_slices(world, web(), web().inside(), &["pod1"])
    })
}

/// Starts a server at the probed port of `pod`.
fn healthy(stage: &Stage, pod: &str) -> Outcome<Responder> {
    let pod = stage.pod(pod)?;
    let places = FAMILIES.map(|family| {
        let address = SocketAddr::new(family.of(pod), PROBED);
        (Protocol::Tcp, address)
    });
    Responder::start(&pod.namespace, &pod.name, &places)
}

/// Fails unless the daemon soon shows this number of failed targets, and the client is served by
/// exactly these pods.
fn soon(stage: &Stage, failed: usize, pods: &[&str]) -> Outcome {
    within(SOON, || {
        let (_, page) = get(&stage.world.node, METRICS, "/healthchecks")?;
        let targets = page["targets"].as_array().map_or(&[][..], Vec::as_slice);
        let found = targets.iter().filter(|target| target["state"] == "failed");
        let found = found.count();
        ensure(found == failed, || {
            format!("expected {failed} failed targets, found {found}: {page}")
        })?;
        FAMILIES.into_iter().try_for_each(|family: Family| {
            let target = web().at(Address::ClusterIp, family);
            served_by(&stage.world.client, target, pods)
        })
    })
}

fn quiesced() -> Outcome {
    let stage = stage()?;
    let mut servers = Vec::new();
    for pod in PODS {
        servers.push(healthy(&stage, pod)?);
    }
    soon(&stage, 0, &["pod1"])?;
    let open = |family| {
        let target = web().at(Address::ClusterIp, family);
        Conversation::open(&stage.world.client, target)
    };
    let conversations = FAMILIES
        .map(open)
        .into_iter()
        .collect::<Outcome<Vec<_>>>()?;
    stage.set_endpoints(web(), &PODS)?;
    soon(&stage, 0, &PODS)?;

    drop(servers.remove(0));
    // Both families of the pod fail.
    soon(&stage, 2, &PODS[1..])?;
    let live = |one: &Conversation| {
        ensure(one.pod == "pod1", || format!("connected to {}", one.pod))?;
        one.is_alive()
    };
    (conversations.iter().try_for_each(live)).context(|| "while pod1 fails")?;

    let _server = healthy(&stage, "pod1")?;
    soon(&stage, 0, &PODS)?;
    (conversations.iter().try_for_each(live)).context(|| "after pod1 recovered")
}

fn panics() -> Outcome {
    let stage = stage()?;
    stage.set_endpoints(web(), &PODS)?;
    let mut servers = Vec::new();
    for pod in &PODS[1..] {
        servers.push(healthy(&stage, pod)?);
    }
    soon(&stage, 2, &PODS[1..])?;
    // Two of three are more than half.
    drop(servers.remove(0));
    soon(&stage, 4, &PODS)?;
    let _server = healthy(&stage, "pod1")?;
    soon(&stage, 2, &["pod1", "pod3"])
}

/// The share of new connections of a recovered endpoint grows as that of a new one, and its
/// connections from before the failure live.
fn recovers_slowly() -> Outcome {
    let time = scaled(Duration::from_secs(18));
    let fields = format!(", scheduler: wrr, slowStart: {}s", time.as_secs());
    let stage = stage_with(&fields)?;
    let mut servers = Vec::new();
    for pod in PODS {
        servers.push(healthy(&stage, pod)?);
    }
    soon(&stage, 0, &["pod1"])?;
    let target = web().at(Address::ClusterIp, Family::V4);
    let conversation = Conversation::open(&stage.world.client, target)?;
    // All are new: pod1 is the only other one.
    stage.set_endpoints(web(), &PODS)?;
    let slow_starts = || -> Outcome<usize> {
        let (_, page) = get(&stage.world.node, METRICS, "/slowstarts")?;
        Ok(page["slowStarts"].as_array().map_or(0, Vec::len))
    };
    let soon_ramping = |expected: usize| {
        within(time + SOON, || {
            let found = slow_starts()?;
            ensure(found == expected, || {
                format!("expected {expected} slow starts, found {found}")
            })
        })
    };
    // Two endpoints at three protocols in two families.
    soon_ramping(12)?;
    soon_ramping(0)?;
    drop(servers.remove(0));
    soon(&stage, 2, &PODS[1..])?;
    let _server = healthy(&stage, "pod1")?;
    soon_ramping(6)?;
    let growth = Growth {
        stage: &stage,
        target,
        pod: "pod1",
        others: 2,
        time,
    };
    growth.follow()?;
    conversation.is_alive()
}
