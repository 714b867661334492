//! Takes over a node from kube-proxy and gives it back, while clients have open connections. The
//! tables were recorded on a node of a real kube-proxy, and standard tools load them into the
//! kernel. To be run by `cargo xtask vm`.

#[path = "../harness/mod.rs"]
mod harness;
mod lines;
mod recorded;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use e2e::{Lab, LongLived, Outcome, Process, World, ensure, within};
use harness::case;
use lines::Lines;
use recorded::Recorded;

/// The recordings to take over. They cover each kind of address, each family, and settings that
/// change rules.
const RECORDINGS: [&str; 8] = [
    "01-clusterip-tcp",
    "05-dualstack",
    "10-nodeport",
    "13-nodeport-local",
    "14-lb",
    "20-externalips",
    "24-affinity",
    "40-masquerade-all",
];

/// Time limit of the first synchronisation.
const FIRST: Duration = Duration::from_secs(30);

/// Time for which connections are observed after a step that might cut them.
const WATCHED: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let trials = RECORDINGS.map(|name| case(name, move || takeover(name)));
    harness::run(trials.into(), suitable)
}

fn suitable() -> Outcome {
    let world = World::build(0)?;
    world.tool("modprobe br_netfilter")?;
    world.tables().map(drop)
}

fn takeover(name: &str) -> Outcome {
    let lab = Lab::quiet()?;
    let recorded = Recorded::read(name)?;
    let _pods = ["podA", "podB", "podC", "podD"]
        .map(|pod| Lines::start(&lab, pod))
        .into_iter()
        .collect::<Outcome<Vec<_>>>()?;
    recorded.load(&lab.world)?;
    let targets = recorded.targets();
    ensure(!targets.is_empty(), || {
        format!("recording {name} has no Service to connect to")
    })?;
    let held = hold(&lab, &targets)?;
    let before = counted(&lab.world)?;

    let mut daemon = start(&lab.world, &recorded)?;
    let log = daemon.wait_for_log(FIRST, &["synced: "])?;
    ensure(log.contains(", 0 deleted"), || {
        format!("the daemon deletes entries; log:\n{log}")
    })?;
    live(&held)?;
    ensure(lost(&before, &counted(&lab.world)?).is_empty(), || {
        format!(
            "real servers were created again: {:?}",
            lost(&before, &counted(&lab.world).unwrap_or_default())
        )
    })?;
    let fresh = hold(&lab, &targets)?;

    // kube-proxy replaces our chains by its own. All else is as kube-proxy left it.
    daemon.terminate()?;
    recorded.load_rules(&lab.world)?;
    live(&held)?;
    live(&fresh)?;
    for connection in held.into_iter().chain(fresh) {
        connection.close()?;
    }
    for connection in hold(&lab, &targets)? {
        connection.close()?;
    }
    Ok(())
}

fn start(world: &World, recorded: &Recorded) -> Outcome<Process> {
    let objects = world.write("objects.yaml", &recorded.objects)?;
    let config = world.write("config.yaml", &recorded.config)?;
    world.daemon(&[&"--manifests", &objects, &"--config", &config])
}

/// Opens two connections to each of `targets`: one from the client, one from the node.
fn hold(lab: &Lab, targets: &[SocketAddr]) -> Outcome<Vec<LongLived>> {
    let mut held = Vec::new();
    for target in targets {
        for from in ["client", "host"] {
            held.push(LongLived::open(lab.place(from)?, *target)?);
        }
    }
    Ok(held)
}

/// Fails unless each connection transfers further lines.
fn live(held: &[LongLived]) -> Outcome {
    let before: Vec<usize> = held.iter().map(LongLived::lines).collect();
    std::thread::sleep(WATCHED);
    within(Duration::from_secs(5), || {
        for (connection, before) in held.iter().zip(&before) {
            ensure(connection.lines() > *before + 2, || {
                format!("a connection to {} is stalled", connection.pod)
            })?;
        }
        Ok(())
    })
}

/// Returns the number of connections of each real server so far. It restarts at 0 when a real
/// server is created again.
fn counted(world: &World) -> Outcome<Vec<(String, u64)>> {
    let stats = world.tool("ipvsadm --list --numeric --stats --exact")?;
    let mut server = String::new();
    let mut counts = Vec::new();
    for line in stats.lines().skip(3) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["->", real, connections, ..] => {
                let count = connections.parse().unwrap_or_default();
                counts.push((format!("{server} {real}"), count));
            }
            [protocol, address, ..] => server = format!("{protocol} {address}"),
            _ => {}
        }
    }
    Ok(counts)
}

/// Returns the real servers that now count fewer connections, or are missing.
fn lost(before: &[(String, u64)], after: &[(String, u64)]) -> Vec<String> {
    (before.iter())
        .filter(|(name, count)| {
            let now = after.iter().find(|(real, _)| real == name);
            now.is_none_or(|(_, now)| now < count)
        })
        .map(|(name, count)| format!("{name} had {count}"))
        .collect()
}
