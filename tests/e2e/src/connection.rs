//! A long-lived connection.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::conversation::exchange;
use crate::failure::{Context as _, Failure, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, connect};

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
