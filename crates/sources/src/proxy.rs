//! A service proxy that runs on this node: kube-proxy, or kube-ipvsd itself, asked over HTTP at its metrics
//! address. No process needs to be visible, so that it works from within a pod with the host's network.

mod listeners;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use model::config::METRICS_PORT;

pub use self::listeners::{Listener, listeners};

/// Where both serve metrics unless they are told otherwise.
pub const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), METRICS_PORT);

/// The modes that kube-proxy has had. kube-ipvsd answers `ipvs`.
const MODES: [&str; 5] = ["iptables", "ipvs", "nftables", "kernelspace", "userspace"];

/// Bounds of one answer. Any process may have the port.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Time for all of it, from the connection to the last byte.
    time: Duration,
    /// Bytes of head and body.
    bytes: usize,
}

/// Limits of a page for people and tools.
const PAGE: Limits = Limits {
    time: Duration::from_secs(5),
    bytes: 16 << 20,
};

/// Limits of the question which proxy it is. It delays the start.
const IDENTITY: Limits = Limits {
    time: Duration::from_secs(2),
    bytes: 16 << 20,
};

/// A service proxy that answers.
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

/// Result of asking a process which service proxy it is.
#[derive(Debug)]
pub enum Identity {
    /// No process listens.
    Absent,
    /// A service proxy.
    Proxy(Running),
    /// A process that does not answer as a service proxy does, or not in time.
    Other(io::Error),
}

/// Returns the proxy that answers at `address`, if one does.
#[must_use]
pub fn running(address: SocketAddr) -> Option<Running> {
    match identify(address) {
        Identity::Proxy(running) => Some(running),
        Identity::Absent | Identity::Other(_) => None,
    }
}

/// Asks the process at `address` which service proxy it is. The answer at `/proxyMode` must be a mode of kube-proxy. Takes a few
/// seconds at most, whatever the process sends. A service proxy belongs to root: a process of another user is none, whatever it answers.
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
            "the process that answers as kube-proxy does is not root's",
        ));
    }
    let status = ask(address, "/statusz?format=json", limits).unwrap_or_default();
    Identity::Proxy(if status.contains("\"nodeName\"") {
        Running::KubeIpvs
    } else {
        Running::KubeProxy(mode.to_owned())
    })
}

/// Returns an address at which a listener at `address` answers: loopback, if it listens at every address.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(any) if any.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Returns true if the process at `address` answers at `/healthz` as the health server of kube-proxy, or of kube-ipvsd, does. Takes a few
/// seconds at most, whatever the process sends.
///
/// Source: `pkg/proxy/healthcheck/proxy_health.go`, Kubernetes 1.34.
#[must_use]
pub fn answers_health(address: SocketAddr) -> bool {
    let answer = ask(address, "/healthz", IDENTITY).unwrap_or_default();
    let page: HealthPage = serde_json::from_str(&answer).unwrap_or_default();
    page.last_updated.is_some() && page.current_time.is_some()
}

/// The health page of a service proxy, in part.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HealthPage {
    last_updated: Option<String>,
    current_time: Option<String>,
}

/// The page `path` at `address`.
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
    // Version 1.0: the answer ends with the connection and comes in one piece.
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

/// Reads to the end. A time limit of the socket bounds each reading alone, and a byte now and then would renew it: the limit is what
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

/// Returns the time until `deadline`: more than zero, which would stand for no limit.
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
