//! A service proxy that runs on this node: kube-proxy, or kube-ipvsd itself, asked over HTTP at its metrics
//! address. No process needs to be visible, so that it works from within a pod with the host's network.

#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where both serve metrics unless they are told otherwise.
pub const METRICS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 10249);

/// Time limit of an answer: it comes from this very node.
const PATIENCE: Duration = Duration::from_secs(2);

/// No page that is asked for is larger.
const LARGEST: u64 = 16 * 1024 * 1024;

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

/// Returns the proxy that answers at `address`, if one does.
#[must_use]
pub fn running(address: SocketAddr) -> Option<Running> {
    let mode = get(address, "/proxyMode").ok()?;
    let status = get(address, "/statusz?format=json").unwrap_or_default();
    Some(if status.contains("\"nodeName\"") {
        Running::KubeIpvs
    } else {
        Running::KubeProxy(mode.trim().to_owned())
    })
}

/// The page `path` at `address`.
///
/// # Errors
///
/// Nobody listens, the answer takes too long, or its status is not 200.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Version 1.0: the answer ends with the connection and comes in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    let status = head.split_ascii_whitespace().nth(1);
    match status {
        Some("200") => Ok(body.to_owned()),
        other => Err(io::Error::other(format!(
            "{path} was answered by status {}",
            other.unwrap_or("none")
        ))),
    }
}
