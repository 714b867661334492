//! Datagrams to an endpoint that terminates and still serves.

use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Context as _, Family, Flow, Namespace, Outcome, ensure, scaled, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::case;
use crate::flows::{LEFT, answered_by, dns, flows_at_pod1};
use crate::service::{Address, FAMILIES, Service};
use crate::stage::{Stage, node_address, own_configuration, with_slices};

/// A drain timeout longer than a case.
const LONG: &str = "udpDrainTimeout: 60s";

/// Time limit for a datagram to arrive.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The port of servers that answer only when the test lets them.
const SLOW: u16 = 5_353;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        case(
            "udp_drains::an_answer_under_way_arrives_and_the_flow_leaves_once_the_pod_stops_serving",
            || answer_under_way(false),
        ),
        case(
            "udp_drains::with_affinity_old_flows_stay_and_new_ones_go_elsewhere",
            || answer_under_way(true),
        ),
        case(
            "udp_drains::a_flow_leaves_a_pod_that_goes_on_serving_at_the_deadline",
            deadline,
        ),
        case("udp_drains::one_goes_on_after_a_restart", restart),
        case(
            "udp_drains::without_time_a_flow_leaves_within_a_second",
            without_time,
        ),
    ]
}

fn slow() -> Service {
    Service {
        server_port: |_| SLOW,
        ..Service::new("slow", 2)
    }
}

fn stage(field: &str, service: Service, object: Value) -> Outcome<Stage> {
    Stage::configured(&["pod1", "pod2"], &own_configuration(&[field]), |world| {
        with_slices(world, service, object, &["pod1"])
    })
}

/// Opens a socket of a pod for each family.
fn servers(stage: &Stage, pod: &str) -> Outcome<[UdpSocket; 2]> {
    let pod = stage.pod(pod)?;
    let open = |family: Family| {
        let address = SocketAddr::new(family.of(pod), SLOW);
        let socket = pod.namespace.run(|| UdpSocket::bind(address));
        with_timeout(socket, &address.to_string())
    };
    Ok([open(Family::V4)?, open(Family::V6)?])
}

fn with_timeout(socket: std::io::Result<UdpSocket>, what: &str) -> Outcome<UdpSocket> {
    let socket = socket.context(|| what.to_owned())?;
    let set = socket.set_read_timeout(Some(scaled(TIMEOUT)));
    set.context(|| "setting a timeout")?;
    Ok(socket)
}

/// A client that keeps its source port, with the index of its server among those of a pod.
struct Client {
    target: SocketAddr,
    family: usize,
    socket: UdpSocket,
}

impl Client {
    fn new(from: &Namespace, target: SocketAddr) -> Outcome<Self> {
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => ([0; 4], 0).into(),
            SocketAddr::V6(_) => ([0u16; 8], 0).into(),
        };
        let open = || {
            let socket = UdpSocket::bind(any)?;
            socket.connect(target)?;
            Ok(socket)
        };
        Ok(Self {
            target,
            family: usize::from(target.is_ipv6()),
            socket: with_timeout(from.run(open), &target.to_string())?,
        })
    }

    /// Sends `text`, which must arrive at the pod with these sockets; returns the source address
    /// that the pod sees.
    fn sends(&self, pod: &[UdpSocket; 2], text: &str) -> Outcome<SocketAddr> {
        let sent = self.socket.send(text.as_bytes());
        sent.context(|| format!("sending to {}", self.target))?;
        let mut buffer = [0; 64];
        let (length, from) = (pod[self.family].recv_from(&mut buffer))
            .context(|| format!("{text:?} to {} did not arrive at the pod", self.target))?;
        let arrived = String::from_utf8_lossy(&buffer[..length]).into_owned();
        ensure(arrived == text, || {
            format!("expected {text:?}, found {arrived:?}")
        })?;
        Ok(from)
    }

    /// Lets the pod answer the datagram from `from`. Fails unless the answer arrives.
    fn is_answered(&self, pod: &[UdpSocket; 2], from: SocketAddr) -> Outcome {
        let text = format!("answer to {from}");
        let sent = pod[self.family].send_to(text.as_bytes(), from);
        sent.context(|| text.clone())?;
        let mut buffer = [0; 64];
        let length = (self.socket.recv(&mut buffer))
            .context(|| format!("{text:?} from {} did not arrive at the client", self.target))?;
        let arrived = String::from_utf8_lossy(&buffer[..length]).into_owned();
        ensure(arrived == text, || {
            format!("expected {text:?}, found {arrived:?}")
        })
    }
}

/// Returns clients for every kind of address in both families, outside the node and on it.
fn clients(stage: &Stage, service: Service) -> Outcome<Vec<Client>> {
    let mut clients = Vec::new();
    for family in FAMILIES {
        for kind in [Address::ClusterIp, Address::LoadBalancer, Address::External] {
            let target = service.at(kind, family);
            clients.push(Client::new(&stage.world.client, target)?);
        }
        let port = service.node_port(e2e::Protocol::Udp);
        let target = (node_address(family), port).into();
        clients.push(Client::new(&stage.world.client, target)?);
        let target = service.at(Address::ClusterIp, family);
        clients.push(Client::new(&stage.world.node, target)?);
    }
    Ok(clients)
}

/// Returns the UDP real servers of this weight at the pod, as `ipvsadm -Sn` shows them.
fn weighed(stage: &Stage, pod: &str, weight: u32) -> Outcome<Vec<String>> {
    let pod = stage.pod(pod)?;
    let places = FAMILIES.map(|family| SocketAddr::new(family.of(pod), SLOW).to_string());
    let lines = stage.world.tables()?.ipvs.into_iter();
    let is_it = |line: &String| {
        line.starts_with("-a -u ")
            && line.ends_with(&format!(" -w {weight}"))
            && (places.iter()).any(|place| line.contains(&format!(" -r {place} ")))
    };
    Ok(lines.filter(is_it).collect())
}

/// Fails unless the pod soon drains from every UDP virtual server that it served.
fn soon_drains(stage: &Stage, pod: &str) -> Outcome {
    within(2 * TIMEOUT, || {
        let serving = weighed(stage, pod, 1)?;
        let draining = weighed(stage, pod, 0)?;
        ensure(serving.is_empty() && !draining.is_empty(), || {
            format!("expected drains only; serving: {serving:?}, draining: {draining:?}")
        })
    })
}

fn answer_under_way(affinity: bool) -> Outcome {
    let mut object = slow().outside();
    if affinity {
        object["spec"]["sessionAffinity"] = "ClientIP".into();
        object["spec"]["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 600}});
    }
    let stage = stage(LONG, slow(), object)?;
    let pods = [servers(&stage, "pod1")?, servers(&stage, "pod2")?];
    let [pod1, pod2] = &pods;
    let clients = clients(&stage, slow())?;
    let send = |client: &Client| client.sends(pod1, "first");
    let sources: Vec<SocketAddr> = clients.iter().map(send).collect::<Outcome<_>>()?;
    stage.set_endpoints(slow(), &["-pod1", "pod2"])?;
    soon_drains(&stage, "pod1")?;
    // The answers to the first datagrams arrive now, and the flows continue.
    for (client, from) in clients.iter().zip(sources) {
        client.is_answered(pod1, from)?;
        let from = client.sends(pod1, "second")?;
        client.is_answered(pod1, from)?;
    }
    // New flows go to the other pod, also those of a client with affinity to the first pod.
    for client in self::clients(&stage, slow())? {
        let from = client.sends(pod2, "new")?;
        client.is_answered(pod2, from)?;
    }
    stage.set_endpoints(slow(), &["!pod1", "pod2"])?;
    let begin = Instant::now();
    for client in &clients {
        let attempt = || {
            client.socket.send(b"moved").context(|| "sending")?;
            let mut buffer = [0; 64];
            let taken = pod2[client.family].set_read_timeout(Some(Duration::from_millis(50)));
            taken.context(|| "setting a timeout")?;
            let (_, from) = (pod2[client.family].recv_from(&mut buffer))
                .context(|| format!("the flow to {} does not reach pod2", client.target))?;
            Ok(from)
        };
        let from = within(LEFT.saturating_sub(begin.elapsed()), attempt)?;
        client.is_answered(pod2, from)?;
    }
    ensure(
        weighed(&stage, "pod1", 0)?.is_empty(),
        || "pod1 still drains",
    )
}

/// Returns flows that `pod1` answered. It has begun to terminate and still serves.
fn leaving_pod1(field: &str) -> Outcome<(Stage, Vec<Flow>)> {
    let stage = stage(field, dns(), dns().outside())?;
    let flows = flows_at_pod1(&stage, Duration::from_millis(100))?;
    stage.set_endpoints(dns(), &["-pod1", "pod2"])?;
    Ok((stage, flows))
}

fn deadline() -> Outcome {
    let (_stage, flows) = leaving_pod1("udpDrainTimeout: 4s")?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        flows
            .iter()
            .try_for_each(|flow| answered_by(flow, "pod1"))?;
        sleep(Duration::from_millis(200));
    }
    for flow in &flows {
        within(Duration::from_secs(4), || answered_by(flow, "pod2"))?;
    }
    let time = begin.elapsed();
    ensure(time > Duration::from_secs(4), || {
        format!("the drain ended early, after {time:?}")
    })?;
    sleep(Duration::from_millis(300));
    flows.iter().try_for_each(|flow| answered_by(flow, "pod2"))
}

fn restart() -> Outcome {
    let (mut stage, flows) = leaving_pod1(LONG)?;
    stage.soon_served_by(dns(), Address::ClusterIp, &["pod2"])?;
    stage.restart_daemon(&[])?;
    sleep(Duration::from_secs(1));
    flows
        .iter()
        .try_for_each(|flow| answered_by(flow, "pod1"))?;
    stage.stop_daemon()?;
    stage.set_endpoints(dns(), &["!pod1", "pod2"])?;
    stage.start_daemon(&[])?;
    for flow in &flows {
        within(LEFT, || answered_by(flow, "pod2"))?;
    }
    Ok(())
}

fn without_time() -> Outcome {
    let (_stage, flows) = leaving_pod1("udpDrainTimeout: 0s")?;
    let begin = Instant::now();
    for flow in &flows {
        let rest = LEFT.saturating_sub(begin.elapsed());
        within(rest, || answered_by(flow, "pod2"))?;
    }
    Ok(())
}
