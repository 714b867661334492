//! Detects a service proxy on this node, kube-proxy or kube-ipvsd, by HTTP requests to its metrics
//! address. This works from a pod with the host's network, since the proxy's process need not be
//! visible.

mod listeners;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use model::config::METRICS_PORT;

pub use self::listeners::{Listener, listeners};

/// Default metrics address of kube-proxy and kube-ipvsd.
pub const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), METRICS_PORT);

/// Modes of all versions of kube-proxy. kube-ipvsd answers `ipvs`.
const MODES: [&str; 5] = ["iptables", "ipvs", "nftables", "kernelspace", "userspace"];

/// Limits of one answer, since any process may use the port.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Time from the connection to the last byte.
    time: Duration,
    /// Maximum number of bytes of head and body.
    bytes: usize,
}

/// Limits of a page for people and tools.
const PAGE: Limits = Limits {
    time: Duration::from_secs(5),
    bytes: 16 << 20,
};

/// Limits of the identification of a proxy, which delays the start.
const IDENTITY: Limits = Limits {
    time: Duration::from_secs(2),
    bytes: 16 << 20,
};

/// A running service proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// kube-proxy in this mode.
    KubeProxy(String),
    /// kube-ipvsd.
    KubeIpvs,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::KubeProxy(mode) => write!(f, "kube-proxy (mode {mode})"),
            Self::KubeIpvs => f.write_str("kube-ipvsd"),
        }
    }
}

/// Result of the identification of a process.
#[derive(Debug)]
pub enum Identity {
    /// No process listens.
    Absent,
    /// A service proxy.
    Proxy(Running),
    /// A process that does not answer like a service proxy, or not in time.
    Other(io::Error),
}

/// Returns the proxy that answers at `address`, if any.
#[must_use]
pub fn running(address: SocketAddr) -> Option<Running> {
    match identify(address) {
        Identity::Proxy(running) => Some(running),
        Identity::Absent | Identity::Other(_) => None,
    }
}

/// Identifies the process at `address`. The answer at `/proxyMode` must be a mode of kube-proxy.
/// Takes at most a few seconds, whatever the process sends. A process of a user other than root is
/// never a service proxy.
#[must_use]
pub fn identify(address: SocketAddr) -> Identity {
    identify_within(address, IDENTITY)
}

fn identify_within(address: SocketAddr, limits: Limits) -> Identity {
    let answer = match ask(address, "/proxyMode", limits) {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Identity::Absent,
        Err(error) => return Identity::Other(error),
    };
    let Some(mode) = MODES.into_iter().find(|mode| *mode == answer.trim()) else {
        return Identity::Other(io::Error::other(
            "the answer at /proxyMode is not a mode of kube-proxy",
        ));
    };
    if listeners::are_of_others(address.port()) {
        return Identity::Other(io::Error::other(
            "the process answers like kube-proxy but does not run as root",
        ));
    }
    let status = ask(address, "/statusz?format=json", limits).unwrap_or_default();
    Identity::Proxy(if status.contains("\"nodeName\"") {
        Running::KubeIpvs
    } else {
        Running::KubeProxy(mode.to_owned())
    })
}

/// Returns an address at which a listener at `address` can be reached: loopback if it listens at
/// every address.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Returns true if the process at `address` answers at `/healthz` like the health server of
/// kube-proxy or kube-ipvsd. Takes at most a few seconds, whatever the process sends.
///
/// Source: `pkg/proxy/healthcheck/proxy_health.go`, Kubernetes 1.34.
#[must_use]
pub fn answers_health(address: SocketAddr) -> bool {
    let answer = ask(address, "/healthz", IDENTITY).unwrap_or_default();
    let page: HealthPage = serde_json::from_str(&answer).unwrap_or_default();
    page.last_updated.is_some() && page.current_time.is_some()
}

/// Fields of the health page of a service proxy that identify it.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HealthPage {
    last_updated: Option<String>,
    current_time: Option<String>,
}

/// Returns the page `path` at `address`.
///
/// # Errors
///
/// No process listens, the answer takes too long or is too long, or its status is not 200.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    ask(address, path, PAGE)
}

fn ask(address: SocketAddr, path: &str, limits: Limits) -> io::Result<String> {
    let deadline = Instant::now() + limits.time;
    let mut stream = TcpStream::connect_timeout(&address, limits.time)?;
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    // With HTTP 1.0 the answer is not chunked and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let answer = read(&mut stream, limits.bytes, deadline)?;
    let answer = String::from_utf8_lossy(&answer);
    let not_http = || io::Error::other("the answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(not_http)?;
    let status = head.split_ascii_whitespace().nth(1);
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(200) if head.starts_with("HTTP/") => Ok(body.to_owned()),
        Some(status) if head.starts_with("HTTP/") => Err(io::Error::other(format!(
            "{path} was answered by status {status}"
        ))),
        _ => Err(not_http()),
    }
}

/// Reads to the end. A timeout of the socket limits only one read, so each read gets the time that
/// remains until `deadline`.
fn read(stream: &mut TcpStream, most: usize, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
            Err(error) => return Err(error),
        };
        if answer.len() + count > most {
            return Err(io::Error::other(format!(
                "the answer is longer than {most} bytes"
            )));
        }
        answer.extend_from_slice(&chunk[..count]);
    }
}

/// Returns the time until `deadline`, or an error if it is zero: a socket timeout of zero would
/// mean no limit.
fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() {
        return Err(late());
    }
    Ok(remaining)
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the answer takes too long")
}
