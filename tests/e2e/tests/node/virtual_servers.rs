//! VirtualServers of files with fields of a policy: health checks and drain times.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::{
    Context as _, Conversation, Failure, Family, Outcome, PORT, Probe, Process, Protocol,
    Responder, World, ensure, get, scaled, within,
};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, own_configuration};

/// Port that is probed. The pods answer at another one all the time.
const PROBED: u16 = 9090;

/// Time limit for a change to affect packets.
const SOON: Duration = Duration::from_secs(10);

/// Drain timeout of the object on an idle machine. That of the configuration is 15 minutes.
const DEADLINE: Duration = Duration::from_secs(8);

/// Tolerance for the end of a drain.
const LATE: Duration = Duration::from_secs(20);

const PODS: [&str; 2] = ["pod1", "pod2"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "virtual_servers::a_failed_real_server_is_avoided_and_comes_back",
            checked,
        ),
        case(
            "virtual_servers::a_drain_ends_at_the_deadline_of_the_object",
            drained,
        ),
    ]
}

/// A world with a daemon that reads VirtualServers, and no Kubernetes.
struct Files {
    world: World,
    _daemon: Process,
}

impl Files {
    /// Starts the world with a VirtualServer of each family, which has these fields.
    fn start(fields: &str) -> Outcome<Self> {
        let world = World::with_pods(&PODS)?;
        // Networks restrict the checks of Services only.
        let config = world.write("config.yaml", &own_configuration(&[]))?;
        write(&world, fields, &PODS)?;
        let directory = world.path("manifests");
        let daemon = world.daemon(&[&"--manifests", &directory, &"--config", &config])?;
        let files = Self {
            world,
            _daemon: daemon,
        };
        files.soon_served_by(&PODS)?;
        Ok(files)
    }

    fn soon_served_by(&self, pods: &[&str]) -> Outcome {
        within(SOON, || {
            FAMILIES.into_iter().try_for_each(|family| {
                let target = target(family);
                let tally = Probe::new(&self.world.client, Protocol::Tcp, target)
                    .ask(2 * PODS.len())
                    .complete()
                    .context(|| target.to_string())?;
                let by_pod = tally.by_pod();
                ensure(by_pod.keys().eq(pods), || {
                    format!("{target}: expected answers of {pods:?}, found {by_pod:?}")
                })
            })
        })
    }

    /// Opens connections until each family has one to `pod1`.
    fn to_first_pod(&self) -> Outcome<Vec<Conversation>> {
        let open = |family| {
            let first = Conversation::open(&self.world.client, target(family))?;
            match first.pod.as_str() {
                "pod1" => Ok(first),
                // `rr` takes the other one next.
                _ => Conversation::open(&self.world.client, target(family)),
            }
        };
        let opened = FAMILIES
            .into_iter()
            .map(open)
            .collect::<Outcome<Vec<_>>>()?;
        for one in &opened {
            ensure(one.pod == "pod1", || format!("connected to {}", one.pod))?;
        }
        Ok(opened)
    }
}

fn target(family: Family) -> SocketAddr {
    Service::new("web", 1).at(Address::ClusterIp, family)
}

/// Writes the VirtualServers with these fields and pods.
fn write(world: &World, fields: &str, pods: &[&str]) -> Outcome {
    let mut text = String::new();
    for (name, family) in ["four", "six"].into_iter().zip(FAMILIES) {
        let (address, port) = (target(family).ip(), target(family).port());
        text.push_str(&format!(
            "---\napiVersion: kube-ipvs.io/v1alpha1\nkind: VirtualServer\nmetadata: {{name: {name}}}\n\
             spec:\n  address: \"{address}\"\n  port: {port}\n  scheduler: rr\n{fields}  realServers:\n"
        ));
        for pod in (world.pods.iter()).filter(|pod| pods.contains(&pod.name.as_str())) {
            let real = family.of(pod);
            text.push_str(&format!("  - {{address: \"{real}\", port: {PORT}}}\n"));
        }
    }
    world.write("manifests/web.yaml", &text).map(drop)
}

/// Starts a server at the probed port of `pod`.
fn healthy(files: &Files, pod: &str) -> Outcome<Responder> {
    let pod = files.world.pods.iter().find(|one| one.name == pod);
    let pod = pod.ok_or_else(|| Failure::new("no such pod"))?;
    let places = FAMILIES.map(|family| (Protocol::Tcp, SocketAddr::new(family.of(pod), PROBED)));
    Responder::start(&pod.namespace, &pod.name, &places)
}

fn checked() -> Outcome {
    let check = format!(
        "  healthCheck: {{type: tcp, port: {PROBED}, interval: 200ms, timeout: 200ms, rise: 1, fall: 2}}\n"
    );
    let files = Files::start(&check)?;
    let first = healthy(&files, "pod1")?;
    let _second = healthy(&files, "pod2")?;
    // Until the servers started, all failed, so that all were used.
    let failed = |expected: usize| {
        within(SOON, || {
            let (_, page) = get(&files.world.node, METRICS, "/healthchecks")?;
            let targets = page["targets"].as_array().map_or(&[][..], Vec::as_slice);
            let owners = ["VirtualServer default/four", "VirtualServer default/six"];
            let is_ours = |target: &&serde_json::Value| {
                owners.iter().any(|owner| target["services"][0] == *owner)
            };
            let found = targets.iter().filter(is_ours);
            let found = found.filter(|target| target["state"] == "failed").count();
            ensure(found == expected && targets.len() == 4, || {
                format!("expected {expected} failed targets of 4: {page}")
            })
        })
    };
    failed(0)?;
    files.soon_served_by(&PODS)?;
    let conversations = files.to_first_pod()?;

    drop(first);
    failed(2)?;
    files.soon_served_by(&["pod2"])?;
    let live = || conversations.iter().try_for_each(Conversation::is_alive);
    live().context(|| "while pod1 fails")?;

    let _first = healthy(&files, "pod1")?;
    failed(0)?;
    files.soon_served_by(&PODS)?;
    live().context(|| "after pod1 recovered")
}

fn drained() -> Outcome {
    let timeout = Duration::from_secs(scaled(DEADLINE).as_secs());
    let fields = format!("  drainTimeout: {}s\n", timeout.as_secs());
    let files = Files::start(&fields)?;
    let conversations = files.to_first_pod()?;
    let begin = Instant::now();
    write(&files.world, &fields, &["pod2"])?;
    files.soon_served_by(&["pod2"])?;
    (conversations.iter().try_for_each(Conversation::is_alive)).context(|| "during the drain")?;
    within(timeout + LATE, || {
        let lines = files.world.tables()?.ipvs;
        let is_drained = |line: &&String| e2e::Tables::is_drained(line);
        let drained: Vec<_> = lines.iter().filter(is_drained).collect();
        ensure(drained.is_empty(), || format!("{drained:?}"))
    })?;
    let time = begin.elapsed();
    ensure(time >= timeout, || {
        format!("the drain ended early, after {time:?}")
    })?;
    (conversations.iter())
        .try_for_each(|one| one.fails_by(io::ErrorKind::ConnectionReset))
        .context(|| "after the drain")
}
