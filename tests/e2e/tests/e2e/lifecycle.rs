//! Start, stop, restart and cleanup, beside entries of other programs.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Context as _, LongLived, Outcome, Probe, Protocol, Tables, World, ensure};
use e2e::{Family, within};
use libtest_mimic::Trial;

use crate::case;
use crate::cluster::Cluster;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("lifecycle::sigterm_leaves_the_tables", sigterm),
        case("lifecycle::a_restart_changes_nothing", restart),
        case("lifecycle::once", once),
        case("lifecycle::once_from_the_api_server", once_from_server),
        case("lifecycle::cleanup_leaves_nothing_of_ours", cleanup),
        case("lifecycle::what_others_made_is_left_alone", foreign),
        case("lifecycle::diff_reports_and_changes_nothing", diff),
    ]
}

fn sigterm() -> Outcome {
    let mut cluster = Cluster::start(2, &[])?;
    let before = cluster.world.tables()?;
    let status = cluster.daemon.terminate()?;
    ensure(status.success(), || format!("ended with {status}"))?;
    cluster.world.tables()?.are(&before)?;
    cluster.served_by(&["pod1", "pod2"])
}

fn restart() -> Outcome {
    let mut cluster = Cluster::start(2, &["syncPeriod: 1s"])?;
    let target = Family::V4.virtual_server(1);
    let connection = LongLived::open(&cluster.world.client, target)?;
    cluster.daemon.kill()?;
    let before = cluster.world.tables()?;
    cluster.restart_daemon()?;
    within(Duration::from_secs(5), || {
        ensure(
            cluster.daemon.log().contains("kube-ipvsd starts"),
            || "the log lacks the start of the daemon",
        )
    })?;
    // Time for the first synchronisation and an audit.
    std::thread::sleep(Duration::from_millis(2500));
    cluster.world.tables()?.are(&before)?;
    let log = cluster.daemon.log();
    for word in ["ERROR", "drift", "synced"] {
        ensure(!log.contains(word), || format!("the log has {word:?}"))?;
    }
    // A virtual server that was created again would have lost its connection counter.
    let counters = cluster.world.tool("ipvsadm -Ln --stats")?;
    let tcp = counters
        .lines()
        .find(|line| line.starts_with("TCP  10.96.1.1:80"));
    let connections = tcp.and_then(|line| line.split_ascii_whitespace().nth(2));
    ensure(connections == Some("1"), || counters.clone())?;
    connection.close()
}

fn once() -> Outcome {
    let world = World::build(2)?;
    let config = world.config(&[])?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let arguments: e2e::Arguments<'_> =
        &[&"--manifests", &manifests, &"--config", &config, &"--once"];
    let ran = world.run_daemon(arguments)?.exits(0)?;
    ensure(ran.err.contains("synced: "), || ran.err)?;
    let expected = world.rendered(&manifests, &config)?;
    world.tables()?.are(&expected)?;
    let again = world.run_daemon(arguments)?.exits(0)?;
    ensure(!again.err.contains("synced: "), || again.err)?;
    world.tables()?.are(&expected)
}

fn once_from_server() -> Outcome {
    let mut cluster = Cluster::start(2, &[])?;
    cluster.daemon.kill()?;
    cluster.set_endpoints(&[1])?;
    let world = &cluster.world;
    world
        .run_daemon(&[
            &"--kubeconfig",
            &cluster.api.kubeconfig,
            &"--config",
            &cluster.config,
            &"--once",
        ])?
        .exits(0)?;
    cluster.served_by(&["pod2"])
}

fn cleanup() -> Outcome {
    let mut cluster = Cluster::start(2, &[])?;
    cluster.daemon.terminate()?;
    cluster.world.run_daemon(&[&"--cleanup"])?.exits(0)?;
    cluster.world.tables()?.are(&Tables::default())?;
    let links = cluster.world.tool("ip -oneline link show")?;
    ensure(!links.contains("kube-ipvs0"), || links)?;
    // A second cleanup finds nothing and succeeds.
    cluster
        .world
        .run_daemon(&[&"--cleanup"])?
        .exits(0)
        .map(drop)
}

fn foreign() -> Outcome {
    let world = World::build(2)?;
    for line in [
        "ipvsadm -A -t 192.168.50.1:8443 -s wlc -p 60",
        "ipvsadm -a -t 192.168.50.1:8443 -r 10.244.0.10:8080 -m -w 3",
        "ipvsadm -A -f 7 -s rr",
        "ipvsadm -a -f 7 -r 10.244.0.11 -g",
    ] {
        world.tool(line)?;
    }
    let foreign = world.tables()?;
    let config = world.config(&["syncPeriod: 1s"])?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let mut daemon = world.daemon(&[&"--manifests", &manifests, &"--config", &config])?;
    let mut all = world.rendered(&manifests, &config)?;
    all.ipvs.extend(foreign.ipvs.iter().cloned());
    e2e::eventually(|| world.tables()?.are(&all))?;
    // Time for two audits.
    std::thread::sleep(Duration::from_millis(2500));
    world.tables()?.are(&all)?;
    let target: SocketAddr = "192.168.50.1:8443".parse().context(|| "an address")?;
    let probe = Probe::new(&world.client, Protocol::Tcp, target);
    let served = || -> Outcome {
        let tally = probe.ask(5).complete()?;
        ensure(tally.one_pod()? == "pod1", || {
            format!("expected answers of pod1, found {tally:?}")
        })
    };
    served()?;
    daemon.terminate()?;
    world.run_daemon(&[&"--cleanup"])?.exits(0)?;
    world.tables()?.are(&foreign)?;
    served()
}

fn diff() -> Outcome {
    let world = World::build(2)?;
    let config = world.config(&[])?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let files: e2e::Arguments<'_> = &[
        &"diff",
        &"-f",
        &manifests,
        &"--config",
        &config,
        &"--node",
        &"node1",
    ];
    // On a clean node: diff lists additions only, and creates nothing, not even the device.
    let ran = world.ipvsctl(files)?.exits(1)?;
    for word in [
        "+ create KUBE-CLUSTER-IP ",
        "+ add KUBE-IPVS-IPS 10.96.1.1",
        "@@ nat KUBE-SERVICES (IPv6",
    ] {
        ensure(ran.out.contains(word), || {
            format!("{word:?} is missing in:\n{}", ran.out)
        })?;
    }
    world.tables()?.are(&Tables::default())?;
    ensure(world.tool("ipset save")?.is_empty(), || {
        "diff created a set".to_owned()
    })?;
    let links = world.tool("ip -oneline link show")?;
    ensure(!links.contains("kube-ipvs0"), || links)?;

    world
        .run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?
        .exits(0)?;
    let dump = || -> Outcome<String> {
        Ok(world.tool("ipvsadm -Sn")? + &world.tool("ip -oneline address show dev kube-ipvs0")?)
    };
    let before = dump()?;
    let ran = world.ipvsctl(files)?.exits(0)?;
    ensure(
        ran.out == "Plan: 0 to add, 0 to change, 0 to delete\n",
        || ran.out,
    )?;
    ensure(dump()? == before, || "diff changed the tables")?;

    world.tool("ipvsadm -e -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 0")?;
    let before = dump()?;
    let ran = world.ipvsctl(files)?.exits(1)?;
    for word in [
        "default/web:tcp\n",
        "~ -e -t 10.96.1.1:80 -r 10.244.0.10:8080 -m -w 1",
        "weight 0 -> 1",
        "Plan: 0 to add, 1 to change, 0 to delete\n",
    ] {
        ensure(ran.out.contains(word), || {
            format!("{word:?} is missing in:\n{}", ran.out)
        })?;
    }
    ensure(dump()? == before, || "diff changed the tables")
}
