//! One affinity at every port of a Service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use e2e::{Conversation, Family, Knock, Outcome, PORT, Probe, Protocol, ensure, knock, within};
use serde_json::{Value, json};

use super::{SOON, annotated, configuration};
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, with_slices};

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
/// Second port of the pods and of the Service.
const OTHER: u16 = PORT + 1;
/// Port of another Service at the same load-balancer address. The pods do not have it.
const SHARED: u16 = 9_000;
/// Port that no Service has. The pods have it.
const UNSERVED: u16 = PORT + 2;
/// Number of clients.
const CLIENTS: usize = 8;
/// Order of the clients at the second port. It is linear at its start and not at its end, so that no
/// sequence of three pods gives all clients the pods of the order 0, 1, 2 and so on.
const ORDER: [usize; CLIENTS] = [0, 1, 2, 3, 5, 4, 6, 7];

fn web() -> Service {
    Service::new("web", 1)
}

/// Returns the Service with two TCP ports, the same as those of its endpoints.
fn object(scope: &str) -> Value {
    let mut service = web().outside();
    let port = |name: &str, number: u16, node_port: u16| {
        json!({
            "name": name, "protocol": "TCP", "port": number, "targetPort": number, "nodePort": node_port,
        })
    };
    service["spec"]["ports"] = json!([port("a", PORT, 30_010), port("b", OTHER, 30_011)]);
    service["spec"]["sessionAffinity"] = "ClientIP".into();
    annotated(
        service,
        &[("affinity-scope", scope), ("drain-timeout", "10m")],
    )
}

/// Returns another Service at the load-balancer addresses of the first one, with another port.
fn neighbour() -> Value {
    let mut service = Service::new("other", 2).outside();
    let both = FAMILIES.map(|family| web().address(Address::LoadBalancer, family));
    service["status"]["loadBalancer"]["ingress"] = json!(both.map(|ip| json!({"ip": ip})));
    service["spec"]["ports"] = json!([
        {"name": "tcp", "protocol": "TCP", "port": SHARED, "targetPort": PORT, "nodePort": 30_020},
    ]);
    service
}

fn stage(scope: &str) -> Outcome<Stage> {
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let mut all = with_slices(world, web(), object(scope), &PODS);
        for slice in all.iter_mut().skip(1) {
            slice["ports"] = json!([
                {"name": "a", "protocol": "TCP", "port": PORT},
                {"name": "b", "protocol": "TCP", "port": OTHER},
            ]);
        }
        let other = Service::new("other", 2);
        all.extend(with_slices(world, other, neighbour(), &["pod1"]));
        all
    })?;
    for pod in &stage.world.pods {
        pod.also_listen(OTHER)?;
        pod.also_listen(UNSERVED)?;
    }
    Ok(stage)
}

/// Returns the address of a kind with a port.
fn at(kind: Address, family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(web().address(kind, family), port)
}

/// Returns the pod that answers a client, and the source that the pod sees.
fn pod(stage: &Stage, client: usize, target: SocketAddr) -> Outcome<(String, bool)> {
    let family = match target {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(_) => Family::V6,
    };
    let source = family.client_addresses()[client];
    let probe = Probe {
        source: Some(SocketAddr::new(source, 0)),
        ..Probe::new(&stage.world.client, Protocol::Tcp, target)
    };
    let tally = probe.ask(3).complete()?;
    let masqueraded = tally
        .answers
        .iter()
        .all(|answer| answer.seen_from != source);
    Ok((tally.one_pod()?.to_owned(), masqueraded))
}

/// Returns the number of clients that reach one pod at both ports, and of pods that are reached.
/// The second port is asked in an order in which round robin alone chooses other pods, whatever the
/// order of the pods.
fn agreement(stage: &Stage, kind: Address, family: Family) -> Outcome<(usize, usize)> {
    let ask = |client, port| pod(stage, client, at(kind, family, port));
    let first = (0..CLIENTS)
        .map(|client| ask(client, PORT))
        .collect::<Outcome<Vec<_>>>()?;
    let mut second = vec![(String::new(), false); CLIENTS];
    for client in ORDER {
        second[client] = ask(client, OTHER)?;
    }
    let all = || first.iter().chain(&second);
    ensure(all().all(|(_, masqueraded)| *masqueraded), || {
        format!("{kind:?}: not masqueraded: {first:?}, {second:?}")
    })?;
    let pods: BTreeSet<_> = all().map(|(pod, _)| pod).collect();
    let agree = first
        .iter()
        .zip(&second)
        .filter(|(one, other)| one.0 == other.0);
    Ok((agree.count(), pods.len()))
}

/// With scope `service` each client has one pod at both ports, at each kind of address. Other ports
/// stay refused, and another Service at the address is served.
pub(super) fn service() -> Outcome {
    let stage = stage("service")?;
    for family in FAMILIES {
        for kind in [Address::ClusterIp, Address::LoadBalancer, Address::External] {
            let (agree, pods) = agreement(&stage, kind, family)?;
            ensure(agree == CLIENTS && pods == PODS.len(), || {
                format!("{kind:?} {family:?}: {agree} of {CLIENTS} clients agree, {pods} pods")
            })?;
            let unserved = at(kind, family, UNSERVED);
            let found = knock(&stage.world.client, None, Protocol::Tcp, unserved, SOON);
            ensure(found == Knock::PortUnreachable, || {
                format!("{unserved} is not refused: {found:?}")
            })?;
            let inside = stage.pod("pod1")?;
            let found = knock(&inside.namespace, None, Protocol::Tcp, unserved, SOON);
            ensure(found == Knock::PortUnreachable, || {
                format!("{unserved} is not refused to a pod: {found:?}")
            })?;
            // The node's own connections do not pass the rules that refuse: documented.
            let found = knock(&stage.world.node, None, Protocol::Tcp, unserved, SOON);
            ensure(found == Knock::Open, || {
                format!("{unserved} from the node: {found:?}")
            })?;
        }
        let shared = at(Address::LoadBalancer, family, SHARED);
        let probe = Probe::new(&stage.world.client, Protocol::Tcp, shared);
        let tally = probe.ask(3).complete()?;
        ensure(tally.one_pod()? == "pod1", || {
            format!("{shared}: {tally:?}")
        })?;
        // A pod reaches itself through the Service.
        let own = stage.pod("pod1")?;
        let probe = Probe::new(
            &own.namespace,
            Protocol::Tcp,
            at(Address::ClusterIp, family, OTHER),
        );
        probe.ask(3).complete()?;
    }
    Ok(())
}

/// With scope `port` each port has an affinity of its own.
pub(super) fn port() -> Outcome {
    let stage = stage("port")?;
    for family in FAMILIES {
        let (agree, pods) = agreement(&stage, Address::ClusterIp, family)?;
        ensure(agree < CLIENTS && pods == PODS.len(), || {
            format!("{family:?}: {agree} of {CLIENTS} clients agree, {pods} pods")
        })?;
    }
    Ok(())
}

/// The scope changes in both directions while connections are open. They stay, and the change is
/// complete once they end.
pub(super) fn live() -> Outcome {
    let stage = stage("port")?;
    let target = at(Address::ClusterIp, Family::V4, PORT);
    let every = SocketAddr::new(target.ip(), 0);
    let has = |address: SocketAddr, wanted: bool| {
        within(Duration::from_secs(30), || {
            let tables = stage.world.tables()?;
            let line = format!("-A -t {address} ");
            let found = tables.ipvs.iter().any(|have| have.starts_with(&line));
            ensure(found == wanted, || {
                format!("{address} exists: {found} in {tables}")
            })
        })
    };
    let held = Conversation::open(&stage.world.client, target)?;
    stage.api.replace(&object("service"))?;
    has(every, true)?;
    has(SocketAddr::new(target.ip(), OTHER), false)?;
    // Longer than the time between two counts.
    sleep(Duration::from_secs(7));
    held.is_alive()?;
    has(target, true)?;
    held.reset()?;
    // The kernel forgets a connection that was reset after ten seconds.
    has(target, false)?;
    let held = Conversation::open(&stage.world.client, target)?;
    stage.api.replace(&object("port"))?;
    has(target, true)?;
    sleep(Duration::from_secs(7));
    held.is_alive()?;
    has(every, true)?;
    held.reset()?;
    has(every, false)
}
