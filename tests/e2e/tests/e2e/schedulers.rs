//! Every scheduler, protocol and family, from outside and from the node itself: who gets the packets.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use e2e::{Family, LongLived, Outcome, Probe, Process, Protocol, Tally, World, ensure, eventually};
use libtest_mimic::Trial;

use crate::case;

const SCHEDULERS: [&str; 5] = ["rr", "wrr", "lc", "sh", "mh"];
const PODS: usize = 3;
/// A multiple of the number of pods.
const REQUESTS: usize = 30;

/// Where requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Client,
    Node,
}

/// A world where one scheduler is at work.
struct Setting {
    world: World,
    _daemon: Process,
}

/// The setting of one scheduler, made by the first of its cases, since it takes longer to make than to ask. It goes with the last
/// of them: it would keep the scheduler's module in use.
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

/// mh: who asks from the same address and port gets the same pod, over every protocol.
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
                format!("{address} was sent to {pods:?}")
            })?;
        }
    }
    Ok(())
}

/// lc: while the other pods hold a connection each, a new one goes to the pod that holds none.
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
            format!("{} was sent to, {pod} is idle", next.pod)
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
        // Masquerading is not asked for: pods see who asks.
        Origin::Client => None,
        // The node holds the virtual address itself and so asks from there: it is masqueraded, or a pod of
        // another node would answer itself.
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

/// Asks; every request is answered, by a pod that says so itself, and which saw who asked.
fn ask(world: &World, probe: &Probe<'_>, count: usize, source: Option<IpAddr>) -> Outcome<Tally> {
    let tally = probe.ask(count).complete()?;
    let said = tally.by_pod();
    for pod in &world.pods {
        let (answered, heard) = (pod.take_answers(), said.get(&*pod.name).copied());
        ensure(heard.unwrap_or(0) == answered, || {
            format!(
                "{} says that it answered {answered} times: {said:?}",
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
            format!("a pod was asked from {}", answer.seen_from)
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
            format!("not in turns: {pods:?}")
        })?;
    }
    Ok(())
}

/// lc with requests one after the other: what is closed still counts a little, so shares are equal.
fn equal_shares(tally: &Tally) -> Outcome {
    let by_pod = tally.by_pod();
    let fair = REQUESTS / PODS;
    let equal = by_pod.len() == PODS && by_pod.values().all(|n| n.abs_diff(fair) <= 2);
    ensure(equal, || format!("shares are not equal: {by_pod:?}"))
}

/// sh: each address of the client has its pod, and not all have the same.
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
        format!("all addresses were sent to {used:?}")
    })
}

/// mh, which looks at the port too: all pods have a share.
fn by_port(tally: &Tally) -> Outcome {
    let by_pod = tally.by_pod();
    ensure(by_pod.len() == PODS, || {
        format!("some pod got nothing: {by_pod:?}")
    })
}

impl Setting {
    fn make(scheduler: &'static str) -> Outcome<Self> {
        let world = World::build(PODS)?;
        let manifests = world.write_objects("web.json", world.web("web", 1))?;
        let config = world.config(&[&format!("scheduler: {scheduler}")])?;
        let daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
        let expected = world.rendered(&manifests, &config)?;
        // Two families, three protocols, three pods and the virtual servers themselves.
        ensure(expected.ipvs.len() == 2 * 3 * (1 + PODS), || {
            format!("rendered: {expected}")
        })?;
        eventually(|| world.tables()?.are(&expected))?;
        Ok(Self {
            world,
            _daemon: daemon,
        })
    }
}
