//! Long-lived connections.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::conversation::{answer, ask, exchange};
use crate::failure::{Context as _, Failure, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, connect};
use crate::speed::scaled;

const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A TCP connection over which lines are exchanged all the time.
#[derive(Debug)]
pub struct LongLived {
    /// Pod at the other end.
    pub pod: String,
    ended: Arc<AtomicBool>,
    lines: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<()>>,
}

impl LongLived {
    /// Connects and starts to exchange lines.
    ///
    /// # Errors
    /// If there is no connection, or no pod at its other end.
    pub fn open(from: &Namespace, target: SocketAddr) -> Outcome<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let lines = Arc::new(AtomicUsize::new(0));
        let action = || format!("connecting to {target}");
        from.run(|| {
            let stream = connect(Protocol::Tcp, None, target, TIMEOUT).context(action)?;
            let pod = exchange(&stream).context(action)?;
            let (name, end, count) = (pod.clone(), Arc::clone(&ended), Arc::clone(&lines));
            let thread = thread::spawn(move || talk(&stream, &name, &end, &count));
            Ok(Self {
                pod,
                ended,
                lines,
                thread,
            })
        })
    }

    /// Returns the number of lines that came back so far.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// If the connection has broken, stood still for five seconds, or was answered by another pod.
    pub fn close(self) -> Outcome {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended
            .map_err(|_| Failure::new("the connection's thread panicked"))?
            .context(|| "the long-lived connection broke")
    }
}

/// Many TCP connections over which a line is exchanged on demand.
#[derive(Debug)]
pub struct Kept {
    connections: Vec<(TcpStream, String)>,
}

impl Kept {
    /// Opens `count` connections and exchanges a line over each.
    ///
    /// # Errors
    /// If one is not opened, or no pod is at its other end.
    pub fn open(from: &Namespace, target: SocketAddr, count: usize) -> Outcome<Self> {
        let open = || -> io::Result<(TcpStream, String)> {
            let stream = connect(Protocol::Tcp, None, target, TIMEOUT)?;
            let pod = exchange(&stream)?;
            Ok((stream, pod))
        };
        let connections = from.run(|| (0..count).map(|_| open()).collect::<io::Result<_>>());
        let connections = connections.context(|| format!("connecting to {target}"))?;
        Ok(Self { connections })
    }

    /// Returns the names of the pods at the other ends.
    #[must_use]
    pub fn pods(&self) -> BTreeSet<&str> {
        let pods = self.connections.iter();
        pods.map(|(_, pod)| pod.as_str()).collect()
    }

    /// Exchanges a line over each connection, all within the time limit of one. Returns the number
    /// of connections over which the same pod answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        let end = Instant::now() + scaled(TIMEOUT);
        let sent: Vec<_> = (self.connections.iter())
            .filter(|(stream, _)| ask(stream).is_ok())
            .collect();
        let answers = |(stream, pod): &&&(TcpStream, String)| {
            let left = end.saturating_duration_since(Instant::now());
            let set = stream.set_read_timeout(Some(left.max(PAUSE)));
            set.and_then(|()| answer(stream))
                .is_ok_and(|answer| answer == *pod)
        };
        sent.iter().filter(answers).count()
    }
}

fn talk(stream: &TcpStream, pod: &str, ended: &AtomicBool, count: &AtomicUsize) -> io::Result<()> {
    // One more line after `close` shows that the connection still works.
    let mut last = false;
    while !last {
        last = ended.load(Ordering::Relaxed);
        let now = exchange(stream)?;
        if now != pod {
            return Err(io::Error::other(format!("{now} answers instead of {pod}")));
        }
        count.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
    Ok(())
}
