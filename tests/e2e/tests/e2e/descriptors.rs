//! The daemon with few file descriptors, while a client holds more connections than it has.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, Context as _, Failure, Family, Outcome, Process, Protocol, World, ensure, get,
    get_text, objects, within,
};
use libtest_mimic::Trial;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};

use crate::case;

/// Environment variable with the addresses for [`flood`]. If it is set, this program acts as that
/// client.
pub(crate) const FLOOD: &str = "E2E_FLOOD";

/// The daemon's limit of open files, soft and hard.
const DESCRIPTORS: u64 = 1024;

/// Number of connections that the client tries to keep open, over all ports.
const CONNECTIONS: usize = 1_500;

/// Number of health check node ports.
const CHECKS: [u16; 2] = [32_001, 32_002];

/// Number of rounds, each with a change of endpoints and requests to the health pages.
const ROUNDS: u8 = 8;

/// Time limit for an answer or a change. The actual times are printed.
const LIMIT: Duration = Duration::from_secs(60);

/// The node's address towards the client.
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 50, 1));
const HEALTH: SocketAddr = SocketAddr::new(NODE, 10_256);
const METRICS: SocketAddr = SocketAddr::new(NODE, 10_249);

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "descriptors::a_flood_of_connections_stops_neither_probes_nor_changes",
        flooded,
    )]
}

fn flooded() -> Outcome {
    let world = World::build(1)?;
    let load = world.write_objects("load.json", all(&world))?;
    let api = ApiServer::start(&world, &[&load])?;
    let config = world.write("config.yaml", CONFIGURATION)?;
    let mut command = world.daemon_command();
    command.arg("--kubeconfig").arg(&api.kubeconfig);
    command.arg("--config").arg(&config);
    // SAFETY: setrlimit is a bare system call, as is allowed between fork and exec.
    unsafe { command.pre_exec(|| limit(DESCRIPTORS)) };
    let mut daemon = Process::start("kube-ipvsd", command)?;
    daemon.wait_for_log(LIMIT, &["synced: "])?;
    let node = Node {
        world: &world,
        api: &api,
        daemon: &daemon,
    };
    node.observe("without the flood")?;

    let targets = CHECKS.map(|port| SocketAddr::new(NODE, port));
    let targets: Vec<String> = (targets.iter().chain([&METRICS]))
        .map(ToString::to_string)
        .collect();
    let program = std::env::current_exe().context(|| "this program")?;
    let mut client = world.client.command(program);
    client.env(FLOOD, targets.join(","));
    let client = Process::start("flood", client)?;
    client.wait_for_log(LIMIT, &["all were opened"])?;
    node.observe("with the flood")?;
    let log = client.log();
    println!("client: {}", log.lines().last().unwrap_or_default());
    let metrics = within(LIMIT, || get_text(&world.client, METRICS, "/metrics"))?;
    for line in metrics.lines() {
        if line.starts_with("kubeipvs_http_") && line.contains("common") {
            println!("{line}");
        }
    }
    let displaced = r#"kubeipvs_http_connections_displaced_total{share="common"} "#;
    let displaced = metrics
        .lines()
        .find_map(|line| line.strip_prefix(displaced));
    ensure(displaced.is_some_and(|count| count != "0"), || {
        format!("the daemon closed too few connections: {displaced:?}")
    })?;
    drop(client);
    node.observe("after the flood")?;
    ensure(!daemon.has_ended()?, || "the daemon has ended")?;
    let log = daemon.log();
    println!("{} lines of log", log.lines().count());
    ensure(
        !log.contains("Too many open files"),
        || "the daemon ran out of descriptors",
    )
}

/// A configuration with all ports at every address, so that the client reaches them.
const CONFIGURATION: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
metricsBindAddress: 0.0.0.0:10249
conntrack: {maxPerCore: 0}
";

/// Returns the Node, a Service whose endpoint changes, and one Service for each health check node
/// port.
fn all(world: &World) -> Vec<Value> {
    let addresses = json!([{"type": "InternalIP", "address": NODE}]);
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
            "status": {"addresses": addresses}}),
        objects::service("good", &[Family::V4.virtual_address(1)], &[Protocol::Tcp]),
        slice(1),
    ];
    for (number, port) in (10..).zip(CHECKS) {
        let name = format!("checked-{number}");
        let address = Family::V4.virtual_address(number);
        let mut service = objects::service(&name, &[address], &[Protocol::Tcp]);
        service["spec"]["type"] = json!("LoadBalancer");
        service["spec"]["externalTrafficPolicy"] = json!("Local");
        service["spec"]["healthCheckNodePort"] = json!(port);
        all.push(service);
        let pods = world.endpoints(Family::V4);
        all.push(objects::slice(&name, &pods, &[Protocol::Tcp]));
    }
    all
}

fn endpoint(number: u8) -> IpAddr {
    IpAddr::from([10, 100, 0, number])
}

fn slice(number: u8) -> Value {
    objects::slice("good", &[endpoint(number)], &[Protocol::Tcp])
}

struct Node<'a> {
    world: &'a World,
    api: &'a ApiServer,
    daemon: &'a Process,
}

impl Node<'_> {
    /// Requests the health pages as the kubelet and a load balancer do, changes endpoints, and
    /// prints the times.
    fn observe(&self, when: &str) -> Outcome {
        let mut open = 0;
        let (mut healthz, mut livez, mut changes) = (vec![], vec![], vec![]);
        for round in 0..ROUNDS {
            healthz.push(self.answers("/healthz")?);
            livez.push(self.answers("/livez")?);
            changes.push(self.change(10 + round)?);
            open = open.max(self.descriptors()?);
            thread::sleep(Duration::from_millis(500));
        }
        println!(
            "{when}: /healthz {}, /livez {}, a change {}; at most {open} of {DESCRIPTORS} descriptors",
            times(healthz),
            times(livez),
            times(changes)
        );
        Ok(())
    }

    /// Returns the time until the page has status 200.
    fn answers(&self, page: &str) -> Outcome<Duration> {
        let begin = Instant::now();
        within(LIMIT, || {
            let (status, body) = get(&self.world.client, HEALTH, page)?;
            ensure(status == 200, || {
                format!("{page}: expected status 200, found {status} {body}")
            })
        })?;
        Ok(begin.elapsed())
    }

    /// Returns the time until the good Service has this endpoint.
    fn change(&self, number: u8) -> Outcome<Duration> {
        self.api.replace(&slice(number))?;
        let begin = Instant::now();
        let at = Family::V4.virtual_server(1);
        within(LIMIT, || {
            let table = self.world.tool(&format!("ipvsadm -L -n -t {at}"))?;
            let wanted = format!("{}:", endpoint(number));
            ensure(table.contains(&wanted), || {
                format!("{wanted} is missing in:\n{table}")
            })
        })?;
        Ok(begin.elapsed())
    }

    /// Returns the number of the daemon's open files.
    fn descriptors(&self) -> Outcome<usize> {
        let path = format!("/proc/{}/fd", self.daemon.id()?);
        let entries = std::fs::read_dir(&path).context(|| path)?;
        Ok(entries.count())
    }
}

/// Returns the text for the median and the maximum.
fn times(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    let longest = all.last().copied().unwrap_or_default();
    let median = all.get(all.len() / 2).copied().unwrap_or_default();
    format!("{median:.0?} (at most {longest:.0?})")
}

/// Runs the client of the flood: it opens connections to all addresses in turn, and sends the
/// beginning of a request on each. It never stops: when the server closes a connection, it opens
/// another one.
pub(crate) fn flood(addresses: &str) -> Outcome {
    limit(4 * CONNECTIONS as u64).context(|| "more open files")?;
    let addresses = (addresses.split(','))
        .map(|address| address.parse().context(|| address.to_owned()))
        .collect::<Outcome<Vec<SocketAddr>>>()?;
    let mut targets = addresses.iter().cycle();
    let (mut held, mut opened, mut failed) = (VecDeque::new(), 0_usize, 0_usize);
    loop {
        let target = targets.next().ok_or_else(|| Failure::new("no address"))?;
        match slow(*target) {
            Ok(stream) => {
                held.push_back(stream);
                opened += 1;
            }
            Err(_) => failed += 1,
        }
        if opened >= CONNECTIONS {
            if opened % 100 == 0 {
                held.retain(is_open);
                let open = held.len();
                println!("all were opened: {opened}, of which {open} are open; {failed} failed");
            }
            // Closed connections make room for new ones; otherwise the oldest does.
            if held.len() >= CONNECTIONS {
                held.pop_front();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Returns a connection on which a request has begun.
fn slow(target: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_millis(500))?;
    stream.write_all(b"GET / HTTP/1.1\r\n")?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Returns true if the server has not closed the connection.
fn is_open(stream: &TcpStream) -> bool {
    let mut buffer = [0; 256];
    let mut stream = stream;
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// Sets the soft and hard limits of this process' open files.
fn limit(files: u64) -> std::io::Result<()> {
    let limit = Rlimit {
        current: Some(files),
        maximum: Some(files),
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}
