//! `ipvsctl get servers --stats`, `get connections`, `top` and `monitor` under traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use e2e::{Arguments, Failure, Family, LongLived, Outcome, Process, ensure, program, within};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::case;
use crate::cluster::Cluster;

/// Time limit for two programs that read one after the other to find the same numbers, while the
/// kernel updates them every two seconds.
const SOON: Duration = Duration::from_secs(40);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("watch::counters_are_those_of_ipvsadm", counters),
        case("watch::connections_are_those_of_ipvsadm", connections),
        case("watch::names_of_services_are_completed", completed),
        case("watch::top_shows_traffic_on_a_terminal", terminal),
        case("watch::monitor_shows_changes", monitor),
        case(
            "watch::monitor_names_the_program_that_made_a_change",
            authors,
        ),
    ]
}

/// Counters of the servers: connections, packets and bytes in and out. The key is `TCP
/// 10.96.1.1:80` for a virtual server, and has the real server after it for a real server.
type Counters = BTreeMap<String, [u64; 5]>;

fn json(cluster: &Cluster, arguments: Arguments<'_>) -> Outcome<Value> {
    let ran = cluster.world.ipvsctl(arguments)?.exits(0)?;
    serde_json::from_str(&ran.out).map_err(|error| Failure::new(format!("{error}: {ran:?}")))
}

/// Starts a cluster with connections of both families that carry data.
fn busy() -> Outcome<(Cluster, Vec<LongLived>)> {
    let cluster = Cluster::start(2, &[])?;
    let mut open = Vec::new();
    for family in [Family::V4, Family::V6] {
        cluster.ask(family, 1, 5).complete()?;
        let target = family.virtual_server(1);
        open.push(LongLived::open(&cluster.world.client, target)?);
    }
    Ok((cluster, open))
}

/// Returns the counters that `ipvsadm` lists.
fn of_ipvsadm(cluster: &Cluster) -> Outcome<Counters> {
    let listed = cluster
        .world
        .tool("ipvsadm --list --numeric --stats --exact")?;
    let mut counters = Counters::new();
    let mut server = String::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [first, second, ..] = words[..] else {
            continue;
        };
        let numbers: Vec<u64> = (words.iter().skip(2).map(|word| word.parse()))
            .collect::<Result<_, _>>()
            .unwrap_or_default();
        let Ok(numbers) = numbers.try_into() else {
            continue;
        };
        let key = if first == "->" {
            format!("{server} {second}")
        } else {
            server = format!("{first} {second}");
            server.clone()
        };
        counters.insert(key, numbers);
    }
    Ok(counters)
}

fn socket(value: &Value) -> Outcome<SocketAddr> {
    let address: IpAddr = (value["address"].as_str())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::new(format!("no address: {value}")))?;
    let port = value["port"].as_u64().and_then(|port| port.try_into().ok());
    let port = port.ok_or_else(|| Failure::new(format!("no port: {value}")))?;
    Ok(SocketAddr::new(address, port))
}

/// Returns the counters of virtual servers in JSON. `numbers` is the field of each server with its
/// counters; empty if they are fields of the server.
fn of_json<'a>(servers: impl Iterator<Item = &'a Value>, numbers: &str) -> Outcome<Counters> {
    let read = |server: &Value| {
        let numbers = match numbers {
            "" => server,
            field => &server[field],
        };
        [
            "connections",
            "packetsIn",
            "packetsOut",
            "bytesIn",
            "bytesOut",
        ]
        .map(|field| numbers[field].as_u64().unwrap_or(u64::MAX))
    };
    let mut counters = Counters::new();
    for server in servers {
        let protocol = server["protocol"].as_str().unwrap_or_default();
        let key = format!("{protocol} {}", socket(server)?);
        for real in server["realServers"].as_array().into_iter().flatten() {
            counters.insert(format!("{key} {}", socket(real)?), read(real));
        }
        counters.insert(key, read(server));
    }
    Ok(counters)
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn counters() -> Outcome {
    let (cluster, open) = busy()?;
    within(SOON, || {
        let get = json(&cluster, &[&"get", &"servers", &"--stats", &"-o", &"json"])?;
        let found = of_json(list(&get, "virtualServers"), "statistics")?;
        let expected = of_ipvsadm(&cluster)?;
        // Each pod has a real server for each protocol and family, and some got connections.
        ensure(expected.len() >= 6 + 12, || format!("{expected:?}"))?;
        ensure(expected.values().any(|numbers| numbers[0] > 0), || {
            format!("{expected:?}")
        })?;
        ensure(found == expected, || {
            format!("get servers: {found:?}, ipvsadm: {expected:?}")
        })
    })?;
    within(SOON, || {
        let top = json(&cluster, &[&"top", &"--once", &"-o", &"json"])?;
        let expected = of_ipvsadm(&cluster)?;
        let services = list(&top, "services");
        let servers = services.flat_map(|service| list(service, "virtualServers"));
        let found = of_json(servers, "")?;
        ensure(found == expected, || {
            format!("top: {found:?}, ipvsadm: {expected:?}")
        })?;
        let total = &top["total"];
        let active = total["activeConnections"].as_u64();
        let rate = total["bytesInPerSecond"].as_f64().unwrap_or_default();
        ensure(active == Some(2) && rate > 0.0, || format!("{total}"))
    })?;
    open.into_iter().try_for_each(LongLived::close)
}

/// Returns protocol, state, client, destination and real server of the entries of `ipvsadm`.
fn entries_of_ipvsadm(cluster: &Cluster) -> Outcome<BTreeSet<String>> {
    let listed = cluster
        .world
        .tool("ipvsadm --list --connection --numeric")?;
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [protocol, expires, state, client, destination, real] if expires.contains(':') => {
                Some(format!("{protocol} {state} {client} {destination} {real}"))
            }
            _ => None,
        }
    };
    Ok(listed.lines().filter_map(entry).collect())
}

fn connections() -> Outcome {
    let (cluster, open) = busy()?;
    within(SOON, || {
        let get = json(&cluster, &[&"get", &"connections", &"-o", &"json"])?;
        let expected = entries_of_ipvsadm(&cluster)?;
        let entry = |connection: &Value| {
            let text = |field: &str| connection[field].as_str().unwrap_or_default().to_owned();
            let [client, destination, real] =
                ["client", "virtualServer", "realServer"].map(|field| socket(&connection[field]));
            let (protocol, state) = (text("protocol"), text("state"));
            Ok(format!(
                "{protocol} {state} {} {} {}",
                client?, destination?, real?
            ))
        };
        let found: BTreeSet<String> = list(&get, "connections")
            .map(entry)
            .collect::<Outcome<_>>()?;
        ensure(found == expected, || {
            format!("get connections: {found:?}, ipvsadm: {expected:?}")
        })?;
        let established = found.iter().filter(|entry| entry.contains("ESTABLISHED"));
        ensure(established.count() == 2, || format!("{found:?}"))
    })?;
    let summary = json(
        &cluster,
        &[&"get", &"connections", &"--summary", &"-o", &"json"],
    )?;
    let established =
        list(&summary, "realServers").filter_map(|real| real["states"]["ESTABLISHED"].as_u64());
    ensure(established.sum::<u64>() == 2, || format!("{summary}"))?;
    open.into_iter().try_for_each(LongLived::close)
}

/// Completes the name of a Service as the script for bash does.
fn completed() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    let mut command = cluster.world.node.command(program("ipvsctl"));
    command.args(["--", "ipvsctl", "explain", "svc", "default/w"]);
    command.env("COMPLETE", "bash");
    command.env("_CLAP_COMPLETE_INDEX", "3");
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9");
    command.env("_CLAP_COMPLETE_SPACE", "true");
    command.env("_CLAP_IFS", "\n");
    let asking = Process::start("ipvsctl", command)?;
    (asking.wait_for_log(PRINTED, &["default/web"])).map(drop)
}

/// Shows `top` on a terminal of tmux. The screen is in the directory `$VM_OUT` afterwards.
fn terminal() -> Outcome {
    let (cluster, open) = busy()?;
    let tmux = |line: &str| cluster.world.tool(&format!("tmux -L top -u {line}"));
    let ipvsctl = program("ipvsctl");
    tmux(&format!(
        "new-session -d -x 118 -y 20 {} top",
        ipvsctl.display()
    ))?;
    let screen = || tmux("capture-pane -p");
    let shown = within(SOON, || {
        let shown = screen()?;
        // Name, endpoints, draining, connections a second, active connections.
        let is_busy = |line: &str| {
            let cells: Vec<&str> = line.split_ascii_whitespace().collect();
            cells.first() == Some(&"default/web") && cells.get(4) == Some(&"2")
        };
        let has_rates = !shown.contains(", 0 packets/s");
        ensure(has_rates && shown.lines().any(is_busy), || shown.clone())?;
        Ok(shown)
    })?;
    let folder = std::env::var_os("VM_OUT").ok_or_else(|| Failure::new("VM_OUT is not set"))?;
    let path = std::path::Path::new(&folder).join("top.txt");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    std::fs::write(&path, &shown).map_err(failed)?;
    tmux("send-keys Enter")?;
    within(SOON, || {
        let shown = screen()?;
        ensure(shown.contains("10.96.1.1:80"), || shown)
    })?;
    tmux("send-keys q")?;
    within(SOON, || match tmux("list-sessions") {
        Ok(sessions) => Err(Failure::new(format!("top has not ended: {sessions}"))),
        Err(_) => Ok(()),
    })?;
    open.into_iter().try_for_each(LongLived::close)
}

/// Time limit for a change to be printed.
const PRINTED: Duration = Duration::from_secs(15);

/// Starts `ipvsctl monitor`. Returns once it has read the tables.
fn watched(cluster: &Cluster) -> Outcome<Process> {
    let mut command = cluster.world.node.command(program("ipvsctl"));
    command.args(["monitor", "-o", "json"]);
    let monitor = Process::start("ipvsctl", command)?;
    monitor.wait_for_log(PRINTED, &["watching"])?;
    Ok(monitor)
}

fn monitor() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    let mut monitor = watched(&cluster)?;
    let tool = |line: &str| cluster.world.tool(line).map(drop);
    tool("ipvsadm -A -t 192.0.2.99:80 -s rr")?;
    let added = ["\"effect\":\"add\"", "-A -t 192.0.2.99:80 -s rr"];
    monitor.wait_for_log(PRINTED, &added)?;
    tool("ipvsadm -D -t 192.0.2.99:80")?;
    let deleted = ["\"effect\":\"delete\"", "-D -t 192.0.2.99:80"];
    monitor.wait_for_log(PRINTED, &deleted)?;
    let status = monitor.terminate()?;
    ensure(status.code() == Some(0), || format!("{status}"))
}

fn authors() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    let mut monitor = watched(&cluster)?;
    cluster.set_endpoints(&[0])?;
    let by_daemon = ["\"author\":\"kube-ipvsd\"", "-r "];
    monitor.wait_for_log(PRINTED, &by_daemon)?;
    (cluster.world.tool("ipvsadm -A -t 192.0.2.99:80 -s rr"))?;
    let by_other = ["-A -t 192.0.2.99:80 -s rr", "\"another program\""];
    monitor.wait_for_log(PRINTED, &by_other)?;
    let status = monitor.terminate()?;
    ensure(status.code() == Some(0), || format!("{status}"))
}
