//! API servers that fail during changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use e2e::{ApiServer, Outcome, Path, World, ensure, eventually, get, get_text};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::cluster::Cluster;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("faults::server_restarted_during_changes", restarted),
        case("faults::server_compacted_during_changes", compacted),
        case("faults::server_killed_and_started_again", killed),
        case("faults::events_cut_and_errors_answered", cut),
        case("faults::server_down_at_the_start", down_at_start),
        case("faults::server_that_refuses_the_token", unauthorized),
        case("faults::server_that_forbids_a_list", forbidden),
    ]
}

/// Makes changes in several rounds, with `fault` in the middle of each. Fails unless the daemon
/// converges.
fn converges_despite(cluster: &Cluster, mut fault: impl FnMut(&Cluster) -> Outcome) -> Outcome {
    for round in 0..4_u8 {
        cluster.set_endpoints(&[usize::from(round) % 3])?;
        let name = format!("shop-{round}");
        cluster
            .api
            .create_all(&cluster.world.web(&name, 10 + round))?;
        fault(cluster)?;
        eventually(|| cluster.set_endpoints(&[0, 1 + usize::from(round) % 2]))?;
        if round % 2 == 0 {
            cluster.api.delete(Path::Services, &name)?;
        }
    }
    cluster.converges()?;
    cluster.set_endpoints(&[0, 1, 2])?;
    cluster.converges()?;
    cluster.served_by(&["pod1", "pod2", "pod3"])
}

fn restarted() -> Outcome {
    let cluster = Cluster::start(3, &[])?;
    converges_despite(&cluster, |cluster| {
        let settings = json!({"for_ms": 300, "state": "kept"});
        cluster.api.fault("down", &settings)?;
        let answers = || cluster.api.objects().is_ok();
        eventually(|| ensure(!answers(), || "the server is not down"))?;
        eventually(|| ensure(answers(), || "the server is not up again"))
    })
}

/// The server forgets the resource version from which the daemon would continue (status 410).
fn compacted() -> Outcome {
    let cluster = Cluster::start(3, &[])?;
    converges_despite(&cluster, |cluster| {
        cluster.api.fault("close-watches", &Value::Null)?;
        cluster.api.fault("compact", &Value::Null)
    })
}

fn killed() -> Outcome {
    let cluster = Cluster::start(2, &[])?;
    let before = cluster.world.tables()?;
    let Cluster {
        world,
        api,
        daemon,
        config,
    } = cluster;
    api.kill()?;
    thread::sleep(Duration::from_millis(500));
    // Without a server the daemon changes nothing.
    world.tables()?.are(&before)?;
    let api = ApiServer::start_at(&world, &[&world.path("load.json")], 1_000_000)?;
    let cluster = Cluster {
        world,
        api,
        daemon,
        config,
    };
    cluster.api.create_all(&cluster.world.web("other", 7))?;
    cluster.set_endpoints(&[1])?;
    cluster.converges()?;
    cluster.served_by(&["pod2"])
}

fn cut() -> Outcome {
    let cluster = Cluster::start(3, &[])?;
    converges_despite(&cluster, |cluster| {
        cluster.api.fault("cut-events", &json!({"count": 2}))?;
        cluster.set_endpoints(&[2])?;
        // The daemon gets these answers: the test itself sends no requests until then.
        let fail = json!({"count": 2, "code": 500});
        cluster.api.fault("fail-next", &fail)?;
        cluster.api.fault("close-watches", &Value::Null)?;
        thread::sleep(Duration::from_millis(500));
        cluster.api.fault("clear", &Value::Null)
    })
}

/// A node keeps its tables while the daemon cannot reach the server, and the daemon logs the
/// reason.
fn down_at_start() -> Outcome {
    let world = World::build(2)?;
    let manifests = world.write_objects("web.json", world.web("web", 1))?;
    let config = world.config(&[])?;
    world
        .run_daemon(&[&"--manifests", &manifests, &"--config", &config, &"--once"])?
        .exits(0)?;
    let before = world.tables()?;
    let load = world.write_objects("load.json", world.web("other", 7))?;
    ApiServer::start(&world, &[&load])?.kill()?;

    let kubeconfig = world.path("kubeconfig");
    let daemon = world.daemon(&[&"--kubeconfig", &kubeconfig, &"--config", &config])?;
    daemon.wait_for_log(
        Duration::from_secs(5),
        &["ERROR", "127.0.0.1:6443", "refused"],
    )?;
    thread::sleep(Duration::from_millis(500));
    world.tables()?.are(&before)?;

    let api = ApiServer::start(&world, &[&load])?;
    let cluster = Cluster {
        world,
        api,
        daemon,
        config,
    };
    cluster.converges()?;
    cluster
        .daemon
        .wait_for_log(Duration::from_secs(5), &["INFO", "recovered"])
        .map(drop)
}

fn unauthorized() -> Outcome {
    let mut cluster = Cluster::start(2, &[])?;
    let before = cluster.world.tables()?;
    cluster.api.fault("unauthorized", &json!({"on": true}))?;
    cluster.api.fault("close-watches", &Value::Null)?;
    cluster
        .daemon
        .wait_for_log(Duration::from_secs(5), &["ERROR", "401"])?;
    cluster.world.tables()?.are(&before)?;

    // The same applies to a daemon that starts now.
    cluster.daemon.kill()?;
    cluster.restart_daemon()?;
    cluster
        .daemon
        .wait_for_log(Duration::from_secs(5), &["ERROR", "401"])?;
    thread::sleep(Duration::from_millis(500));
    cluster.world.tables()?.are(&before)?;

    cluster.api.fault("clear", &Value::Null)?;
    cluster.set_endpoints(&[1])?;
    cluster.converges()
}

/// The daemon's address for health pages, on the node.
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10256);
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);

/// EndpointSlices are forbidden: while a list is missing, nothing is changed, and every page shows
/// the reason. If a list was read before, the node stays ready.
fn forbidden() -> Outcome {
    let mut cluster = Cluster::start(2, &[])?;
    let before = cluster.world.tables()?;
    cluster.daemon.kill()?;
    let forbid = json!([{"resource": "endpointslices", "verb": "*"}]);
    cluster.api.fault("forbid", &forbid)?;
    cluster.api.create_all(&cluster.world.web("shop", 2)[..1])?;
    cluster.restart_daemon()?;
    cluster
        .daemon
        .wait_for_log(Duration::from_secs(5), &["ERROR", "403", "endpointslices"])?;
    eventually(|| slices_are_refused(&cluster, 503))?;
    thread::sleep(Duration::from_millis(500));
    cluster.world.tables()?.are(&before)?;

    cluster.api.fault("clear", &Value::Null)?;
    cluster.converges()?;
    eventually(|| readyz(&cluster, 200).map(drop))?;

    cluster.api.fault("forbid", &forbid)?;
    cluster.api.fault("close-watches", &Value::Null)?;
    eventually(|| slices_are_refused(&cluster, 200))?;
    cluster.api.fault("clear", &Value::Null)?;
    cluster.set_endpoints(&[1])?;
    cluster.converges()
}

/// Returns the body of `/readyz`. Fails unless it has this status.
fn readyz(cluster: &Cluster, wanted: u16) -> Outcome<Value> {
    let (status, body) = get(&cluster.world.node, HEALTH, "/readyz")?;
    ensure(status == wanted, || {
        format!("/readyz: expected status {wanted}, found {status} {body}")
    })?;
    Ok(body)
}

/// Fails unless `/readyz` has this status; `/readyz`, `/statusz` and `/metrics` report that
/// EndpointSlices are refused; and `/livez` has status 200.
fn slices_are_refused(cluster: &Cluster, ready: u16) -> Outcome {
    let node = &cluster.world.node;
    let body = readyz(cluster, ready)?;
    let slices = &body["sources"]["endpointslices"];
    let message = slices["lastError"]["message"].as_str().unwrap_or_default();
    ensure(
        slices["state"] == "refused" && message.contains("403"),
        || format!("/readyz: expected EndpointSlices to be refused with 403, found {body}"),
    )?;
    let (livez, body) = get(node, HEALTH, "/livez")?;
    ensure(livez == 200, || {
        format!("/livez: expected status 200, found {livez} {body}")
    })?;
    let status = get_text(node, METRICS, "/statusz")?;
    ensure(
        status.contains("Source endpointslices: refused since "),
        || status,
    )?;
    let metrics = get_text(node, METRICS, "/metrics")?;
    let series = "kubeipvs_source_state{source=\"endpointslices\",state=\"refused\"} 1\n";
    ensure(metrics.contains(series), || metrics)
}
