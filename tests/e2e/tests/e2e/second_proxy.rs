//! A kube-proxy that starts after the daemon: the daemon reports it, and the Services keep working.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, Context as _, Family, LongLived, Outcome, Process, World, ensure, eventually,
    get_text, within,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;

/// Environment variable with the address of the health server of [`kube_proxy`]. If it is set, this
/// program acts as that kube-proxy.
pub(crate) const KUBE_PROXY: &str = "E2E_KUBE_PROXY";

/// Time limit for a sign to be reported.
const NOTICED: Duration = Duration::from_secs(60);

/// The daemon's address for metrics.
const METRICS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10_249);

/// Time between two writes of the other proxy.
const WRITES: Duration = Duration::from_millis(500);

/// The changes of the other proxy, as of a kube-proxy with fewer Services and other rules.
const LINES: [&str; 3] = [
    "iptables -t nat -F KUBE-NODE-PORT",
    "ipvsadm -D -u 10.96.1.1:80",
    "ip address delete 10.96.1.2/32 dev kube-ipvs0",
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "second_proxy::a_kube_proxy_that_starts_later_is_noticed_and_stops_nothing",
        noticed,
    )]
}

/// Imitates a kube-proxy: serves a health page, and writes to the tables repeatedly. It has no
/// metrics server, because the daemon uses the address.
pub(crate) fn kube_proxy(address: &str) -> ! {
    let listener = TcpListener::bind(address).expect("the health server's address");
    eprintln!("listening");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let is_health = head.first().is_some_and(|line| line.contains("/healthz"));
            let answer = match is_health {
                true => {
                    "HTTP/1.0 200 OK\r\n\r\n{\"lastUpdated\": \"x\",\"currentTime\": \"x\", \"nodeEligible\": true}"
                }
                false => "HTTP/1.0 404 Not Found\r\n\r\n404 page not found\n",
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    loop {
        for line in LINES {
            let mut words = line.split(' ');
            let program = words.next().unwrap_or_default();
            // Most commands fail, because there is nothing to change.
            let _ = Command::new(program).args(words).output();
        }
        thread::sleep(WRITES);
    }
}

/// A configuration with another health port for the daemon, so that the other proxy gets the
/// default port.
const CONFIGURATION: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
healthzBindAddress: 127.0.0.1:11256
conntrack: {maxPerCore: 0}
";

fn noticed() -> Outcome {
    let world = World::build(1)?;
    let mut objects = world.web("web", 1);
    objects.extend(world.web("other", 2));
    objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}));
    let load = world.write_objects("load.json", objects)?;
    let api = ApiServer::start(&world, &[&load])?;
    let config = world.write("config.yaml", CONFIGURATION)?;
    let mut daemon = world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])?;
    daemon.wait_for_log(NOTICED, &["synced: "])?;
    let before = world.tables()?;
    let connection = LongLived::open(&world.client, Family::V4.virtual_server(1))?;
    for sign in ["listener", "process", "table", "writes"] {
        ensure(shows(&world, sign, 0)?, || {
            format!("sign {sign} is reported before the other proxy starts")
        })?;
    }

    let program = world.path("kube-proxy");
    let this = std::env::current_exe().context(|| "this program")?;
    std::os::unix::fs::symlink(this, &program).context(|| "linking kube-proxy")?;
    let mut command = world.node.command(&program);
    command.env(KUBE_PROXY, "0.0.0.0:10256");
    let other = Process::start("kube-proxy", command)?;
    other.wait_for_log(NOTICED, &["listening"])?;
    let began = Instant::now();

    // Each sign is checked separately, so that none hides that another is missing.
    for sign in ["listener", "process", "writes"] {
        let left = NOTICED.saturating_sub(began.elapsed());
        within(left, || {
            ensure(shows(&world, sign, 1)?, || {
                format!("sign {sign} is not reported")
            })
        })?;
        println!("{sign} after {:?}", began.elapsed());
    }
    let syncs = audits(&world)?;
    let lasts = Duration::from_secs(65);
    thread::sleep(lasts);
    // The audits of two periods, one that was due, and those that kernel notifications trigger
    // early.
    let audited = audits(&world)? - syncs;
    ensure(audited <= 5, || {
        format!("expected at most 5 audits in {lasts:?}, found {audited}")
    })?;
    eventually(|| {
        let events = api.events()?;
        let about = |event: &&Value| {
            event["reason"] == "SecondProxy" && event["regarding"]["name"] == "node1"
        };
        let count = events.iter().filter(about).count();
        // Events with the same reason and object are one Event with a count.
        ensure(count == 1, || {
            format!("expected one Event SecondProxy about the node, found {count}: {events:#?}")
        })
    })?;
    let doctor = world.ipvsctl(&[&"doctor", &"--config", &config, &"--node", &"node1"])?;
    ensure(doctor.out.contains("KIV0410") && doctor.status == 1, || {
        doctor.out.clone()
    })?;
    ensure(
        connection.lines() > 0 && !daemon.has_ended()?,
        || "the connection or the daemon has ended",
    )?;

    drop(other);
    within(NOTICED, || world.tables()?.are(&before))?;
    connection.close()
}

/// Returns true if the daemon's metrics show `value` for the sign.
fn shows(world: &World, sign: &str, value: u8) -> Outcome<bool> {
    let metrics = get_text(&world.node, METRICS, "/metrics")?;
    let line = format!("kubeipvs_second_proxy_detected{{sign=\"{sign}\"}} {value}");
    Ok(metrics.lines().any(|shown| shown == line))
}

/// Returns the number of audits so far.
fn audits(world: &World) -> Outcome<usize> {
    let metrics = get_text(&world.node, METRICS, "/metrics")?;
    let audits = metrics.lines().filter_map(|line| {
        let count = line.strip_prefix("kubeipvs_syncs_total{cause=\"audit\",")?;
        count.rsplit(' ').next()?.parse::<usize>().ok()
    });
    Ok(audits.sum())
}
