//! Clients that send single requests and count the answers of each pod.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, connect, fresh, reset_at_end};
use crate::speed::scaled;
use crate::wire::routed;

/// Requests to a Service: a new connection, or a datagram from a new socket, for each request.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// Namespace of the client.
    pub from: &'a Namespace,
    /// Source address and port. The kernel chooses port 0, and both if `None`.
    pub source: Option<SocketAddr>,
    /// Protocol of the requests.
    pub protocol: Protocol,
    /// Target of the requests.
    pub target: SocketAddr,
    /// True for HTTP requests over TCP.
    pub http: bool,
    /// Time limit of an answer.
    pub timeout: Duration,
}

/// Answer of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name of the pod.
    pub pod: String,
    /// Source address of the request, as the pod saw it.
    pub seen_from: IpAddr,
}

/// Answers to several requests, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Received answers.
    pub answers: Vec<Answer>,
    /// Reasons of failed requests.
    pub failures: Vec<String>,
}

impl<'a> Probe<'a> {
    /// Returns a probe with a time limit of two seconds and a source that the kernel chooses.
    #[must_use]
    pub fn new(from: &'a Namespace, protocol: Protocol, target: SocketAddr) -> Self {
        Self {
            from,
            source: None,
            protocol,
            target,
            http: false,
            timeout: Duration::from_secs(2),
        }
    }

    /// Sends `count` requests, one after the other.
    #[must_use]
    pub fn ask(&self, count: usize) -> Tally {
        self.from.run(|| {
            let mut tally = Tally::default();
            for _ in 0..count {
                match self.once() {
                    Ok(answer) => tally.answers.push(answer),
                    Err(error) => tally.failures.push(error.to_string()),
                }
            }
            tally
        })
    }

    fn once(&self) -> io::Result<Answer> {
        if self.http {
            let stream = connect(self.protocol, self.source, self.target, self.timeout)?;
            return parse(&page(&stream, self.target)?);
        }
        request(self.protocol, self.source, self.target, self.timeout)
    }
}

/// Sends a request from the namespace of this thread.
pub(crate) fn request(
    protocol: Protocol,
    source: Option<SocketAddr>,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<Answer> {
    // SCTP would announce all its addresses to the other end, each of which would count as a
    // client.
    let source = match (source, protocol) {
        (None, Protocol::Sctp) => Some(SocketAddr::new(routed(target)?, 0)),
        (source, _) => source,
    };
    let text = match protocol {
        Protocol::Tcp | Protocol::Sctp => {
            let stream = connect(protocol, source, target, timeout)?;
            (&stream).write_all(b"who?\n")?;
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line)?;
            line
        }
        Protocol::Udp => datagram(source, target, timeout)?,
    };
    parse(&text)
}

fn datagram(
    source: Option<SocketAddr>,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<String> {
    let socket = UdpSocket::bind(fresh(source, target))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(scaled(timeout)))?;
    socket.send(b"who?\n")?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Sends a request over TCP from `source`, and resets the connection, so that the port can be used
/// again at once. Returns also the time that the answer took.
///
/// # Errors
/// If there is no answer in two seconds.
pub fn ask_and_reset(
    from: &Namespace,
    source: SocketAddr,
    target: SocketAddr,
) -> Outcome<(Answer, Duration)> {
    let asked = from.run(|| {
        let begin = Instant::now();
        let answer = request_and_reset(Some(source), target, Duration::from_secs(2))?;
        Ok((answer, begin.elapsed()))
    });
    asked.map_err(|error: io::Error| Failure::new(format!("{source} to {target}: {error}")))
}

/// Sends a request over TCP from the namespace of this thread, and resets the connection.
pub(crate) fn request_and_reset(
    source: Option<SocketAddr>,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<Answer> {
    let stream = connect(Protocol::Tcp, source, target, timeout)?;
    (&stream).write_all(b"who?\n")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    reset_at_end(&stream)?;
    parse(&line)
}

fn page(mut stream: &TcpStream, host: SocketAddr) -> io::Result<String> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!(
            "not a page with status 200: {answer:?}"
        ))),
    }
}

impl Tally {
    /// Returns the number of answers from each pod.
    #[must_use]
    pub fn by_pod(&self) -> BTreeMap<&str, usize> {
        let mut count = BTreeMap::new();
        for answer in &self.answers {
            *count.entry(answer.pod.as_str()).or_default() += 1;
        }
        count
    }

    /// Returns the tally if every request was answered.
    ///
    /// # Errors
    /// A request failed. The error contains the first reason.
    pub fn complete(self) -> Outcome<Self> {
        match self.failures.first() {
            None => Ok(self),
            Some(first) => Err(Failure::new(format!(
                "{} of {} requests were not answered: {first}",
                self.failures.len(),
                self.failures.len() + self.answers.len(),
            ))),
        }
    }

    /// Returns the only pod that answered.
    ///
    /// # Errors
    /// If no pod or several pods answered.
    pub fn one_pod(&self) -> Outcome<&str> {
        let by_pod = self.by_pod();
        match by_pod.keys().next() {
            Some(pod) if by_pod.len() == 1 => Ok(pod),
            _ => Err(Failure::new(format!(
                "expected answers of one pod, got {by_pod:?}"
            ))),
        }
    }
}

/// Parses the answer of a [`Pod`](crate::Pod).
pub(crate) fn parse(text: &str) -> io::Result<Answer> {
    let words = text.trim().split_once(' ');
    words
        .and_then(|(pod, address)| {
            Some(Answer {
                pod: pod.to_owned(),
                seen_from: address.parse().ok()?,
            })
        })
        .ok_or_else(|| io::Error::other(format!("not an answer of a pod: {text:?}")))
}
