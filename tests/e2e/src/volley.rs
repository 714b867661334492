//! Many concurrent requests from one thread, without processes: thousands in a minute, even if a
//! thread or a process costs milliseconds.

mod icmp;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::net::bind;

use crate::failure::{Context as _, Outcome};
use crate::namespace::Namespace;
use crate::probe::{Answer, parse};
use crate::socket::Protocol;
use crate::speed::scaled;
use crate::wire::{connect, local_port, readable, receive, routed, send, socket};
use icmp::{Icmp, Key, Message};

/// Time limit for an ICMP message after `EPERM`: IPVS drops refused packets of the node itself, and
/// reports the refusal by ICMP as to other clients.
const GRACE: Duration = Duration::from_millis(300);

/// Protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// Protocol of a Service. A [`Responder`](crate::Responder) is expected at the other end.
    Transport(Protocol),
    /// ICMP echo request.
    Ping,
}

/// Request that is sent several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Protocol of the request.
    pub over: Over,
    /// Target of the request; an echo request ignores the port.
    pub target: SocketAddr,
    /// Source address and port. The kernel chooses port 0, and both if `None` and for an echo
    /// request.
    pub source: Option<SocketAddr>,
}

/// Result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A pod answered.
    Answered(Answer),
    /// The echo request was answered.
    Echo,
    /// An RST or an ABORT.
    Refused,
    /// ICMP: `port`, `host`, `net` …
    Unreachable(&'static str),
    /// No answer.
    Timeout,
    /// The client's own stack dropped the packet (`EPERM`), without an ICMP message.
    NotPermitted,
    /// Something else.
    Other(String),
}

/// Settings of a volley of requests.
#[derive(Clone, Copy, Debug)]
pub struct Volley<'a> {
    /// Namespace of the client.
    pub from: &'a Namespace,
    /// Number of attempts for each request, all at the same time.
    pub attempts: usize,
    /// Time limit of an answer.
    pub timeout: Duration,
    /// Maximum number of concurrent requests.
    pub width: usize,
}

impl<'a> Volley<'a> {
    /// Returns the defaults: eight attempts, a time limit of 1.5 s, 32 concurrent requests.
    #[must_use]
    pub fn new(from: &'a Namespace) -> Self {
        Self {
            from,
            attempts: 8,
            timeout: Duration::from_millis(1500),
            width: 32,
        }
    }

    /// Sends the requests. Returns the replies to each, in the order of `asks`.
    ///
    /// # Errors
    /// If the raw sockets cannot be opened or read.
    pub fn ask(&self, asks: &[Ask]) -> Outcome<Vec<Vec<Reply>>> {
        let replies = self.from.run(|| self.send_all(asks));
        replies.context(|| "asking")
    }

    fn send_all(&self, asks: &[Ask]) -> io::Result<Vec<Vec<Reply>>> {
        let mut pending = Pending {
            icmp: Icmp::open()?,
            attempts: Vec::new(),
            replies: vec![Vec::new(); asks.len()],
        };
        let mut waiting: VecDeque<(usize, &Ask)> = asks.iter().enumerate().collect();
        loop {
            while pending.attempts.len() + self.attempts <= self.width * self.attempts {
                let Some((place, ask)) = waiting.pop_front() else {
                    break;
                };
                for _ in 0..self.attempts {
                    pending.start(place, ask, self.timeout);
                }
            }
            if pending.attempts.is_empty() && waiting.is_empty() {
                return Ok(pending.replies);
            }
            pending.wait()?;
        }
    }
}

/// Requests in progress.
struct Pending {
    icmp: Icmp,
    attempts: Vec<Attempt>,
    replies: Vec<Vec<Reply>>,
}

struct Attempt {
    place: usize,
    key: Key,
    /// `None` for an echo request.
    socket: Option<OwnedFd>,
    deadline: Instant,
    /// Reply after the deadline.
    then: Reply,
}

impl Pending {
    fn start(&mut self, place: usize, ask: &Ask, timeout: Duration) {
        let now = Instant::now();
        match begin(&self.icmp, ask) {
            Ok((key, socket, started)) => {
                let (time, then) = match started {
                    Started::Sent => (timeout, Reply::Timeout),
                    Started::Denied => (GRACE, Reply::NotPermitted),
                };
                self.attempts.push(Attempt {
                    place,
                    key,
                    socket,
                    deadline: now + scaled(time),
                    then,
                });
            }
            Err(error) => {
                let reply = self.early_reply(ask).unwrap_or_else(|| failed(&error));
                self.replies[place].push(reply);
            }
        }
    }

    /// Returns the ICMP reply to an attempt that failed at its start.
    fn early_reply(&mut self, ask: &Ask) -> Option<Reply> {
        let mut reply = None;
        while let Some(message) = self.icmp.next() {
            if self.record(message) {
                continue;
            }
            if let Message::Unreachable(key, why) = message
                && key.target == ask.target
            {
                reply = Some(Reply::Unreachable(why));
            }
        }
        reply
    }

    /// Waits for replies or a deadline, and records the results.
    fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let next = self.attempts.iter().map(|attempt| attempt.deadline).min();
        let time = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        let mut descriptors: Vec<BorrowedFd<'_>> = self.icmp.descriptors().to_vec();
        let sockets = self
            .attempts
            .iter()
            .filter_map(|attempt| attempt.socket.as_ref());
        descriptors.extend(sockets.map(AsFd::as_fd));
        let ready: Vec<RawFd> = readable(&descriptors, time)?
            .into_iter()
            .map(|place| descriptors[place].as_raw_fd())
            .collect();
        // Raw sockets receive a message before the socket that it belongs to.
        while let Some(message) = self.icmp.next() {
            let _ = self.record(message);
        }
        let now = Instant::now();
        for attempt in std::mem::take(&mut self.attempts) {
            let reply = match &attempt.socket {
                Some(socket) if ready.contains(&socket.as_raw_fd()) => reply_at(socket),
                _ => None,
            };
            match reply {
                Some(reply) => self.replies[attempt.place].push(reply),
                None if now >= attempt.deadline => self.replies[attempt.place].push(attempt.then),
                None => self.attempts.push(attempt),
            }
        }
        Ok(())
    }

    /// Records a message as the reply to its request. Returns false if there is no such request.
    fn record(&mut self, message: Message) -> bool {
        let (key, reply) = match message {
            Message::Echo(key) => (key, Reply::Echo),
            Message::Unreachable(key, why) => (key, Reply::Unreachable(why)),
        };
        let Some(at) = self.attempts.iter().position(|attempt| attempt.key == key) else {
            return false;
        };
        let attempt = self.attempts.swap_remove(at);
        self.replies[attempt.place].push(reply);
        true
    }
}

enum Started {
    Sent,
    Denied,
}

fn begin(icmp: &Icmp, ask: &Ask) -> io::Result<(Key, Option<OwnedFd>, Started)> {
    let (kind, number) = match ask.over {
        Over::Ping => return ping(icmp, ask.target),
        Over::Transport(Protocol::Tcp) => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
        Over::Transport(Protocol::Sctp) => (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        Over::Transport(Protocol::Udp) => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    };
    let socket = socket(ask.target, kind, number)?;
    // SCTP would announce all its addresses to the other end.
    let source = match (ask.source, ask.over) {
        (Some(source), _) => Some(source),
        (None, Over::Transport(Protocol::Sctp)) => Some(SocketAddr::new(routed(ask.target)?, 0)),
        (None, _) => None,
    };
    if let Some(source) = source {
        bind(&socket, &source)?;
    }
    match connect(&socket, ask.target) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let key = Key {
        protocol: u8::try_from(number).unwrap_or_default(),
        port: local_port(&socket)?,
        target: ask.target,
    };
    let started = if kind == libc::SOCK_DGRAM {
        sent(send(&socket, b"who?\n"))?
    } else {
        Started::Sent
    };
    Ok((key, Some(socket), started))
}

fn ping(icmp: &Icmp, target: SocketAddr) -> io::Result<(Key, Option<OwnedFd>, Started)> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let protocol = match target {
        SocketAddr::V4(_) => libc::IPPROTO_ICMP,
        SocketAddr::V6(_) => libc::IPPROTO_ICMPV6,
    };
    let key = Key {
        protocol: u8::try_from(protocol).unwrap_or_default(),
        port: number,
        target: SocketAddr::new(target.ip(), number),
    };
    let started = sent(icmp.ping(number, key.target))?;
    Ok((key, None, started))
}

fn sent(result: io::Result<()>) -> io::Result<Started> {
    match result {
        Ok(()) => Ok(Started::Sent),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(Started::Denied),
        Err(error) => Err(error),
    }
}

/// Returns the reply on a socket, if it is complete.
fn reply_at(socket: &OwnedFd) -> Option<Reply> {
    let mut buffer = [0; 128];
    match receive(socket, &mut buffer) {
        Ok(0) => Some(Reply::Other("closed without an answer".to_owned())),
        Ok(length) => {
            let text = String::from_utf8_lossy(&buffer[..length]);
            Some(parse(&text).map_or_else(|error| failed(&error), Reply::Answered))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => Some(failed(&error)),
    }
}

fn failed(error: &io::Error) -> Reply {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Reply::Refused,
        Some(libc::EPERM) => Reply::NotPermitted,
        _ => Reply::Other(error.to_string()),
    }
}
