//! Active checks of endpoints: the probe, and the consequence of its failure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::value::{Given, Value, number, quoted, refuse_others};
use crate::duration::{format_duration, parse_duration};
use crate::names::Name;

/// Shortest and longest interval between two probes of one endpoint.
const INTERVALS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3_600)];

/// Maximum number of consecutive results that change the state of an endpoint.
const MAX_RESULTS: u32 = 10;

/// Maximum length of a path, bytes.
const MAX_PATH: usize = 256;

/// Maximum length of a host name, bytes (RFC 1035), with a port.
const MAX_HOST: usize = 260;

/// Keys of a check, for messages.
const KEYS: &str =
    "type, interval, timeout, rise, fall, port, host, path, status, onFailure, panicThreshold";

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

/// Kind of a probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// A TCP connection that is opened, and reset at once.
    Tcp,
    /// A request `GET` of HTTP/1.1.
    Http(HttpProbe),
}

/// Request of an HTTP probe, and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpProbe {
    /// Header `Host`; `None` sends the address and port.
    pub host: Option<Name>,
    /// Path, with a query if any. Visible ASCII that begins with a slash.
    pub path: Name,
    /// First and last status that counts as success, 100 to 599.
    pub status: [u16; 2],
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
        let name = kind.name();
        write!(
            f,
            "type={name}, interval={interval}, timeout={timeout}, rise={rise}, fall={fall}"
        )?;
        if let ProbeKind::Http(HttpProbe { host, path, status }) = kind {
            if let Some(host) = host {
                write!(f, ", host={host}")?;
            }
            write!(f, ", path={path}, status={}-{}", status[0], status[1])?;
        }
        Ok(())
    }
}

impl ProbeKind {
    /// Names of the kinds that are built.
    pub const NAMES: [&str; 2] = ["tcp", "http"];

    /// Returns the name in a policy.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http(_) => "http",
        }
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
             `onFailure=` `quiesce` or `remove`, `panicThreshold=50`; with `type=http` also \
             `host=NAME`, `path=/`, `status=200-399`",
            ProbeKind::NAMES
                .map(|name| format!("`{name}`"))
                .join(" or ")
        )
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let mut pairs = given.pairs()?;
        let kind = match pairs.remove("type") {
            Some("tcp") => ProbeKind::Tcp,
            Some("http") => ProbeKind::Http(read_http(&mut pairs)?),
            other => {
                let names = ProbeKind::NAMES.join(", ");
                return Err(match other {
                    Some(other) => format!("type: {} is none of {names}", quoted(other)),
                    None => format!("needs type=TYPE, one of {names}"),
                });
            }
        };
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
        refuse_others(&pairs, KEYS)?;
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

fn read_http(pairs: &mut BTreeMap<&str, &str>) -> Result<HttpProbe, String> {
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let path = pairs.remove("path").unwrap_or("/");
    if !path.starts_with('/') || !is_visible(path) || path.len() > MAX_PATH || path.contains('#') {
        return Err(format!(
            "path: {} is no path that begins with / and has at most {MAX_PATH} visible ASCII \
             characters without #",
            quoted(path)
        ));
    }
    let host = pairs.remove("host");
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if let Some(host) = host
        && (host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(in_host))
    {
        return Err(format!("host: {} is no name of a host", quoted(host)));
    }
    let status = pairs.remove("status").unwrap_or("200-399");
    let (first, last) = status.split_once('-').unwrap_or((status, status));
    let code = |text: &str| {
        let code = text.trim().parse().ok();
        code.filter(|code| (100..=599).contains(code))
    };
    let status = match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => [first, last],
        _ => {
            return Err(format!(
                "status: {} is no status such as 200 and no range such as 200-399",
                quoted(status)
            ));
        }
    };
    Ok(HttpProbe {
        host: host.map(Name::from),
        path: path.into(),
        status,
    })
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
            "type=http, interval=500ms, timeout=500ms, rise=2, fall=3, path=/, status=200-399, \
             onFailure=quiesce, panicThreshold=50"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "type=tcp, interval=100ms, timeout=100ms, rise=1, fall=10, port=8080, \
             onFailure=remove, panicThreshold=100",
            "type=http, interval=1h0m0s, timeout=1ms, rise=10, fall=1, host=web.example:80, \
             path=/healthz?full=1, status=204-204, onFailure=quiesce, panicThreshold=1",
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
            ("interval=5s", "needs type=TYPE, one of tcp, http"),
            ("type=grpc", "type: `grpc` is none of tcp, http"),
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
}
