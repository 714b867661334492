//! Shares by weight.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use e2e::{
    Ask, Context as _, Conversation, Family, Outcome, Over, Protocol, Reply, Responder, Volley,
    ensure,
};

use super::{Counts, annotated, configuration, count, ensure_shares};
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, with_slices};

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
const BY_WEIGHT: [(&str, usize); 3] = [("pod1", 1), ("pod2", 2), ("pod3", 5)];
/// Port of the servers for many connections.
const MANY: u16 = 9_000;
/// Number of connections of one client: a multiple of 256, the number of buckets of `sh`.
const CONNECTIONS: u16 = 2_048;
/// Number of open connections, a multiple of the sum of the weights.
const OPEN: usize = 160;

fn service(number: u8, name: &'static str, port: fn(Protocol) -> u16) -> Service {
    Service {
        server_port: port,
        ..Service::new(name, number)
    }
}

/// Starts the pods with a Service for each scheduler.
fn stage(services: &[(Service, &[(&str, &str)])]) -> Outcome<Stage> {
    Stage::configured(&PODS, &configuration(&[]), |world| {
        let weights = (world.pods.iter().zip(BY_WEIGHT))
            .map(|(pod, (_, weight))| format!("{}={weight}, {}={weight}", pod.v4, pod.v6));
        let weights = weights.collect::<Vec<_>>().join(", ");
        (services.iter())
            .flat_map(|(service, annotations)| {
                let all = [*annotations, &[("weights", &weights)]].concat();
                let object = annotated(service.inside(), &all);
                with_slices(world, *service, object, &PODS)
            })
            .collect()
    })
}

/// `wrr` is exact. A hash scheduler gives each bucket or slot of its table to an endpoint, by
/// weight; the clients select them.
pub(super) fn of_new_connections() -> Outcome {
    let many: fn(Protocol) -> u16 = |_| MANY;
    let (wrr, mh, sh) = (
        service(1, "wrr", many),
        service(2, "mh", many),
        service(3, "sh", many),
    );
    let stage = stage(&[
        (wrr, &[("scheduler", "wrr")]),
        // mh-port is the default.
        (mh, &[("scheduler", "mh")]),
        (sh, &[("scheduler", "sh"), ("scheduler-flags", "sh-port")]),
    ])?;
    let mut servers = Vec::new();
    for pod in &stage.world.pods {
        let places = FAMILIES.map(|family| (Protocol::Tcp, SocketAddr::new(family.of(pod), MANY)));
        servers.push((pod, places));
    }
    let servers: Vec<_> = (servers.iter())
        .map(|(pod, places)| (&*pod.namespace, &*pod.name, &places[..]))
        .collect();
    let _responder = Responder::start_all(&servers)?;
    for family in FAMILIES {
        let counts = ask_from_each_port(&stage, wrr, family)?;
        ensure_shares(&counts, &BY_WEIGHT, |part| part / 20.0).context(|| "wrr")?;
        // The slots of mh's table are shared almost exactly: they are handed out in rounds of 8,
        // the sum of the weights, and the last of 4,093 / 8 rounds is incomplete. Which slot a
        // port selects is a keyed hash (`ip_vs_mh_hashkey`, net/netfilter/ipvs/ip_vs_mh.c, Linux
        // 6.1), which is like a throw of a die: n throws with the probability p deviate by less
        // than four times √(n·p·(1-p)). The keys are constants, so that the result is always the
        // same.
        let counts = ask_from_each_port(&stage, mh, family)?;
        let connections = f64::from(CONNECTIONS);
        let deviation = |part: f64| 4.0 * (part * (1.0 - part / connections)).sqrt();
        ensure_shares(&counts, &BY_WEIGHT, deviation).context(|| "mh")?;
        // 256 buckets in rounds of 8: 32, 64 and 160. The hash is a product with a constant, which
        // spreads consecutive ports over the buckets almost evenly (`ip_vs_sh_hashkey`, ip_vs_sh.c).
        let counts = ask_from_each_port(&stage, sh, family)?;
        ensure_shares(&counts, &BY_WEIGHT, |part| part / 20.0).context(|| "sh")?;
    }
    Ok(())
}

/// Sends a request from each of [`CONNECTIONS`] consecutive ports of one address of the client. Each
/// Service has an address of its own, so that no port is used again.
fn ask_from_each_port(stage: &Stage, service: Service, family: Family) -> Outcome<Counts> {
    const FIRST_PORT: u16 = 40_000;
    let address = family.client_addresses()[usize::from(service.number)];
    let ports = FIRST_PORT..FIRST_PORT + CONNECTIONS;
    let asks: Vec<Ask> = ports
        .map(|port| Ask {
            over: Over::Transport(Protocol::Tcp),
            target: service.at(Address::ClusterIp, family),
            source: Some(SocketAddr::new(address, port)),
        })
        .collect();
    let volley = Volley {
        attempts: 1,
        timeout: Duration::from_secs(3),
        ..Volley::new(&stage.world.client)
    };
    let replies: Vec<Reply> = volley.ask(&asks)?.into_iter().flatten().collect();
    let pods = (replies.iter()).filter_map(|reply| match reply {
        Reply::Answered(answer) => Some(&*answer.pod),
        _ => None,
    });
    let counts = count(pods);
    let answered: usize = counts.values().sum();
    ensure(answered == asks.len(), || {
        let failed = |reply: &&Reply| !matches!(reply, Reply::Answered(_));
        format!(
            "{}: {answered} of {} connections were answered: {:?}",
            service.name,
            asks.len(),
            replies.iter().find(failed)
        )
    })?;
    Ok(counts)
}

/// `wlc`, `sed` and `nq` give the next connection to the endpoint with the least connections for its
/// weight.
pub(super) fn of_open_connections() -> Outcome {
    let pods: fn(Protocol) -> u16 = |_| e2e::PORT;
    let services = [
        service(1, "wlc", pods),
        service(2, "sed", pods),
        service(3, "nq", pods),
    ];
    let stage = stage(&[
        (services[0], &[("scheduler", "wlc")]),
        (services[1], &[("scheduler", "sed")]),
        (services[2], &[("scheduler", "nq")]),
    ])?;
    for service in services {
        let target = service.at(Address::ClusterIp, Family::V4);
        let open = |_| Conversation::open(&stage.world.client, target);
        let mut held = (0..OPEN).map(open).collect::<Outcome<Vec<_>>>()?;
        let shares = |held: &[Conversation]| {
            let counts = count(held.iter().map(|one| &*one.pod));
            // One connection more or less: the endpoints are equally loaded only in the end.
            ensure_shares(&counts, &BY_WEIGHT, |part| (part / 20.0).max(1.0))
                .context(|| service.name)
        };
        shares(&held)?;
        // Connections of one endpoint end: it gets as many new ones. The others keep theirs.
        let (ended, kept): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| one.pod == "pod2");
        let missing = ended.len();
        drop(ended);
        held = kept;
        // The node sees the end of a connection a moment after the client.
        sleep(Duration::from_millis(200));
        for _ in 0..missing {
            held.push(open(0)?);
        }
        shares(&held)?;
    }
    Ok(())
}
