//! Leftovers of kube-proxy's iptables mode affect packets until they are deleted.

use std::time::Duration;

use e2e::{Load, Outcome, Protocol, ensure, get_text};
use libtest_mimic::Trial;

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, refused, with_slices};

pub(crate) fn trials() -> Vec<Trial> {
    vec![case(
        "leftovers::they_act_until_they_are_deleted_under_load",
        under_load,
    )]
}

/// Rules for a Service that was served, and whose external address was refused, because it had no
/// endpoints then. Also a rule of the kubelet.
const IPTABLES_MODE: &str = r#"*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-EXTERNAL-SERVICES -d 203.0.113.101/32 -p tcp -m comment --comment "default/web:tcp has no endpoints" -m tcp --dport 80 -j REJECT
-A KUBE-EXTERNAL-SERVICES -d 203.0.113.101/32 -p udp -m comment --comment "default/web:udp has no endpoints" -m udp --dport 80 -j REJECT
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

const CHAINS: [&str; 3] = ["KUBE-EXTERNAL-SERVICES", "KUBE-SVC-", "KUBE-SEP-"];

const PODS: [&str; 2] = ["pod1", "pod2"];

fn web() -> Service {
    Service::new("web", 1)
}

/// Fails unless all of the chains exist, or none of them if `exist` is false.
fn chains(stage: &Stage, exist: bool) -> Outcome {
    let saved = stage.world.tool("iptables-save")?;
    let right = CHAINS.iter().all(|name| saved.contains(name) == exist);
    ensure(right, || {
        format!("expected the chains to exist: {exist}; found:\n{saved}")
    })?;
    let kubelets = saved.contains("-A INPUT -j KUBE-FIREWALL");
    ensure(kubelets, || {
        format!("the kubelet's rule is missing in:\n{saved}")
    })
}

fn under_load() -> Outcome {
    let mut left = Ok(String::new());
    let mut stage = Stage::start(&PODS, &[], |world| {
        left = world.tool_with_input("iptables-restore --noflush", IPTABLES_MODE);
        with_slices(world, web(), web().outside(), &PODS)
    })?;
    left?;
    let target = |kind| web().at(kind, FAMILIES[0]);
    let soon = Duration::from_secs(5);

    // Without --remove-leftovers the daemon only reports them.
    let reported = ["KIV0405", "--remove-leftovers"];
    stage.daemon.wait_for_log(soon, &reported)?;
    let metrics = get_text(&stage.world.node, METRICS, "/metrics")?;
    let counted = "kubeipvs_findings{code=\"KIV0405\"";
    ensure(metrics.contains(counted), || {
        format!("the metrics lack {counted}")
    })?;
    chains(&stage, true)?;
    // Both pods answer: no rule jumps any more to the chain that selected one pod only.
    stage.soon_served_by(web(), Address::ClusterIp, &PODS)?;
    refused(&stage.world.client, target(Address::External))?;

    let served = [Address::ClusterIp, Address::LoadBalancer];
    let targets: Vec<_> = FAMILIES
        .into_iter()
        .flat_map(|family| served.map(|kind| (Protocol::Tcp, web().at(kind, family))))
        .collect();
    let load = Load::start(&stage.world.client, &targets, 1);
    stage.restart_daemon(&["--remove-leftovers"])?;
    let done = ["deleted what kube-proxy left behind"];
    stage.daemon.wait_for_log(3 * soon, &done)?;
    load.complete(50)?;
    chains(&stage, false)?;
    stage.soon_served_by(web(), Address::External, &PODS)?;
    stage.soon_served_by(web(), Address::ClusterIp, &PODS)
}
