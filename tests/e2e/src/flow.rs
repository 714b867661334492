//! A client that sends datagrams from one port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::{Context as _, Outcome};
use crate::namespace::Namespace;
use crate::probe::parse;

/// A flow of datagrams with one source and one target.
#[derive(Debug)]
pub struct Flow {
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    _thread: JoinHandle<()>,
}

/// Sent datagrams and their answers.
#[derive(Clone, Debug, Default)]
struct Seen {
    sent: usize,
    /// Pod of the last answer, and its time.
    last: Option<(String, Instant)>,
}

impl Flow {
    /// Starts to send a datagram each `period`.
    ///
    /// # Errors
    /// If there is no socket.
    pub fn start(from: &Namespace, target: SocketAddr, period: Duration) -> Outcome<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let socket = from
            .run(|| open(target))
            .context(|| format!("sending to {target}"))?;
        let (end, own) = (Arc::clone(&ended), Arc::clone(&seen));
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            while !end.load(Ordering::Relaxed) {
                let sent = exchange(&socket, &own);
                // On a slow machine, late datagrams are sent at once.
                let next = begin + period * u32::try_from(sent).unwrap_or(u32::MAX);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self {
            ended,
            seen,
            _thread: thread,
        })
    }

    /// Returns the pod of the last answer, and the time since then.
    #[must_use]
    pub fn last(&self) -> Option<(String, Duration)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.last.clone();
        last.map(|(pod, when)| (pod, when.elapsed()))
    }

    /// Returns the number of sent datagrams.
    #[must_use]
    pub fn sent(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.sent
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Receives the answers and sends a datagram. Returns the number of sent datagrams.
fn exchange(socket: &UdpSocket, seen: &Mutex<Seen>) -> usize {
    let mut last = None;
    let mut buffer = [0; 128];
    // Errors, such as a refusal without endpoints, end the loop and are ignored.
    while let Ok(length) = socket.recv(&mut buffer) {
        last = parse(&String::from_utf8_lossy(&buffer[..length])).ok();
    }
    let _ = socket.send(b"who?\n");
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.sent += 1;
    if let Some(answer) = last {
        seen.last = Some((answer.pod, Instant::now()));
    }
    seen.sent
}
