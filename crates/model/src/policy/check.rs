//! Active checks of endpoints: the probe, and the consequence of its failure.

mod kind;
mod payload;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

pub use self::kind::{
    GrpcProbe, HttpProbe, HttpsProbe, ProbeKind, UdpProbe, Verify, is_authority_name,
};
pub use self::payload::Payload;
use super::value::{Given, Value, number, quoted, refuse_others};
use crate::duration::{format_duration, parse_duration};
use crate::names::Name;

/// Shortest and longest interval between two probes of one endpoint.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3_600)];

/// Maximum number of consecutive results that change the state of an endpoint.
const MAX_RESULTS: u32 = 10;

/// Keys that every check has, for messages.
const KEYS: &str = "type, interval, timeout, rise, fall, port, onFailure, panicThreshold";

/// Check of the endpoints of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCheck {
    /// The probe.
    pub probe: Arc<Probe>,
    /// Port that is probed; `None` probes the port of each endpoint.
    pub port: Option<NonZeroU16>,
    /// Consequence of a failure.
    pub on_failure: OnFailure,
    /// Percentage of failed endpoints, 1 to 100. Above it all endpoints are used.
    pub panic_threshold: u8,
}

/// A probe with its rhythm. Services with equal probes of one address and port share its results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probe {
    /// The request and the expected answer.
    pub kind: ProbeKind,
    /// Time between the starts of two probes.
    pub interval: Duration,
    /// Maximum time of one probe, at most `interval`.
    pub timeout: Duration,
    /// Number of consecutive successes after which a failed endpoint is healthy, at least 1.
    pub rise: u8,
    /// Number of consecutive failures after which a healthy endpoint has failed, at least 1.
    pub fall: u8,
}

/// Consequence for an endpoint that fails its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Its weight is 0: it keeps its connections and gets no new ones.
    Quiesce,
    /// It is removed like an endpoint that is gone, and drains for the drain timeout.
    Remove,
}

/// An address and port that this node probes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckTarget {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: NonZeroU16,
    /// The probe.
    pub probe: Arc<Probe>,
}

/// Targets that fail their probes, with the last error.
pub type FailedTargets = BTreeMap<CheckTarget, Name>;

impl EndpointCheck {
    /// Returns the authority that the check needs and `authorities` lacks. Without it the endpoints
    /// are not probed.
    #[must_use]
    pub fn missing_authority<T>(&self, authorities: &BTreeMap<Name, T>) -> Option<&Name> {
        let name = self.probe.kind.authority()?;
        (!authorities.contains_key(name)).then_some(name)
    }
}

impl CheckTarget {
    /// Returns the address and port.
    #[must_use]
    pub fn place(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.get())
    }
}

/// Prints the target: `10.1.0.1:80 http`.
impl fmt::Display for CheckTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place(), self.probe.kind.name())
    }
}

impl Probe {
    /// Reads a probe as [`Display`](fmt::Display) writes it.
    ///
    /// # Errors
    ///
    /// The problem of the text, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Arc<Self>, String> {
        EndpointCheck::read(&Given::from(text)).map(|check| check.probe)
    }
}

/// Prints the probe as an annotation holds it: `type=tcp, interval=5s, timeout=1s, rise=2, fall=3`.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            interval,
            timeout,
            rise,
            fall,
        } = self;
        let [interval, timeout] = [*interval, *timeout].map(format_duration);
        write!(
            f,
            "{kind}, interval={interval}, timeout={timeout}, rise={rise}, fall={fall}"
        )
    }
}

impl OnFailure {
    fn name(self) -> &'static str {
        match self {
            Self::Quiesce => "quiesce",
            Self::Remove => "remove",
        }
    }
}

impl Value for EndpointCheck {
    fn form() -> String {
        format!(
            "`type=` {}; `interval=5s`, `timeout=1s`, `rise=2`, `fall=3`, `port=NUMBER`, \
             `onFailure=` `quiesce` or `remove`, `panicThreshold=50`; with `http` and `https` also \
             `host=NAME`, `path=/`, `status=200-399`; with `https` also `verify=` `none` or the name \
             of an authority; with `grpc` also `service=NAME`; with `udp` also `send=BYTES`, \
             `expect=BYTES`",
            ProbeKind::NAMES
                .map(|name| format!("`{name}`"))
                .join(" or ")
        )
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let kind = ProbeKind::take(&mut pairs)?;
        let interval = read_duration(&mut pairs, "interval", INTERVALS)?;
        let interval = interval.unwrap_or(Duration::from_secs(5));
        let timeout = read_duration(&mut pairs, "timeout", [Duration::from_millis(1), interval])?;
        let timeout = timeout.unwrap_or(Duration::from_secs(1).min(interval));
        let rise = read_number(&mut pairs, "rise", MAX_RESULTS)?.unwrap_or(2);
        let fall = read_number(&mut pairs, "fall", MAX_RESULTS)?.unwrap_or(3);
        let port = read_number::<u16>(&mut pairs, "port", u16::MAX.into())?;
        let panic_threshold = read_number(&mut pairs, "panicThreshold", 100)?.unwrap_or(50);
        let on_failure = match pairs.remove("onFailure") {
            None | Some("quiesce") => OnFailure::Quiesce,
            Some("remove") => OnFailure::Remove,
            Some(other) => {
                return Err(format!(
                    "onFailure: {} is none of quiesce, remove",
                    quoted(other)
                ));
            }
        };
        let keys: Vec<&str> = [KEYS]
            .into_iter()
            .chain(kind.keys().iter().copied())
            .collect();
        refuse_others(&pairs, &keys.join(", "))?;
        Ok(Self {
            probe: Arc::new(Probe {
                kind,
                interval,
                timeout,
                rise,
                fall,
            }),
            port: port.and_then(NonZeroU16::new),
            on_failure,
            panic_threshold,
        })
    }

    fn write(&self) -> String {
        let mut items = vec![self.probe.to_string()];
        items.extend(self.port.map(|port| format!("port={port}")));
        items.push(format!("onFailure={}", self.on_failure.name()));
        items.push(format!("panicThreshold={}", self.panic_threshold));
        items.join(", ")
    }
}

fn read_duration(
    pairs: &mut BTreeMap<&str, &str>,
    key: &str,
    [least, most]: [Duration; 2],
) -> Result<Option<Duration>, String> {
    let Some(text) = pairs.remove(key) else {
        return Ok(None);
    };
    let read = parse_duration(text).filter(|time| (least..=most).contains(time));
    read.map(Some).ok_or_else(|| {
        format!(
            "{key}: {} is no duration from {} to {}",
            quoted(text),
            format_duration(least),
            format_duration(most)
        )
    })
}

/// Takes a whole number from 1 to `most`.
fn read_number<T: TryFrom<u32>>(
    pairs: &mut BTreeMap<&str, &str>,
    key: &str,
    most: u32,
) -> Result<Option<T>, String> {
    let Some(text) = pairs.remove(key) else {
        return Ok(None);
    };
    let read = number(text, 1, most).map_err(|problem| format!("{key}: {problem}"))?;
    // `most` fits into the type.
    Ok(T::try_from(read).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EndpointCheck, String> {
        EndpointCheck::read(&Given::from(text))
    }

    #[test]
    fn absent_values_have_defaults() {
        let check = read("type=tcp").expect("a check");
        assert_eq!(
            check.write(),
            "type=tcp, interval=5s, timeout=1s, rise=2, fall=3, onFailure=quiesce, panicThreshold=50"
        );
        let check = read("type=http, interval=500ms").expect("a check");
        assert_eq!(
            check.write(),
            "type=http, path=/, status=200-399, interval=500ms, timeout=500ms, rise=2, fall=3, \
             onFailure=quiesce, panicThreshold=50"
        );
        for (given, kind) in [
            (
                "type=https",
                "type=https, path=/, status=200-399, verify=none",
            ),
            ("type=grpc", "type=grpc"),
            ("type=udp", "type=udp, send=, expect="),
        ] {
            assert_eq!(read(given).expect("a check").probe.kind.to_string(), kind);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "type=tcp, interval=100ms, timeout=100ms, rise=1, fall=10, port=8080, \
             onFailure=remove, panicThreshold=100",
            "type=http, host=web.example:80, path=/healthz?full=1, status=204-204, \
             interval=1h0m0s, timeout=1ms, rise=10, fall=1, onFailure=quiesce, panicThreshold=1",
            "type=https, host=web.example, path=/, status=200-399, verify=shop-ca, interval=5s, \
             timeout=1s, rise=2, fall=3, onFailure=quiesce, panicThreshold=50",
            "type=grpc, service=shop.v1.Cart, interval=5s, timeout=1s, rise=2, fall=3, \
             onFailure=quiesce, panicThreshold=50",
            "type=udp, send=\\x00\\x2c a=b\\r\\n, expect=PONG, interval=5s, timeout=1s, rise=2, \
             fall=3, onFailure=quiesce, panicThreshold=50",
        ] {
            let check = read(text).expect("a check");
            assert_eq!(check.write(), text);
            assert_eq!(
                Probe::parse(&check.probe.to_string()),
                Ok(check.probe.clone())
            );
            assert_eq!(read(&check.write()), Ok(check));
        }
    }

    #[test]
    fn mistakes_name_the_value_and_what_is_possible() {
        for (text, problem) in [
            (
                "interval=5s",
                "needs type=TYPE, one of tcp, http, https, grpc, udp",
            ),
            (
                "type=icmp",
                "type: `icmp` is none of tcp, http, https, grpc, udp",
            ),
            (
                "type=tcp, interval=99ms",
                "interval: `99ms` is no duration from 100ms to 1h0m0s",
            ),
            (
                "type=tcp, interval=2h",
                "interval: `2h` is no duration from 100ms to 1h0m0s",
            ),
            (
                "type=tcp, timeout=6s",
                "timeout: `6s` is no duration from 1ms to 5s",
            ),
            (
                "type=tcp, timeout=0s",
                "timeout: `0s` is no duration from 1ms to 5s",
            ),
            (
                "type=tcp, rise=0",
                "rise: `0` is not a whole number from 1 to 10",
            ),
            (
                "type=tcp, fall=11",
                "fall: `11` is not a whole number from 1 to 10",
            ),
            (
                "type=tcp, port=0",
                "port: `0` is not a whole number from 1 to 65535",
            ),
            (
                "type=tcp, panicThreshold=101",
                "panicThreshold: `101` is not a whole number from 1 to 100",
            ),
            (
                "type=tcp, onFailure=cut",
                "onFailure: `cut` is none of quiesce, remove",
            ),
            (
                "type=http, status=399-200",
                "status: `399-200` is no status such as 200 and no range such as 200-399",
            ),
            ("type=http, host=a/b", "host: `a/b` is no name of a host"),
            (
                "type=https, host=-a:443",
                "host: `-a` is neither a DNS name nor an address",
            ),
            (
                "type=https, verify=/etc/passwd",
                "verify: `/etc/passwd` is neither none nor the name of an authority",
            ),
            (
                "type=grpc, service=\u{e4}",
                "service: `\u{e4}` is no name with at most 256 visible ASCII characters",
            ),
            (
                "type=udp, send=\\q",
                "send: `\\q` is none of the escapes \\r, \\n, \\t, \\\\ and \\xNN",
            ),
            (
                "type=grpc, host=a",
                "`host` is none of type, interval, timeout, rise, fall, port, onFailure, \
                 panicThreshold, service",
            ),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()), "{text}");
        }
        for text in ["path=healthz", "path=/a b", "path=/a#b", "path=/ä"] {
            let problem = read(&format!("type=http, {text}")).expect_err(text);
            assert!(problem.starts_with("path: "), "{problem}");
        }
        let problem = read("type=tcp, path=/healthz").expect_err("no path");
        assert!(problem.starts_with("`path` is none of type, "), "{problem}");
    }

    #[test]
    fn the_server_name_is_the_host_without_its_port() {
        let address = "10.1.0.1".parse().expect("an address");
        for (host, name) in [
            ("", "10.1.0.1"),
            (", host=web.example", "web.example"),
            (", host=web.example:8443", "web.example"),
            (", host=[fd00::1]:443", "fd00::1"),
            (", host=fd00::1", "fd00::1"),
            (", host=192.0.2.1:443", "192.0.2.1"),
        ] {
            let check = read(&format!("type=https{host}")).expect("a check");
            let ProbeKind::Https(https) = &check.probe.kind else {
                panic!("{check:?}");
            };
            assert_eq!(https.server_name(address).to_str(), name, "{host}");
        }
    }
}
