//! Direct routing and tunnels to an endpoint on a host that has the virtual addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use e2e::{
    Backend, Context as _, Family, Knock, LINK, Namespace, Outcome, Probe, Protocol, Tally, ensure,
    knock,
};
use serde_json::{Value, json};

use super::{annotated, configuration};
use crate::service::{Address, Endpoint, FAMILIES, Service};
use crate::stage::Stage;

const OUTSIDE: [Address; 2] = [Address::LoadBalancer, Address::External];

/// Loads the modules that unpack tunnels.
const MODULES: &str = "modprobe -a ipip ip_gre fou ip6_tunnel ip6_gre fou6";

/// Time without an answer that counts as silence. It includes one retransmission by TCP, after a
/// second.
const SILENCE: Duration = Duration::from_millis(1300);

fn web() -> Service {
    Service::new("web", 1)
}

/// Returns the Service with this annotation. Its port is that of the servers, as unrewritten packets
/// need it.
fn object(forwarding: &str) -> Value {
    let mut service = annotated(web().outside(), &[("forwarding", forwarding)]);
    for place in 0..Protocol::ALL.len() {
        service["spec"]["ports"][place]["port"] = e2e::PORT.into();
    }
    service
}

fn at(kind: Address, family: Family) -> SocketAddr {
    SocketAddr::new(web().address(kind, family), e2e::PORT)
}

/// Starts a stage whose Service has the endpoint on the other host and, with `pod`, one here.
fn stage(object: Value, pod: bool) -> Outcome<(Stage, Backend)> {
    let stage = Stage::configured(&["pod1"], &configuration(&[]), |world| {
        let mut all = vec![object];
        all.extend(FAMILIES.map(|family| {
            let mut endpoints = vec![Endpoint::ready(Backend::address(family), "node2")];
            if pod {
                endpoints.push(Endpoint::ready(family.of(&world.pods[0]), "node1"));
            }
            web().slice(family, &endpoints)
        }));
        all
    })?;
    let addresses = OUTSIDE.map(|kind| {
        let v4 = match web().address(kind, Family::V4) {
            IpAddr::V4(v4) => v4,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let v6 = match web().address(kind, Family::V6) {
            IpAddr::V6(v6) => v6,
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
        };
        (v4, v6)
    });
    let backend = Backend::beside(&stage.world, &addresses)?;
    Ok((stage, backend))
}

/// Waits until the other host is a real server with these options, in both families and at every
/// address from outside.
fn soon(stage: &Stage, options: &str) -> Outcome {
    let mut lines = Vec::new();
    for family in FAMILIES {
        let real = SocketAddr::new(Backend::address(family), e2e::PORT);
        for kind in OUTSIDE {
            for protocol in Protocol::ALL {
                let (option, target) = (protocol.option(), at(kind, family));
                lines.push(format!("-a {option} {target} -r {real} {options}"));
            }
        }
    }
    super::soon_has(stage, &lines)
}

/// Sends requests, which must all be answered.
fn ask(from: &Namespace, protocol: Protocol, target: SocketAddr, count: usize) -> Outcome<Tally> {
    let tally = Probe::new(from, protocol, target).ask(count);
    (tally.complete()).context(|| format!("{target}/{protocol}"))
}

/// Fails unless `count` pods answered alike, and each saw one of these addresses as the client's.
fn ensure_seen(tally: &Tally, pods: &[&str], sources: &[IpAddr]) -> Outcome {
    let counts = tally.by_pod();
    let each = tally.answers.len() / pods.len();
    let alike = counts.keys().eq(pods) && counts.values().all(|count| *count == each);
    ensure(alike, || {
        format!("expected answers of {pods:?}, found {counts:?}")
    })?;
    let other = (tally.answers.iter()).find(|answer| !sources.contains(&answer.seen_from));
    ensure(other.is_none(), || {
        format!("expected a client of {sources:?}, found {other:?}")
    })
}

/// Returns the number of packets that the node received from the other host.
fn received(stage: &Stage) -> Outcome<u64> {
    let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
    let text = (stage.world.node.run(read)).context(|| "reading net/dev")?;
    let line = text.lines().find_map(|line| {
        line.trim_start()
            .strip_prefix(LINK)
            .and_then(|rest| rest.strip_prefix(':'))
    });
    let packets = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    packets.ok_or_else(|| e2e::Failure::new(format!("no packets of {LINK} in {text}")))
}

/// Endpoints see the client, and the one on the other host answers it without the node. Cluster IPs
/// and node ports are masqueraded.
pub(super) fn direct() -> Outcome {
    let (stage, _backend) = stage(object("direct"), true)?;
    soon(&stage, "-g -w 1")?;
    let client = &stage.world.client;
    for family in FAMILIES {
        let clients = family.client_addresses();
        for kind in OUTSIDE {
            for protocol in Protocol::ALL {
                let tally = ask(client, protocol, at(kind, family), 6)?;
                ensure_seen(&tally, &["far", "pod1"], &clients)?;
            }
        }
        let before = received(&stage)?;
        ask(client, Protocol::Udp, at(Address::External, family), 80)?;
        let passed = received(&stage)? - before;
        // Packets that resolve link-layer addresses.
        ensure(passed < 20, || {
            format!("{passed} packets for 40 answers passed the node")
        })?;

        let node_port = SocketAddr::new(
            crate::stage::node_address(family),
            web().node_port(Protocol::Tcp),
        );
        for target in [at(Address::ClusterIp, family), node_port] {
            let tally = ask(client, Protocol::Tcp, target, 6)?;
            let sources = [Backend::node_address(family), family.bridge_address()];
            ensure_seen(&tally, &["far", "pod1"], &sources)?;
        }
    }
    Ok(())
}

/// Every kind of tunnel in both families. A change from one to the next takes effect at once.
pub(super) fn tunnels() -> Outcome {
    let (stage, backend) = stage(object("masquerade"), true)?;
    stage.world.tool(MODULES)?;
    backend.unpack_tunnels()?;
    for (forwarding, options) in [
        ("method=tunnel", "-i -w 1 --tun-type ipip"),
        (
            "method=tunnel, type=gre",
            "-i -w 1 --tun-type gre --tun-nocsum",
        ),
        (
            "method=tunnel, type=gue, port=6080",
            "-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ),
        (
            "method=tunnel, type=gue, port=6080, checksum=full",
            "-i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
        ),
    ] {
        stage.api.replace(&object(forwarding))?;
        soon(&stage, options).context(|| forwarding)?;
        for family in FAMILIES {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let target = at(Address::LoadBalancer, family);
                let tally = ask(&stage.world.client, protocol, target, 6);
                let tally = tally.context(|| forwarding)?;
                ensure_seen(&tally, &["far", "pod1"], &family.client_addresses())?;
            }
        }
    }
    Ok(())
}

/// Source ranges apply to packets that are not rewritten.
pub(super) fn source_ranges() -> Outcome {
    let mut guarded = object("direct");
    guarded["spec"]["loadBalancerSourceRanges"] = json!(["192.168.50.10/32", "fd00:50::10/128"]);
    let (stage, _backend) = stage(guarded, false)?;
    soon(&stage, "-g -w 1")?;
    for family in FAMILIES {
        let target = at(Address::LoadBalancer, family);
        for (place, expected) in [(0, Knock::Open), (1, Knock::Silence)] {
            let source = family.client_addresses()[place];
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let found = knock(&stage.world.client, Some(source), protocol, target, SILENCE);
                ensure(found == expected, || {
                    format!(
                        "from {source} to {target}/{protocol}: expected {expected:?}, found {found:?}"
                    )
                })?;
            }
        }
    }
    Ok(())
}
