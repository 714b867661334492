//! Endpoints that fail in several ways, and each kind of probe with a real server.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use e2e::{Context as _, Conversation, Outcome, Pod, ensure, get, within};
use libtest_mimic::Trial;
use rustix::net::{self, AddressFamily, SocketType, sockopt};

use crate::case;
use crate::health_servers::{Authority, Behaviour, Servers, places};
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, own_configuration, served_by, with_slices};

/// Time limit for a change to affect packets. The checks take at most 0.65 s, and 0.2 s more until
/// they act; a request to an endpoint behind a cut link takes seconds to fail.
const SOON: Duration = Duration::from_secs(30);

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("health_checks::faults_of_an_endpoint_are_avoided", faults),
        case("health_checks::https_verifies_by_a_named_authority", https),
        case("health_checks::grpc_asks_for_the_health", grpc),
        case("health_checks::udp_expects_an_answer", udp),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

/// Returns a configuration with this check; `authorities` is a mapping of YAML.
fn configuration(check: &str, authorities: &str) -> String {
    let health_checks = format!(
        "healthChecks: {{networks: [10.244.0.0/16, fd00:10:244::/56], authorities: {authorities}}}"
    );
    let policy = format!(
        "  policy: {{healthCheck: '{check}, port=9090, interval=200ms, timeout=200ms, rise=1, \
         fall=2'}}"
    );
    own_configuration(&[
        &health_checks,
        "servicePolicies:",
        "- name: checked",
        &policy,
    ])
}

fn stage(configuration: &str) -> Outcome<Stage> {
    Stage::configured(&PODS, configuration, |world| {
        with_slices(world, web(), web().inside(), &PODS)
    })
}

/// Fails unless exactly the other pods soon get all new connections, and each of both targets of
/// `failed` has a last error that contains `error`. Returns the times until the daemon and the packets
/// show it.
fn soon_avoided(stage: &Stage, failed: Option<(&str, &str)>) -> Outcome<[Duration; 2]> {
    let begin = Instant::now();
    let mut pods = PODS.to_vec();
    pods.retain(|pod| failed.is_none_or(|(failed, _)| failed != *pod));
    let wanted = failed.map_or(0, |_| FAMILIES.len());
    within(SOON, || {
        let (_, page) = get(&stage.world.node, METRICS, "/healthchecks")?;
        let targets = page["targets"].as_array().map_or(&[][..], Vec::as_slice);
        let found = targets.iter().filter(|target| target["state"] == "failed");
        let errors: Vec<&str> = found
            .filter_map(|target| target["lastError"].as_str())
            .collect();
        let all = FAMILIES.len() * PODS.len();
        let error = failed.map_or("", |(_, error)| error);
        let is_so = targets.len() == all
            && errors.len() == wanted
            && errors.iter().all(|found| found.contains(error));
        ensure(is_so, || {
            format!("expected {wanted} of {all} targets with {error:?}: {page}")
        })
    })?;
    let known = begin.elapsed();
    within(SOON, || {
        FAMILIES.into_iter().try_for_each(|family| {
            let target = web().at(Address::ClusterIp, family);
            served_by(&stage.world.client, target, &pods)
        })
    })?;
    Ok([known, begin.elapsed()])
}

/// A listener whose queue is full, so that the kernel drops every SYN.
struct Full {
    _listeners: Vec<rustix::fd::OwnedFd>,
    _queued: Vec<TcpStream>,
}

impl Full {
    fn start(pod: &Pod) -> Outcome<Self> {
        let action = || "filling the queue of a listener".to_owned();
        pod.namespace.run(|| {
            let (mut listeners, mut queued) = (Vec::new(), Vec::new());
            for place in places(pod) {
                let family = match place.is_ipv4() {
                    true => AddressFamily::INET,
                    false => AddressFamily::INET6,
                };
                let listener = net::socket(family, SocketType::STREAM, None).context(action)?;
                sockopt::set_socket_reuseaddr(&listener, true).context(action)?;
                net::bind(&listener, &place).context(action)?;
                net::listen(&listener, 0).context(action)?;
                // The queue holds one connection more than its length. A further attempt fails.
                let limit = Duration::from_millis(300);
                let connect = || TcpStream::connect_timeout(&place, limit);
                queued.extend([connect(), connect(), connect()].into_iter().flatten());
                listeners.push(listener);
            }
            ensure(queued.len() < 3 * FAMILIES.len(), || {
                format!("all {} connections fit into the queues", queued.len())
            })?;
            Ok(Self {
                _listeners: listeners,
                _queued: queued,
            })
        })
    }
}

fn faults() -> Outcome {
    let stage = stage(&configuration("type=http, path=/healthz", "{}"))?;
    let behaviour = Behaviour::default();
    let mut server = Some(Servers::http(stage.pod("pod1")?, &behaviour)?);
    let _others = [
        Servers::http(stage.pod("pod2")?, &Behaviour::default())?,
        Servers::http(stage.pod("pod3")?, &Behaviour::default())?,
    ];
    soon_avoided(&stage, None)?;
    let mut kept = Vec::new();
    for family in FAMILIES {
        let target = web().at(Address::ClusterIp, family);
        let found = within(SOON, || {
            let one = Conversation::open(&stage.world.client, target)?;
            ensure(one.pod == "pod1", || format!("connected to {}", one.pod))?;
            Ok(one)
        });
        kept.push(found?);
    }
    let alive = || kept.iter().try_for_each(Conversation::is_alive);
    let port = "veth10";
    let cut = || stage.world.node.ip(&[format!("link set {port} nomaster")]);
    let mend = || {
        stage.world.node.ip(&[
            format!("link set {port} master cni0"),
            format!("link set {port} type bridge_slave hairpin on"),
        ])
    };
    let hung = "no answer within 200ms";
    for (fault, error) in [
        ("answers 500", "http: status 500"),
        ("hangs", hung),
        ("accepts nothing", hung),
        // Until the node finds no link-layer address any more, nothing answers.
        ("is cut off", ""),
    ] {
        let mut full = None;
        match fault {
            "answers 500" => behaviour.fails.store(true, Ordering::Relaxed),
            "hangs" => behaviour.hangs.store(true, Ordering::Relaxed),
            "accepts nothing" => {
                drop(server.take());
                full = Some(Full::start(stage.pod("pod1")?)?);
            }
            _ => cut()?,
        }
        let times = soon_avoided(&stage, Some(("pod1", error)));
        let [known, avoided] = times.context(|| fault.to_owned())?;
        let lives = fault != "is cut off";
        if lives {
            alive().context(|| format!("while pod1 {fault}"))?;
        }
        behaviour.fails.store(false, Ordering::Relaxed);
        behaviour.hangs.store(false, Ordering::Relaxed);
        drop(full);
        if server.is_none() {
            server = Some(Servers::http(stage.pod("pod1")?, &behaviour)?);
        }
        mend()?;
        let recovered = soon_avoided(&stage, None);
        let [_, recovered] = recovered.context(|| format!("after pod1 {fault}"))?;
        alive().context(|| format!("after pod1 {fault}"))?;
        println!(
            "a pod that {fault}: known after {known:.2?}, avoided after {avoided:.2?}, used {recovered:.2?} \
             after the fault"
        );
    }
    Ok(())
}

fn https() -> Outcome {
    let stage = stage(&configuration("type=tcp", "{}"))?;
    let (ours, stranger) = (Authority::new("shop"), Authority::new("stranger"));
    let file = stage.world.write("ca.pem", &ours.pem())?;
    let authorities = format!("{{shop: {}}}", file.display());
    let check = "type=https, host=web.example, verify=shop";
    stage
        .world
        .write("config.yaml", &configuration(check, &authorities))?;
    let name = "web.example";
    let _good = [
        Servers::https(stage.pod("pod1")?, &ours, name)?,
        Servers::https(stage.pod("pod2")?, &ours, name)?,
    ];
    let bad = Servers::https(stage.pod("pod3")?, &stranger, name)?;
    let unsigned = "tls: the certificate is not signed by the authority";
    soon_avoided(&stage, Some(("pod3", unsigned)))?;
    drop(bad);
    let bad = Servers::https(stage.pod("pod3")?, &ours, "other.example")?;
    let other = "tls: the certificate is for another name";
    soon_avoided(&stage, Some(("pod3", other)))?;
    drop(bad);
    let good = Servers::https(stage.pod("pod3")?, &ours, name)?;
    soon_avoided(&stage, None)?;
    drop(good);
    let _bad = Servers::https(stage.pod("pod3")?, &ours, "other.example")?;
    soon_avoided(&stage, Some(("pod3", other))).map(drop)
}

fn grpc() -> Outcome {
    let stage = stage(&configuration("type=grpc, service=shop", "{}"))?;
    let _good = [
        Servers::grpc(stage.pod("pod1")?, 1)?,
        Servers::grpc(stage.pod("pod2")?, 1)?,
    ];
    let bad = Servers::grpc(stage.pod("pod3")?, 2)?;
    // The servers start after the first probes may have failed.
    soon_avoided(&stage, Some(("pod3", "")))?;
    drop(bad);
    let good = Servers::grpc(stage.pod("pod3")?, 1)?;
    soon_avoided(&stage, None)?;
    drop(good);
    soon_avoided(&stage, Some(("pod3", "connect: connection refused")))?;
    agrees(&stage, "health check failed: connect: connection refused")
}

fn udp() -> Outcome {
    let stage = stage(&configuration(
        r"type=udp, send=PING\x00, expect=PONG",
        "{}",
    ))?;
    let _good = [
        Servers::udp(stage.pod("pod1")?)?,
        Servers::udp(stage.pod("pod2")?)?,
    ];
    // ICMP: port unreachable.
    let refused = "udp: connection refused";
    soon_avoided(&stage, Some(("pod3", refused)))?;
    agrees(&stage, "health check failed: udp: connection refused")?;
    let _good = Servers::udp(stage.pod("pod3")?)?;
    soon_avoided(&stage, None).map(drop)
}

/// Fails unless `ipvsctl`, which asks the daemon for the targets that fail, finds no difference, and
/// explains the endpoint with `verdict`.
fn agrees(stage: &Stage, verdict: &str) -> Outcome {
    let config = stage.world.path("config.yaml");
    let run = |command: &[&str]| {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
        all.extend(
            command
                .iter()
                .map(|word| word as &dyn AsRef<std::ffi::OsStr>),
        );
        all.extend([
            &"--config" as &dyn AsRef<std::ffi::OsStr>,
            &config,
            &"--kubeconfig",
            &stage.api.kubeconfig,
            &"--node",
            &"node1",
        ]);
        stage.world.ipvsctl(&all)
    };
    run(&["diff"])?.exits(0)?;
    let explained = run(&["explain", "svc", "web"])?;
    ensure(explained.out.contains(verdict), || explained.out.clone())
}
