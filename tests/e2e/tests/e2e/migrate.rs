//! Before, during and after a takeover from kube-proxy: leftovers of its other modes, and drains.

use std::ffi::OsStr;
use std::path::PathBuf;

use e2e::{Family, LongLived, Outcome, World, ensure, eventually};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::case;
use crate::cluster::Cluster;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "migrate::leftovers_are_reported_and_deleted_on_request",
            leftovers,
        ),
        case(
            "migrate::leftovers_of_an_old_ipvs_mode_go_when_asked_and_with_cleanup",
            old_ipvs_mode,
        ),
        case("migrate::drains_of_daemon_and_kernel_are_listed", drains),
    ]
}

/// Rules of kube-proxy's iptables mode for one Service with an endpoint and one without, beside
/// a chain of the kubelet. The Service with an endpoint is served in these tests, as it was by
/// kube-proxy.
const IPTABLES_MODE: &str = r#"*filter
:KUBE-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "default/other:http has no endpoints" -m tcp --dport 80 -j REJECT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-TCOU7JCQXEZGVUNU - [0:0]
:KUBE-SEP-IT2ZTR26TO4XFPTO - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.1.1/32 -p tcp -m comment --comment "default/web:tcp cluster IP" -m tcp --dport 80 -j KUBE-SVC-TCOU7JCQXEZGVUNU
-A KUBE-SVC-TCOU7JCQXEZGVUNU -j KUBE-SEP-IT2ZTR26TO4XFPTO
-A KUBE-SEP-IT2ZTR26TO4XFPTO -p tcp -m tcp -j DNAT --to-destination 10.244.0.10:8080
COMMIT
"#;

/// The chains for source ranges of kube-proxy 1.25 in ipvs mode, left after a later version has
/// written its own, beside the kubelet's chain of the same name.
const OLD_IPVS_MODE: &str = r#"*filter
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
*nat
:KUBE-FIREWALL - [0:0]
:KUBE-MARK-DROP - [0:0]
-A KUBE-FIREWALL -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN
-A KUBE-FIREWALL -m set --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN
-A KUBE-FIREWALL -j KUBE-MARK-DROP
-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000
COMMIT
"#;

/// A rule of another program that jumps to one of these chains.
const MINE: &str = "*nat
:MINE - [0:0]
-A MINE -s 192.0.2.1/32 -j KUBE-FIREWALL
COMMIT
";

fn has(text: &str, words: &[&str]) -> Outcome {
    for word in words {
        ensure(text.contains(word), || {
            format!("{word:?} is missing in:\n{text}")
        })?;
    }
    Ok(())
}

fn has_not(text: &str, words: &[&str]) -> Outcome {
    for word in words {
        ensure(!text.contains(word), || {
            format!("{word:?} is unexpected in:\n{text}")
        })?;
    }
    Ok(())
}

/// A node with a Service. Its daemon runs for one synchronisation at a time.
struct Node {
    world: World,
    config: PathBuf,
    manifests: PathBuf,
}

impl Node {
    fn new() -> Outcome<Self> {
        let world = World::build(2)?;
        Ok(Self {
            config: world.config(&[])?,
            manifests: world.write_objects("web.json", world.web("web", 1))?,
            world,
        })
    }

    /// Returns the output of `ipvsctl migrate check`, which must find no blockers.
    fn check(&self) -> Outcome<String> {
        let (manifests, config) = (&self.manifests, &self.config);
        let ran =
            (self.world).ipvsctl(&[&"migrate", &"check", &"-f", manifests, &"--config", config])?;
        Ok(ran.exits(0)?.out)
    }

    /// Runs the daemon for one synchronisation; returns its log.
    fn synchronise(&self, options: &[&str]) -> Outcome<String> {
        let (manifests, config) = (&self.manifests, &self.config);
        let mut arguments: Vec<&dyn AsRef<OsStr>> =
            vec![&"--manifests", manifests, &"--config", config, &"--once"];
        arguments.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
        Ok(self.world.run_daemon(&arguments)?.exits(0)?.err)
    }
}

fn leftovers() -> Outcome {
    let node = Node::new()?;
    let world = &node.world;
    world.tool_with_input("iptables-restore --noflush", IPTABLES_MODE)?;
    let before = world.tool("iptables-save")?;
    let expected = "3 chains and 2 jumps to them in the IPv4 rules";
    has(&node.check()?, &[expected, "No blockers."])?;
    let after = world.tool("iptables-save")?;
    let rules = |text: &str| text.lines().filter(|line| line.starts_with("-A")).count();
    ensure(rules(&before) == rules(&after), || after)?;

    // The first synchronisation takes over the chains that both modes use. It only reports the
    // others.
    let log = node.synchronise(&[])?;
    let expected = "3 chains and 1 jump to them in the IPv4 rules";
    has(&log, &["KIV0405 warning Node node1", expected])?;
    has(&world.tool("iptables-save")?, &[":KUBE-SVC-", "-j REJECT"])?;

    let log = node.synchronise(&["--remove-leftovers"])?;
    has(&log, &["deleted what kube-proxy left behind: 3 chains"])?;
    let saved = world.tool("iptables-save")?;
    has(&saved, &[":KUBE-FIREWALL", "-A INPUT -j KUBE-FIREWALL"])?;
    has_not(&saved, &["KUBE-SVC-", "KUBE-SEP-", "has no endpoints"])?;
    let filter = world.tool("iptables-save -t filter")?;
    has_not(&filter, &["KUBE-SERVICES"])?;
    let rendered = world.rendered(&node.manifests, &node.config)?;
    world.tables()?.are(&rendered)?;
    has(
        &node.check()?,
        &["no leftovers of kube-proxy's other modes"],
    )
}

fn old_ipvs_mode() -> Outcome {
    let node = Node::new()?;
    let world = &node.world;
    node.synchronise(&[])?;
    world.tool_with_input("iptables-restore --noflush", OLD_IPVS_MODE)?;
    let expected = "left behind 2 chains in the IPv4 rules";
    has(&node.check()?, &[expected])?;
    node.synchronise(&["--remove-leftovers"])?;
    let nat = world.tool("iptables-save -t nat")?;
    has_not(&nat, &["KUBE-FIREWALL", "KUBE-MARK-DROP"])?;
    let kubelets = ["-A INPUT -j KUBE-FIREWALL"];
    has(&world.tool("iptables-save -t filter")?, &kubelets)?;

    // The chains refer to sets, which must stay as long as another program's rule keeps the chains.
    world.tool_with_input("iptables-restore --noflush", OLD_IPVS_MODE)?;
    world.tool_with_input("iptables-restore --noflush", MINE)?;
    let ran = world.run_daemon(&[&"--cleanup"])?.exits(1)?;
    let expected = "chain KUBE-FIREWALL of table nat was not deleted: chains of other programs jump to it (MINE)";
    has(&ran.err, &[expected])?;
    let nat = world.tool("iptables-save -t nat")?;
    has(&nat, &[":KUBE-FIREWALL", ":KUBE-MARK-DROP"])?;
    world.tool("iptables -t nat -F MINE")?;
    world.run_daemon(&[&"--cleanup"])?.exits(0)?;
    let nat = world.tool("iptables-save -t nat")?;
    has_not(&nat, &["KUBE-FIREWALL", "KUBE-MARK-DROP"])?;
    has(&world.tool("iptables-save -t filter")?, &kubelets)?;
    let sets = world.tool("ipset list -n")?;
    has_not(&sets, &["KUBE-"])
}

fn drains() -> Outcome {
    let cluster = Cluster::start(1, &[])?;
    let world = &cluster.world;
    let target = Family::V4.virtual_server(1);
    let connection = LongLived::open(&world.client, target)?;
    cluster.set_endpoints(&[])?;
    let list = || -> Outcome<Value> {
        let ran = world.ipvsctl(&[&"get", &"drains", &"-o", &"json"])?;
        let ran = ran.exits(0)?;
        serde_json::from_str(&ran.out).map_err(|error| e2e::Failure::new(error.to_string()))
    };
    let expected = |drain: &Value| {
        drain["virtualServer"] == "10.96.1.1:80/TCP"
            && drain["service"] == "default/web:tcp"
            && drain["activeConnections"] == 1
            && drain["since"].is_string()
            && drain["deadline"].is_string()
            && drain["knownToDaemon"] == true
    };
    eventually(|| {
        let found = list()?;
        let one = found["drains"].as_array().is_some_and(|drains| {
            let [drain] = &drains[..] else { return false };
            expected(drain)
        });
        ensure(one, || found.to_string())
    })?;

    let now = world.path("now.json");
    let check: e2e::Arguments<'_> = &[
        &"migrate",
        &"check",
        &"-f",
        &now,
        &"--config",
        &cluster.config,
    ];
    let ran = world.ipvsctl(check)?.exits(1)?;
    has(&ran.out, &["Blockers\n- kube-ipvsd answers at "])?;

    // Without the daemon, the kernel still shows what drains, but not since when.
    let mut cluster = cluster;
    cluster.daemon.kill()?;
    let ran = cluster.world.ipvsctl(&[&"get", &"drains"])?.exits(0)?;
    has(&ran.out, &["10.96.1.1:80/TCP", "unknown"])?;
    connection.close()
}
