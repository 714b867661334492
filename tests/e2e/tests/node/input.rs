//! A chain INPUT that drops packets, with and without `acceptServedTraffic`; and rules that exempt
//! packets from connection tracking.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use e2e::{
    Context as _, Family, Knock, Namespace, Outcome, Protocol, World, ensure, get, knock, within,
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{METRICS, Stage, node_address, own_configuration, served_by, with_slices};

/// Time without an answer that counts as silence. It includes one retransmission by TCP, after a
/// second.
const SILENCE: Duration = Duration::from_millis(1300);

/// Time limit for a finding that the daemon reports when it starts.
const AT_START: Duration = Duration::from_secs(10);
/// Time limit for a finding that the daemon reports after an audit.
const AT_AUDIT: Duration = Duration::from_secs(45);

/// The port of a program that runs on the host.
const HOST_PORT: u16 = 8443;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "input::policy_drop_hides_services_until_served_packets_are_accepted",
            policy,
        ),
        case(
            "input::a_rule_that_keeps_packets_from_tracking_is_reported",
            untracked,
        ),
    ]
}

fn web() -> Service {
    Service::new("web", 1)
}

fn guarded() -> Service {
    Service::new("guarded", 2)
}

fn configuration(accepts: bool) -> String {
    own_configuration(&[
        &format!("acceptServedTraffic: {accepts}"),
        "nodePortAddresses: [192.168.50.0/24, \"fd00:50::/64\"]",
    ])
}

fn objects(world: &World) -> Vec<Value> {
    let mut restricted = guarded().outside();
    restricted["spec"]["loadBalancerSourceRanges"] = json!(["192.168.50.10/32", "fd00:50::10/128"]);
    let mut all = with_slices(world, web(), web().outside(), &["pod1"]);
    all.extend(with_slices(world, guarded(), restricted, &["pod1"]));
    all
}

/// Makes chain INPUT drop all packets except those of the node itself and ICMP, even packets of
/// established connections.
fn drop_input(world: &World) -> Outcome {
    for (program, icmp) in [("iptables", "icmp"), ("ip6tables", "ipv6-icmp")] {
        world.tool(&format!("{program} -A INPUT -i lo -j ACCEPT"))?;
        world.tool(&format!("{program} -A INPUT -p {icmp} -j ACCEPT"))?;
        world.tool(&format!("{program} -P INPUT DROP"))?;
    }
    Ok(())
}

/// Returns the codes and texts of the daemon's findings.
fn findings(stage: &Stage) -> Outcome<Vec<(String, String)>> {
    let (_, status) = get(&stage.world.node, METRICS, "/statusz?format=json")?;
    let findings = status["findings"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(findings
        .map(|finding| (text(&finding["code"]), text(&finding["text"])))
        .collect())
}

/// Fails unless the daemon reports, within `time`, one finding with this code for each of `words`.
fn reported(stage: &Stage, time: Duration, code: &str, words: &[&str]) -> Outcome {
    within(time, || {
        let all = findings(stage)?;
        let found = all.iter().filter(|(of, _)| of == code);
        let found: Vec<&String> = found.map(|(_, text)| text).collect();
        let named = |word: &&str| found.iter().any(|text| text.contains(word));
        ensure(
            found.len() == words.len() && words.iter().all(named),
            || format!("expected findings {code} with {words:?}, found {all:?}"),
        )
    })
}

fn silent(from: &Namespace, target: SocketAddr, protocols: &[Protocol]) -> Outcome {
    for protocol in protocols {
        let found = knock(from, None, *protocol, target, SILENCE);
        ensure(found == Knock::Silence, || {
            format!("{target}/{protocol}: expected no answer, found {found:?}")
        })?;
    }
    Ok(())
}

/// Returns every kind of address except node ports, each with the client that uses it.
fn ways(stage: &Stage) -> Outcome<Vec<(&Namespace, SocketAddr)>> {
    let pod: &Namespace = &stage.pod("pod2")?.namespace;
    let mut ways = Vec::new();
    for family in FAMILIES {
        ways.push((pod, web().at(Address::ClusterIp, family)));
        for kind in [Address::LoadBalancer, Address::External] {
            ways.push((&stage.world.client, web().at(kind, family)));
        }
    }
    Ok(ways)
}

fn node_port(protocol: Protocol, family: Family) -> SocketAddr {
    SocketAddr::new(node_address(family), web().node_port(protocol))
}

fn node_port_ends(stage: &Stage, expected: &Knock) -> Outcome {
    for family in FAMILIES {
        for protocol in Protocol::ALL {
            let target = node_port(protocol, family);
            let found = knock(&stage.world.client, None, protocol, target, SILENCE);
            ensure(found == *expected, || {
                format!("{target}/{protocol}: expected {expected:?}, found {found:?}")
            })?;
        }
    }
    Ok(())
}

/// Fails unless INPUT still drops packets to a program of the host and to a node port at an address
/// outside `nodePortAddresses`: neither is served.
fn unserved_is_dropped(stage: &Stage) -> Outcome {
    let listen = |port| {
        let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = stage.world.node.run(|| TcpListener::bind(everywhere));
        listener.context(|| format!("listening at port {port}"))
    };
    let port = web().node_port(Protocol::Tcp);
    let _listeners = [listen(HOST_PORT)?, listen(port)?];
    for family in FAMILIES {
        let host = SocketAddr::new(node_address(family), HOST_PORT);
        silent(&stage.world.client, host, &[Protocol::Tcp])?;
        let elsewhere = SocketAddr::new(family.bridge_address(), port);
        silent(&stage.pod("pod2")?.namespace, elsewhere, &[Protocol::Tcp])?;
    }
    Ok(())
}

fn policy() -> Outcome {
    let mut stage = Stage::configured(&["pod1", "pod2"], &configuration(false), objects)?;
    stage.soon_served_by(web(), Address::LoadBalancer, &["pod1"])?;
    ensure(
        findings(&stage)?.iter().all(|(code, _)| code != "KIV0406"),
        || "KIV0406 is reported, although INPUT accepts all packets",
    )?;

    // Without acceptServedTraffic: no request is answered, and the daemon reports why.
    drop_input(&stage.world)?;
    stage.restart_daemon(&[])?;
    let words = [
        "policy DROP of chain INPUT of the IPv4",
        "policy DROP of chain INPUT of the IPv6",
    ];
    reported(&stage, AT_START, "KIV0406", &words)?;
    for (from, target) in ways(&stage)? {
        silent(from, target, &Protocol::ALL)?;
    }
    node_port_ends(&stage, &Knock::Silence)?;
    let config = stage.world.path("config.yaml");
    let doctor = stage
        .world
        .ipvsctl(&[&"doctor", &"--config", &config, &"--node", &"node1"])?;
    ensure(
        doctor
            .out
            .contains("problem  foreign-rules: policy DROP of chain INPUT of the IPv4")
            && doctor.out.contains("acceptServedTraffic: true"),
        || doctor.out.clone(),
    )?;

    // With it: all that is served is answered, within the source ranges, and nothing else.
    stage.stop_daemon()?;
    stage.world.write("config.yaml", &configuration(true))?;
    stage.start_daemon(&[])?;
    reported(&stage, AT_START, "KIV0406", &[])?;
    for (from, target) in ways(&stage)? {
        within(Duration::from_secs(5), || {
            served_by(from, target, &["pod1"])
        })?;
    }
    node_port_ends(&stage, &Knock::Open)?;
    for family in FAMILIES {
        let target = guarded().at(Address::LoadBalancer, family);
        for (place, expected) in [Knock::Open, Knock::Silence].iter().enumerate() {
            let source = family.client_addresses()[place];
            for protocol in Protocol::ALL {
                let found = knock(&stage.world.client, Some(source), protocol, target, SILENCE);
                ensure(found == *expected, || {
                    format!(
                        "from {source} to {target}/{protocol}: expected {expected:?}, found {found:?}"
                    )
                })?;
            }
        }
        // The node's own connections to a Service work too: the answers pass INPUT.
        served_by(
            &stage.world.node,
            web().at(Address::ClusterIp, family),
            &["pod1"],
        )?;
    }
    unserved_is_dropped(&stage)
}

/// Adds a rule as nodelocaldns writes it when it uses the address of the cluster DNS.
fn untracked() -> Outcome {
    let stage = Stage::configured(&["pod1"], &configuration(false), |world| {
        with_slices(world, web(), web().inside(), &["pod1"])
    })?;
    let target = web().at(Address::ClusterIp, Family::V4);
    within(Duration::from_secs(5), || {
        served_by(&stage.world.node, target, &["pod1"])
    })?;
    let rule = format!(
        "OUTPUT -d {}/32 -p udp -m udp --dport {} -j CT --notrack",
        target.ip(),
        target.port()
    );
    stage.world.tool(&format!("iptables -t raw -A {rule}"))?;
    silent(&stage.world.node, target, &[Protocol::Udp])?;
    reported(&stage, AT_AUDIT, "KIV0407", &[&rule])?;
    stage.world.tool(&format!("iptables -t raw -D {rule}"))?;
    served_by(&stage.world.node, target, &["pod1"])?;
    reported(&stage, AT_AUDIT, "KIV0407", &[])
}
