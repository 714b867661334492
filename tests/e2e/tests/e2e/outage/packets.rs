//! Packets to the Service `web`: their fate on the node, and the fate that `ipvsctl trace` predicts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use e2e::{Context as _, Family, Knock, Namespace, Outcome, Probe, Protocol, World, ensure, knock};
use serde_json::Value;

use super::{HOST_PORT, Node, text};

/// Time limit of a packet, scaled by the speed of the guest. Answers take milliseconds.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Number of requests of a probe, which reach each of two real servers with scheduler `rr`.
const REQUESTS: usize = 2;

/// Sender of a packet.
#[derive(Clone, Copy, Debug)]
enum Sender {
    /// The client outside.
    Client,
    /// The node.
    Host,
    /// A pod that is no endpoint.
    Pod,
    /// The endpoint of the Service.
    Endpoint,
}

/// A kind of packet that is sent and traced in each way.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) name: &'static str,
    from: Sender,
    family: Family,
    protocol: Protocol,
    port: u16,
}

const fn packet(name: &'static str, from: Sender) -> Packet {
    Packet {
        name,
        from,
        family: Family::V4,
        protocol: Protocol::Tcp,
        port: 80,
    }
}

pub(super) const PACKETS: [Packet; 7] = [
    packet("client", Sender::Client),
    Packet {
        protocol: Protocol::Udp,
        ..packet("client-udp", Sender::Client)
    },
    Packet {
        family: Family::V6,
        ..packet("client-v6", Sender::Client)
    },
    packet("host", Sender::Host),
    packet("pod", Sender::Pod),
    packet("endpoint", Sender::Endpoint),
    // A port of the Service's address that only a program of the node has.
    Packet {
        port: HOST_PORT,
        ..packet("client-ssh", Sender::Client)
    },
];

/// Fate of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is answered by a program that sees this source.
    Answered(String),
    /// RST, an ICMP error, or an error of the system call.
    Refused,
    /// No answer.
    Lost,
}

/// Prediction of `ipvsctl trace`.
#[derive(Debug)]
struct Prediction {
    /// Fates that it is sure of.
    fates: BTreeSet<Fate>,
    /// True if it leaves a part open.
    open: bool,
}

impl Node {
    /// Fails unless `ipvsctl trace` predicts these fates of the packet. It leaves a part open if and
    /// only if `is_open`.
    pub(super) fn predicts(
        &self,
        packet: &Packet,
        seen: &BTreeSet<Fate>,
        is_open: bool,
    ) -> Outcome {
        let predicted = self.predict(packet)?;
        let agrees = match predicted.open {
            false => predicted.fates == *seen,
            true => predicted.fates.is_subset(seen),
        };
        ensure(agrees && predicted.open == is_open, || {
            format!(
                "{}: trace predicts {predicted:?}, the packet: {seen:?}",
                packet.name
            )
        })
    }

    fn predict(&self, packet: &Packet) -> Outcome<Prediction> {
        let to = SocketAddr::new(packet.to(), packet.port);
        let to = format!("{to}/{}", packet.protocol.name().to_lowercase());
        let mut arguments: Vec<OsString> = ["trace", "-o", "json", "--to", &to, "--from"]
            .map(OsString::from)
            .to_vec();
        match packet.from {
            Sender::Host => arguments.push("host".into()),
            Sender::Pod | Sender::Endpoint => {
                let pod = &self.world.pods[usize::from(matches!(packet.from, Sender::Pod))];
                arguments.push(packet.family.of(pod).to_string().into());
            }
            Sender::Client => {
                let source = packet.source().map(|source| source.to_string());
                arguments.push("outside:outside".into());
                arguments.push("--source-address".into());
                arguments.push(source.unwrap_or_default().into());
            }
        }
        let (status, trace) = self.document(&arguments)?;
        let verdict = &trace["verdict"];
        let outcomes = verdict["outcomes"].as_array().cloned().unwrap_or_default();
        let mut predicted = Prediction {
            fates: BTreeSet::new(),
            open: false,
        };
        for outcome in &outcomes {
            let fate = match text(&outcome["result"]).as_str() {
                "answered" => Fate::Answered(text(&outcome["source"])),
                "refused" => Fate::Refused,
                "lost" => Fate::Lost,
                _ => {
                    predicted.open = true;
                    continue;
                }
            };
            predicted.fates.insert(fate);
        }
        let fails =
            predicted.fates.contains(&Fate::Refused) || predicted.fates.contains(&Fate::Lost);
        let expected = match (fails, predicted.open) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        ensure(status == expected && !outcomes.is_empty(), || {
            format!("trace of {}: status {status}, {verdict:#}", packet.name)
        })?;
        Ok(predicted)
    }
}

impl Packet {
    fn to(&self) -> IpAddr {
        self.family.virtual_address(1)
    }

    /// Returns the source address, if it is not chosen by routing.
    fn source(&self) -> Option<IpAddr> {
        match self.from {
            Sender::Client => self.family.client_addresses().into_iter().next(),
            Sender::Host | Sender::Pod | Sender::Endpoint => None,
        }
    }

    /// Sends the packet several times.
    pub(super) fn send(&self, world: &World) -> Outcome<BTreeSet<Fate>> {
        let from: &Namespace = match self.from {
            Sender::Client => &world.client,
            Sender::Host => &world.node,
            Sender::Pod => &world.pods[1].namespace,
            Sender::Endpoint => &world.pods[0].namespace,
        };
        (0..REQUESTS).map(|_| self.send_once(from)).collect()
    }

    fn send_once(&self, from: &Namespace) -> Outcome<Fate> {
        let to = SocketAddr::new(self.to(), self.port);
        let probe = Probe {
            source: self.source().map(|source| SocketAddr::new(source, 0)),
            timeout: TIMEOUT,
            ..Probe::new(from, self.protocol, to)
        };
        if let Some(answer) = probe.ask(1).answers.first() {
            return Ok(Fate::Answered(answer.seen_from.to_string()));
        }
        // An ICMP error is not an error of every socket. Another real server may answer.
        for _ in 0..REQUESTS {
            match knock(from, self.source(), self.protocol, to, TIMEOUT) {
                Knock::Open => {}
                Knock::Silence => return Ok(Fate::Lost),
                Knock::PortUnreachable | Knock::NotPermitted => return Ok(Fate::Refused),
                Knock::Other(error) => return self.refused(&error),
            }
        }
        // Only the handshake is answered.
        Ok(Fate::Lost)
    }

    fn refused(&self, error: &str) -> Outcome<Fate> {
        let refusals = [
            "an error of origin",
            "refused",
            "unreachable",
            "No route to host",
        ];
        ensure(
            refusals.iter().any(|refusal| error.contains(refusal)),
            || format!("{}: {error}", self.name),
        )?;
        Ok(Fate::Refused)
    }
}

impl Node {
    /// Runs `ipvsctl` with the input of this node. Returns its status and its document.
    pub(super) fn document(&self, arguments: &[OsString]) -> Outcome<(i32, Value)> {
        let all: Vec<&dyn AsRef<std::ffi::OsStr>> = arguments
            .iter()
            .chain(&self.input)
            .map(|word| -> &dyn AsRef<std::ffi::OsStr> { word })
            .collect();
        let ran = self.world.ipvsctl(&all)?;
        let document = serde_json::from_str(&ran.out).context(|| format!("{ran:?}"))?;
        Ok((ran.status, document))
    }
}
