//! Datagrams that are scheduled alone, and clients that count as one.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use e2e::{Context as _, Family, Outcome, Probe, Protocol, ensure, scaled, within};
use serde_json::json;

use super::{Counts, annotated, configuration};
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, with_slices};

const PODS: [&str; 3] = ["pod1", "pod2", "pod3"];
const DATAGRAMS: usize = 30;

/// Datagrams of one socket reach every endpoint, and only one without the policy.
pub(super) fn one_packet() -> Outcome {
    let (alone, flow) = (Service::new("alone", 1), Service::new("flow", 2));
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        let one = annotated(
            alone.inside(),
            &[("one-packet", "true"), ("scheduler", "rr")],
        );
        let mut all = with_slices(world, alone, one, &PODS);
        all.extend(with_slices(world, flow, flow.inside(), &PODS));
        all
    })?;
    for family in FAMILIES {
        let (reached, answers) = send(&stage, alone.at(Address::ClusterIp, family))?;
        let third = DATAGRAMS / PODS.len();
        let shared = PODS.iter().all(|pod| reached.get(*pod) == Some(&third));
        ensure(shared, || {
            format!("datagrams of one socket reached {reached:?}")
        })?;
        // The kernel keeps no connection, so that no answer gets the virtual address as its source.
        ensure(answers == 0, || format!("{answers} answers arrived"))?;
        let (reached, answers) = send(&stage, flow.at(Address::ClusterIp, family))?;
        let one = reached.len() == 1 && reached.values().eq([&DATAGRAMS]);
        ensure(one && answers == DATAGRAMS, || {
            format!("datagrams of a flow reached {reached:?}, {answers} answers arrived")
        })?;
    }
    // Connections are not datagrams.
    let target = alone.at(Address::ClusterIp, Family::V4);
    e2e::Conversation::open(&stage.world.client, target)?.is_alive()
}

/// Sends datagrams from one connected socket. Returns their number at each pod, and the number of
/// answers from the virtual address.
fn send(stage: &Stage, target: SocketAddr) -> Outcome<(Counts, usize)> {
    for pod in &stage.world.pods {
        let _ = pod.take_answers();
    }
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let open = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind(any)?;
        socket.connect(target)?;
        socket.set_read_timeout(Some(scaled(Duration::from_millis(500))))?;
        (0..DATAGRAMS).try_for_each(|_| socket.send(b"who?\n").map(drop))?;
        Ok(socket)
    };
    let socket = (stage.world.client.run(open)).context(|| format!("datagrams to {target}"))?;
    let mut reached = Counts::new();
    within(Duration::from_secs(3), || {
        for pod in &stage.world.pods {
            *reached.entry(pod.name.clone()).or_default() += pod.take_answers();
        }
        let sum: usize = reached.values().sum();
        ensure(sum == DATAGRAMS, || {
            format!("{target}: {reached:?} arrived")
        })
    })?;
    reached.retain(|_, count| *count > 0);
    let mut answers = 0;
    while answers < DATAGRAMS && socket.recv(&mut [0; 64]).is_ok() {
        answers += 1;
    }
    Ok((reached, answers))
}

/// A network of clients: addresses, and the routes to them.
struct Network {
    family: Family,
    clients: [IpAddr; 2],
    length: u8,
}

impl Network {
    /// Returns network number 50, which the client has from the start, or another one.
    fn new(family: Family, number: u8) -> Self {
        let [low, high] = [10, 11].map(|host| match family {
            Family::V4 => IpAddr::from([192, 168, number, host]),
            Family::V6 => {
                let number = u16::from(number / 10 * 16 + number % 10);
                IpAddr::from([0xfd00, number, 0, 0, 0, 0, 0, 6 + u16::from(host)])
            }
        });
        Self {
            family,
            clients: [low, high],
            length: if family == Family::V4 { 24 } else { 64 },
        }
    }

    fn add(&self, stage: &Stage) -> Outcome {
        let add = |address: &IpAddr| format!("address add {address}/{} dev eth0", self.length);
        stage.world.client.ip(&self.clients.each_ref().map(add))?;
        let [first, _] = self.clients;
        stage
            .world
            .node
            .ip(&[format!("route add {first}/{} dev outside", self.length)
                .replace(&first.to_string(), &self.network())])
    }

    fn network(&self) -> String {
        match self.clients[0] {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0")
            }
            IpAddr::V6(address) => {
                let [a, b, ..] = address.segments();
                format!("{a:x}:{b:x}::")
            }
        }
    }

    /// Returns the pod that answers both clients.
    fn pod(&self, stage: &Stage, service: Service) -> Outcome<String> {
        let mut pods = BTreeSet::new();
        for client in self.clients {
            let target = service.at(Address::ClusterIp, self.family);
            let probe = Probe {
                source: Some(SocketAddr::new(client, 0)),
                ..Probe::new(&stage.world.client, Protocol::Tcp, target)
            };
            let tally = probe.ask(3).complete()?;
            pods.extend(tally.by_pod().into_keys().map(str::to_owned));
        }
        ensure(pods.len() == 1, || {
            format!("{} is served by {pods:?}", self.network())
        })?;
        Ok(pods.pop_first().unwrap_or_default())
    }
}

/// Round robin gives each network of clients the next endpoint.
pub(super) fn affinity_prefix() -> Outcome {
    let service = Service::new("web", 1);
    let mut object = annotated(
        service.inside(),
        &[("scheduler", "rr"), ("affinity-prefix", "ipv4=24, ipv6=64")],
    );
    object["spec"]["sessionAffinity"] = "ClientIP".into();
    object["spec"]["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 600}});
    let single = annotated(object.clone(), &[("scheduler", "rr")]);
    let stage = Stage::configured(&PODS, &configuration(&[]), |world| {
        with_slices(world, service, object, &PODS)
    })?;
    for family in FAMILIES {
        let mut pods = Vec::new();
        for number in [50, 51, 52] {
            let network = Network::new(family, number);
            if number != 50 {
                network.add(&stage)?;
            }
            pods.push(network.pod(&stage, service)?);
        }
        pods.sort();
        ensure(pods == PODS, || format!("networks are served by {pods:?}"))?;
    }
    // Without the prefix each address counts for itself.
    stage.api.replace(&single)?;
    within(super::SOON, || {
        let together = Network::new(Family::V4, 50).pod(&stage, service);
        ensure(together.is_err(), || format!("both reach {together:?}"))
    })
}
