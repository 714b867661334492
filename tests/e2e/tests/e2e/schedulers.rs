//! Every scheduler, protocol and family, from outside and from the node itself: which pods get the
//! requests.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use e2e::{Family, LongLived, Outcome, Probe, Process, Protocol, Tally, World, ensure, eventually};
use libtest_mimic::Trial;

use crate::case;

const SCHEDULERS: [&str; 5] = ["rr", "wrr", "lc", "sh", "mh"];
const PODS: usize = 3;
/// Number of requests, a multiple of the number of pods.
const REQUESTS: usize = 30;

/// Origin of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Client,
    Node,
}

/// A world with one scheduler.
struct Setting {
    world: World,
    _daemon: Process,
}

/// The setting of one scheduler, which its first case creates, because that takes longer than the
/// requests. It is dropped with the last case: otherwise the scheduler's module would stay in use.
type Shared = Arc<Mutex<Option<Setting>>>;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for scheduler in SCHEDULERS {
        let setting = Shared::default();
        for protocol in Protocol::ALL {
            for family in [Family::V4, Family::V6] {
                for origin in [Origin::Client, Origin::Node] {
                    let name =
                        format!("schedulers::{scheduler}_{protocol}_{family:?}_from_{origin:?}")
                            .to_lowercase();
                    let setting = Arc::clone(&setting);
                    trials.push(case(name, move || {
                        check(&setting, scheduler, protocol, family, origin)
                    }));
                }
            }
        }
    }
    trials.push(case("schedulers::lc_avoids_busy_pods", lc_avoids_busy_pods));
    trials.push(case(
        "schedulers::mh_goes_by_address_and_port",
        mh_goes_by_address_and_port,
    ));
    trials
}

/// mh: requests from the same address and port go to the same pod, over every protocol.
fn mh_goes_by_address_and_port() -> Outcome {
    let setting = Setting::make("mh")?;
    let world = &setting.world;
    for family in [Family::V4, Family::V6] {
        for address in family.client_addresses() {
            let mut pods = BTreeSet::new();
            for protocol in Protocol::ALL {
                let probe = Probe {
                    source: Some(SocketAddr::new(address, 33333)),
                    ..Probe::new(&world.client, protocol, family.virtual_server(1))
                };
                pods.insert(ask(world, &probe, 1, None)?.one_pod()?.to_owned());
            }
            ensure(pods.len() == 1, || {
                format!("requests of {address} went to several pods: {pods:?}")
            })?;
        }
    }
    Ok(())
}

/// lc: while the other pods have a connection each, a new one goes to the pod without.
fn lc_avoids_busy_pods() -> Outcome {
    let setting = Setting::make("lc")?;
    let target = Family::V4.virtual_server(1);
    let open = || LongLived::open(&setting.world.client, target);
    let mut held = (0..PODS).map(|_| open()).collect::<Outcome<Vec<_>>>()?;
    for _ in 0..2 * PODS {
        let idle = held.remove(1);
        let pod = idle.pod.clone();
        idle.close()?;
        // The node sees the end of a connection a moment after the client.
        std::thread::sleep(Duration::from_millis(50));
        let next = open()?;
        ensure(next.pod == pod, || {
            format!(
                "the connection went to {}, although {pod} is idle",
                next.pod
            )
        })?;
        held.push(next);
    }
    held.into_iter().try_for_each(LongLived::close)
}

fn check(
    setting: &Shared,
    scheduler: &'static str,
    protocol: Protocol,
    family: Family,
    origin: Origin,
) -> Outcome {
    let mut setting = setting.lock().unwrap_or_else(PoisonError::into_inner);
    let world = match &mut *setting {
        Some(setting) => &setting.world,
        none => &none.insert(Setting::make(scheduler)?).world,
    };
    let target = family.virtual_server(1);
    let from = match origin {
        Origin::Client => &world.client,
        Origin::Node => &world.node,
    };
    for pod in &world.pods {
        let _ = pod.take_answers();
    }
    let probe = Probe::new(from, protocol, target);
    let expected_source = match origin {
        // Masquerading is off: pods see the client's address.
        Origin::Client => None,
        // The node has the virtual address and uses it as source: it must be masqueraded, or a pod
        // of another node would answer to its own node.
        Origin::Node => Some(family.bridge_address()),
    };
    match (scheduler, origin) {
        ("rr" | "wrr", _) => in_turns(&ask(world, &probe, REQUESTS, expected_source)?)?,
        ("lc", _) => equal_shares(&ask(world, &probe, REQUESTS, expected_source)?)?,
        ("sh", Origin::Client) => by_address(world, &probe, family)?,
        ("sh", Origin::Node) => {
            ask(world, &probe, REQUESTS, expected_source)?.one_pod()?;
        }
        _ => by_port(&ask(world, &probe, REQUESTS, expected_source)?)?,
    }
    Ok(())
}

/// Sends requests. Fails unless each is answered by the pod that counted it, and the pod saw the
/// expected source.
fn ask(world: &World, probe: &Probe<'_>, count: usize, source: Option<IpAddr>) -> Outcome<Tally> {
    let tally = probe.ask(count).complete()?;
    let by_pod = tally.by_pod();
    for pod in &world.pods {
        let (answered, received) = (pod.take_answers(), by_pod.get(&*pod.name).copied());
        ensure(received.unwrap_or(0) == answered, || {
            format!(
                "{} counted {answered} answers, the client received {by_pod:?}",
                pod.name
            )
        })?;
    }
    for answer in &tally.answers {
        let right = match source.or(probe.source.map(|source| source.ip())) {
            Some(source) => answer.seen_from == source,
            None => match answer.seen_from {
                IpAddr::V4(_) => Family::V4.client_addresses().contains(&answer.seen_from),
                IpAddr::V6(_) => Family::V6.client_addresses().contains(&answer.seen_from),
            },
        };
        ensure(right, || {
            format!("a pod saw the unexpected source {}", answer.seen_from)
        })?;
    }
    Ok(tally)
}

/// rr, and wrr with equal weights: one pod after the other.
fn in_turns(tally: &Tally) -> Outcome {
    let pods: Vec<&str> = tally.answers.iter().map(|answer| &*answer.pod).collect();
    for round in pods.chunks(PODS) {
        let different: BTreeSet<&str> = round.iter().copied().collect();
        ensure(different.len() == round.len(), || {
            format!("the pods did not answer in turn: {pods:?}")
        })?;
    }
    Ok(())
}

/// lc with requests one after the other: closed connections still count a little, so that shares
/// are equal.
fn equal_shares(tally: &Tally) -> Outcome {
    let by_pod = tally.by_pod();
    let fair = REQUESTS / PODS;
    let equal = by_pod.len() == PODS && by_pod.values().all(|n| n.abs_diff(fair) <= 2);
    ensure(equal, || format!("the shares differ: {by_pod:?}"))
}

/// sh: requests of one address go to one pod, and the addresses use several pods.
fn by_address(world: &World, probe: &Probe<'_>, family: Family) -> Outcome {
    let mut used = BTreeSet::new();
    for address in family.client_addresses() {
        let probe = Probe {
            source: Some(SocketAddr::new(address, 0)),
            ..*probe
        };
        let tally = ask(world, &probe, 4, None)?;
        used.insert(tally.one_pod()?.to_owned());
    }
    ensure(used.len() > 1, || {
        format!("requests of all addresses went to {used:?}")
    })
}

/// mh also hashes the port: all pods get requests.
fn by_port(tally: &Tally) -> Outcome {
    let by_pod = tally.by_pod();
    ensure(by_pod.len() == PODS, || {
        format!("a pod got no requests: {by_pod:?}")
    })
}

impl Setting {
    fn make(scheduler: &'static str) -> Outcome<Self> {
        let world = World::build(PODS)?;
        let manifests = world.write_objects("web.json", world.web("web", 1))?;
        let config = world.config(&[&format!("scheduler: {scheduler}")])?;
        let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
        let expected = world.rendered(&manifests, &config)?;
        // Two families and three protocols, each with a virtual server and three real servers.
        ensure(expected.ipvs.len() == 2 * 3 * (1 + PODS), || {
            format!("unexpected number of rendered entries: {expected}")
        })?;
        eventually(|| world.tables()?.are(&expected))?;
        Ok(Self {
            world,
            _daemon: daemon,
        })
    }
}
