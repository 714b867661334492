//! Services that ask for too much, beside one whose endpoints change.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use e2e::{ApiServer, Context as _, Outcome, Process, Protocol, World, ensure, objects, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;

/// Time limit of one change. How long it takes is printed.
const LIMIT: Duration = Duration::from_secs(60);

/// Changes of the good Service while one kind of tenant is there.
const CHANGES: u8 = 10;

/// Maximum number of lines that the daemon logs about 1,000 mistakes.
const LINES: usize = 3_000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "tenants::who_ask_for_too_much_harm_no_other",
        harmless,
    )]
}

fn harmless() -> Outcome {
    let world = World::build(1)?;
    let good = [
        objects::service("good", &[address(1)], &[Protocol::Tcp]),
        objects::slice("good", &[endpoint(1)], &[Protocol::Tcp]),
    ];
    let load = world.write_objects("load.json", good.to_vec())?;
    let api = ApiServer::start(&world, &[&load])?;
    let config = world.config(&[])?;
    let daemon = world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])?;
    daemon.wait_for_log(LIMIT, &["synced. Plan"])?;
    let modules = modules()?;
    let scene = Scene {
        world: &world,
        api: &api,
        daemon: &daemon,
    };
    scene.changes("without others")?;
    let schedulers: Vec<Value> = (0..1_000).map(with_scheduler).collect();
    scene.beside("1,000 unknown schedulers", &schedulers)?;
    scene.beside("300 ports at 100 external addresses", &[wide()])?;
    scene.beside("30 ports with 5,000 source ranges", &[guarded()])?;

    let loaded: BTreeSet<String> = &self::modules()? - &modules;
    ensure(loaded.is_empty(), || format!("loaded: {loaded:?}"))?;
    let log = daemon.log();
    let lines = log.lines().count();
    println!("{lines} lines of log, {} bytes", log.len());
    ensure(lines <= LINES, || format!("{lines} lines of log"))?;
    let control = |text: &char| text.is_control() && *text != '\n';
    ensure(
        !log.chars().any(|each| control(&each)),
        || "a control character in the log",
    )?;
    ensure(
        log.contains("KIV0115") && log.contains("KIV0118"),
        || "the log names no finding",
    )
}

struct Scene<'a> {
    world: &'a World,
    api: &'a ApiServer,
    daemon: &'a Process,
}

impl Scene<'_> {
    /// Creates `tenants`, and changes the good Service from then on.
    fn beside(&self, what: &str, tenants: &[Value]) -> Outcome {
        self.api.create_all(tenants)?;
        self.changes(what)
    }

    /// Moves the good Service from endpoint to endpoint.
    fn changes(&self, what: &str) -> Outcome {
        let mut took = Vec::new();
        for number in 0..CHANGES {
            let endpoint = endpoint(number + 10);
            let slice = objects::slice("good", &[endpoint], &[Protocol::Tcp]);
            self.api.replace(&slice)?;
            let begin = Instant::now();
            within(LIMIT, || {
                let table = self.world.tool("ipvsadm -L -n -t 10.96.0.1:80")?;
                ensure(table.contains(&format!("{endpoint}:")), || {
                    format!("{endpoint} is not served: {table}")
                })
            })?;
            took.push(begin.elapsed());
            std::thread::sleep(Duration::from_secs(1));
        }
        took.sort_unstable();
        let mut line = format!("{what}: a change takes {:.0?}", took[took.len() / 2]);
        let _ = write!(line, ", at most {:.0?}", took[took.len() - 1]);
        println!("{line}; the daemon had {} at most", self.peak()?);
        Ok(())
    }

    /// The daemon's largest resident memory so far.
    fn peak(&self) -> Outcome<String> {
        let path = format!("/proc/{}/status", self.daemon.id()?);
        let status = std::fs::read_to_string(&path).context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        Ok(line.unwrap_or("?").trim().to_owned())
    }
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 96, 0, number])
}

fn endpoint(number: u8) -> IpAddr {
    IpAddr::from([10, 100, 0, number])
}

/// Names of the modules that are loaded.
fn modules() -> Outcome<BTreeSet<String>> {
    let path = "/proc/modules";
    let text = std::fs::read_to_string(path).context(|| path.to_owned())?;
    let names = text.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// A Service with a scheduler that no kernel has, but for some that are modules of another kind.
fn with_scheduler(number: u16) -> Value {
    let [high, low] = number.to_be_bytes();
    let at = IpAddr::from([10, 96, 128 + high, low]);
    let mut service = objects::service(&format!("tenant-{number}"), &[at], &[Protocol::Tcp]);
    let name = match number % 4 {
        0 => "ftp".to_owned(),
        1 => "pe_sip".to_owned(),
        2 => format!("x{number}\n2026 ERROR forged \u{1b}[2J"),
        _ => format!("x{number}"),
    };
    service["metadata"]["annotations"] = json!({"kube-ipvs.io/scheduler": name});
    service
}

fn ports(count: u16) -> Value {
    let port = |number: u16| json!({"name": format!("p{number}"), "port": 1_000 + number});
    (0..count).map(port).collect()
}

fn wide() -> Value {
    let mut service = objects::service("wide", &[IpAddr::from([10, 96, 2, 1])], &[]);
    let external = |number: u8| IpAddr::from([198, 51, 100, number + 1]);
    service["spec"]["ports"] = ports(300);
    service["spec"]["externalIPs"] = (0..100).map(|number| json!(external(number))).collect();
    service
}

fn guarded() -> Value {
    let mut service = objects::service("guarded", &[IpAddr::from([10, 96, 2, 2])], &[]);
    let range = |number: u16| {
        let [high, low] = number.to_be_bytes();
        json!(format!("172.{}.{low}.0/28", 16 + high))
    };
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["ports"] = ports(30);
    service["spec"]["externalIPs"] = json!(["198.51.100.200"]);
    service["spec"]["loadBalancerSourceRanges"] = (0..5_000).map(range).collect();
    service
}
