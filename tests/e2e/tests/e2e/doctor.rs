//! `ipvsctl doctor` on a healthy node, and on nodes with problems.

use e2e::{ApiServer, Failure, Family, LongLived, Outcome, Tables, World, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::cluster::Cluster;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case("doctor::a_healthy_node_is_ok", healthy),
        case("doctor::settings_and_timeouts_are_reported", settings),
        case("doctor::a_broken_device_is_reported", device),
        case("doctor::drains_without_a_daemon_are_reported", drains),
        case(
            "doctor::leftovers_and_other_virtual_servers_are_reported",
            others,
        ),
    ]
}

/// Starts a cluster with a Node object, and with timeouts longer than TCP keepalive.
fn cluster() -> Outcome<Cluster> {
    let world = World::build(1)?;
    let mut objects = world.web("web", 1);
    objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}));
    let load = world.write_objects("load.json", objects)?;
    let timeouts = ["tcpTimeout: 2h10m", "tcpFinTimeout: 2m", "udpTimeout: 2m"];
    let config = world.config(&timeouts)?;
    let api = ApiServer::start(&world, &[&load])?;
    let daemon = world.daemon(&[&"--kubeconfig", &api.kubeconfig, &"--config", &config])?;
    let cluster = Cluster {
        world,
        api,
        daemon,
        config,
    };
    cluster.converges()?;
    Ok(cluster)
}

/// Returns the doctor's JSON and its exit status.
fn checkup(cluster: &Cluster) -> Outcome<(i32, Value)> {
    let ran = cluster.world.ipvsctl(&[
        &"doctor",
        &"--config",
        &cluster.config,
        &"--kubeconfig",
        &cluster.api.kubeconfig,
        &"--node",
        &"node1",
        &"-o",
        &"json",
    ])?;
    let report = serde_json::from_str(&ran.out)
        .map_err(|error| Failure::new(format!("{error}: {ran:?}")))?;
    Ok((ran.status, report))
}

/// Fails unless the checks that are not ok are those of `expected`: pairs such as `warning bridge`
/// with a part of the check's text.
fn reports(cluster: &Cluster, expected: &[(&str, &str)]) -> Outcome {
    let (status, report) = checkup(cluster)?;
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let bad: Vec<&Value> = checks
        .iter()
        .filter(|check| check["severity"] != "ok")
        .collect();
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is = |check: &Value, (name, found): &(&str, &str)| {
        let is = format!("{} {}", words(&check["severity"]), words(&check["check"]));
        is == *name && words(&check["found"]).contains(found) && check["action"].is_string()
    };
    let as_expected = bad.len() == expected.len()
        && expected
            .iter()
            .all(|expected| bad.iter().any(|check| is(check, expected)));
    ensure(as_expected, || {
        format!("expected {expected:?}, found {bad:#?}")
    })?;
    ensure(status == 1 && report["kind"] == "Checkup", || {
        format!("unexpected exit status {status} or kind: {report}")
    })
}

const NO_DAEMON: (&str, &str) = (
    "problem proxies",
    "kube-ipvsd does not answer at 127.0.0.1:10249",
);

fn healthy() -> Outcome {
    let cluster = cluster()?;
    // Until the daemon has read the Node, it treats the node as leaving the cluster.
    e2e::eventually(|| {
        let (status, report) = checkup(&cluster)?;
        ensure(status == 0 && report["summary"]["ok"] == 27, || {
            format!("expected exit status 0 and 27 checks that are ok, found {status}: {report:#}")
        })
    })?;
    // Without arguments the input is that of the running daemon.
    let ran = cluster
        .world
        .ipvsctl(&[&"doctor", &"-o", &"wide"])?
        .exits(0)?;
    let expected = [
        "ok       bridge: packets over bridge cni0 pass the rules\n",
        "\nverdict: healthy: the Service is served as it should be (node node1)\n",
    ];
    ensure(expected.iter().all(|words| ran.out.contains(words)), || {
        ran.out
    })
}

fn settings() -> Outcome {
    let mut cluster = cluster()?;
    cluster.daemon.kill()?;
    cluster.world.tool("sysctl -w net.ipv4.ip_forward=0")?;
    cluster
        .world
        .tool("sysctl -w net.ipv4.vs.conn_reuse_mode=0")?;
    cluster
        .world
        .tool("sysctl -w net.bridge.bridge-nf-call-iptables=0")?;
    cluster.world.tool("ipvsadm --set 900 120 300")?;
    let before = cluster.world.tables()?;
    reports(
        &cluster,
        &[
            ("problem settings", "net.ipv4.ip_forward is 0, should be 1"),
            (
                "warning settings",
                "net.ipv4.vs.conn_reuse_mode is 0, should be 1",
            ),
            (
                "warning bridge",
                "packets over bridge cni0 bypass the rules: net.bridge.bridge-nf-call-iptables is 0, should be 1",
            ),
            (
                "warning idle-tcp",
                "after 900 s in IPVS (86400 s in the connection tracker); TCP keepalive of this node starts after \
                 7200 s",
            ),
            (
                "warning timeouts",
                "the idle timeouts of IPVS are not the configured ones",
            ),
            NO_DAEMON,
        ],
    )?;
    cluster.world.tables()?.are(&before)?;
    let forward = cluster.world.tool("sysctl -n net.ipv4.ip_forward")?;
    ensure(forward.trim() == "0", || "the doctor changed a setting")
}

fn device() -> Outcome {
    let mut cluster = cluster()?;
    cluster.daemon.kill()?;
    cluster
        .world
        .tool("ip address add 10.96.7.7/32 dev kube-ipvs0")?;
    cluster
        .world
        .tool("ip address del 10.96.1.1/32 dev kube-ipvs0")?;
    reports(
        &cluster,
        &[
            (
                "warning addresses",
                "1 address on kube-ipvs0 belonging to no Service",
            ),
            (
                "problem addresses",
                "1 Service address is missing on kube-ipvs0",
            ),
            NO_DAEMON,
        ],
    )?;
    cluster.world.tool("ip link delete kube-ipvs0")?;
    let gone = ("problem device", "device kube-ipvs0 does not exist");
    reports(&cluster, &[gone, NO_DAEMON])?;
    cluster.world.tool("ip link add kube-ipvs0 type bridge")?;
    let foreign = (
        "problem device",
        "kube-ipvs0 is a device of kind bridge, not a dummy device",
    );
    reports(&cluster, &[foreign, NO_DAEMON])
}

fn drains() -> Outcome {
    let mut cluster = cluster()?;
    let connection = LongLived::open(&cluster.world.client, Family::V4.virtual_server(1))?;
    cluster.set_endpoints(&[])?;
    let drained = || {
        let ran = cluster.world.ipvsctl(&[&"get", &"drains"])?.exits(0)?;
        ensure(ran.out.contains("10.96.1.1:80/TCP"), || ran.out)
    };
    e2e::eventually(drained)?;
    // The real servers without connections are deleted soon.
    e2e::eventually(|| {
        let ipvs = cluster.world.tables()?.ipvs;
        let drained = ipvs.iter().filter(|line| Tables::is_drained(line)).count();
        ensure(drained == 1, || {
            format!("expected one draining real server, found {drained}")
        })
    })?;
    // The doctor relies on the running daemon to end the drain.
    let (status, report) = checkup(&cluster)?;
    ensure(status == 0, || {
        format!("expected exit status 0, found {status}: {report:#}")
    })?;
    cluster.daemon.kill()?;
    let left = (
        "warning drains",
        "1 real server of weight 0, and no kube-ipvsd ends their drains",
    );
    reports(&cluster, &[left, NO_DAEMON])?;
    connection.close()
}

/// A chain of kube-proxy's iptables mode.
const IPTABLES_MODE: &str = "*nat\n:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]\nCOMMIT\n";

fn others() -> Outcome {
    let cluster = cluster()?;
    let world = &cluster.world;
    world.tool_with_input("iptables-restore --noflush", IPTABLES_MODE)?;
    world.tool("ipvsadm -A -t 192.168.50.1:8443 -s rr")?;
    let left = ("warning leftovers", "1 chain in the IPv4 rules");
    reports(&cluster, &[left])?;
    let (_, report) = checkup(&cluster)?;
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let mut found = checks
        .iter()
        .filter(|check| check["check"] == "other-virtual-servers");
    let found = found
        .next()
        .map(|check| check["found"].clone())
        .unwrap_or_default();
    let expected = "1 virtual server of other programs, not changed by kube-ipvsd, 0 of them in ipvs.excludeCIDRs: 192.168.50.1:8443/TCP";
    ensure(found == expected, || found.to_string())
}
