//! Drains of Services with times of their own, and policies that change.

use std::io;
use std::time::Duration;

use e2e::{Conversation, Family, Flow, Outcome, ensure, scaled, within};
use serde_json::json;

use super::{
    SOON, annotated, ask, configuration, count, ensure_shares, real_server, soon_has,
    virtual_server,
};
use crate::flows::answered_by;
use crate::service::{Address, Service};
use crate::stage::{Stage, with_slices};

/// Time of the Service with a policy, on an idle machine.
const SHORT: Duration = Duration::from_secs(3);
/// Connections are counted every five seconds, and the machine may be slow.
const LATE: Duration = Duration::from_secs(20);
/// Number of connections that stay open while policies change.
const OPEN: usize = 50;

fn web() -> Service {
    Service::new("web", 1)
}

fn other() -> Service {
    Service::new("other", 2)
}

/// The connections and flows of one Service are closed at its own deadline; those of the other
/// Service live on.
pub(super) fn drains() -> Outcome {
    let time = format!("{}s", scaled(SHORT).as_secs());
    let own = [
        ("drain-timeout", time.as_str()),
        ("udp-drain-timeout", time.as_str()),
    ];
    let fields = ["drainTimeout: 10m", "udpDrainTimeout: 10m"];
    let stage = Stage::configured(&["pod1", "pod2"], &configuration(&fields), |world| {
        let mut all = with_slices(world, web(), annotated(web().inside(), &own), &["pod1"]);
        all.extend(with_slices(world, other(), other().inside(), &["pod1"]));
        all
    })?;
    let [short, long] = [web(), other()].map(|one| one.at(Address::ClusterIp, Family::V4));
    let open = |target| Conversation::open(&stage.world.client, target);
    let connections = (open(short)?, open(long)?);
    let flow = |target| Flow::start(&stage.world.client, target, Duration::from_millis(100));
    let flows = (flow(short)?, flow(long)?);
    within(SOON, || answered_by(&flows.0, "pod1"))?;
    within(SOON, || answered_by(&flows.1, "pod1"))?;
    for service in [web(), other()] {
        stage.set_endpoints(service, &["-pod1", "pod2"])?;
    }
    let draining = [
        real_server(&stage, short, "pod1", 0)?,
        real_server(&stage, long, "pod1", 0)?,
    ];
    soon_has(&stage, &draining)?;
    connections.0.is_alive()?;
    connections.1.is_alive()?;
    within(SHORT + LATE, || {
        let tables = stage.world.tables()?;
        ensure(!tables.ipvs.contains(&draining[0]), || {
            format!("{} still drains", draining[0])
        })
    })?;
    connections.0.fails_by(io::ErrorKind::ConnectionReset)?;
    connections.1.is_alive()?;
    within(SHORT + LATE, || answered_by(&flows.0, "pod2"))?;
    answered_by(&flows.1, "pod1")?;
    soon_has(&stage, &draining[1..])
}

/// Weights, schedulers and policies of the configuration change while connections are open. Every
/// connection stays with its pod.
pub(super) fn live() -> Outcome {
    const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let mut labelled = other().inside();
        labelled["metadata"]["labels"] = json!({"tier": "frontend"});
        let mut all = with_slices(world, web(), web().inside(), &PODS);
        all.extend(with_slices(world, other(), labelled, &PODS));
        all
    })?;
    let [target, selected] = [web(), other()].map(|one| one.at(Address::ClusterIp, Family::V4));
    let open = |place| Conversation::open(&stage.world.client, [target, selected][place % 2]);
    let held = (0..OPEN).map(open).collect::<Outcome<Vec<_>>>()?;
    let all_live = || held.iter().try_for_each(Conversation::is_alive);
    let pods = count(held.iter().map(|one| &*one.pod));
    ensure(pods.len() == PODS.len(), || format!("{pods:?}"))?;
    let weights = |weights: [usize; 3]| {
        let pairs = stage.world.pods.iter().zip(weights);
        let text = pairs.map(|(pod, weight)| format!("{}={weight}", pod.v4));
        text.collect::<Vec<_>>().join(", ")
    };
    let lines = |target, scheduler: &str, weights: [u32; 3]| -> Outcome<Vec<String>> {
        let mut lines = vec![virtual_server(target, scheduler)];
        for (pod, weight) in PODS.into_iter().zip(weights) {
            lines.push(real_server(&stage, target, pod, weight)?);
        }
        Ok(lines)
    };
    let shared = |target, [one, two, three]: [usize; 3]| {
        let shares = [("pod1", one), ("pod2", two), ("pod3", three)];
        ensure_shares(&ask(&stage, target, 80)?, &shares, |part| part / 20.0)
    };

    let changes: [(&str, [usize; 3], [u32; 3]); 3] = [
        ("wrr", [1, 2, 5], [1, 2, 5]),
        ("wrr", [5, 2, 1], [5, 2, 1]),
        ("wlc", [0, 1, 1], [0, 1, 1]),
    ];
    for (scheduler, given, weighed) in changes {
        let text = weights(given);
        let policy = [("scheduler", scheduler), ("weights", &*text)];
        stage.api.replace(&annotated(web().inside(), &policy))?;
        soon_has(&stage, &lines(target, scheduler, weighed)?)?;
        if scheduler == "wrr" {
            shared(target, given)?;
        }
        all_live()?;
    }
    // An endpoint of weight 0 gets no new connection.
    let new = ask(&stage, target, 20)?;
    ensure(!new.contains_key("pod1"), || format!("{new:?}"))?;

    // No policy has read a label so far.
    let text = weights([5, 2, 1]).replace('=', ": ");
    let rule = format!(
        "servicePolicies: [{{name: front, namespaces: [def*], selector: {{matchLabels: {{tier: frontend}}}}, \
         policy: {{scheduler: wrr, weights: {{{text}}}}}}}]"
    );
    let config = |fields: &[&str]| stage.world.write("config.yaml", &configuration(fields));
    config(&[&rule])?;
    soon_has(&stage, &lines(selected, "wrr", [5, 2, 1])?)?;
    shared(selected, [5, 2, 1])?;
    // The policy does not select the other Service.
    soon_has(&stage, &lines(target, "wlc", [0, 1, 1])?)?;
    all_live()?;
    config(&[])?;
    soon_has(&stage, &lines(selected, "rr", [1, 1, 1])?)?;
    all_live()
}
