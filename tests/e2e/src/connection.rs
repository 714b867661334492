//! A connection that is to live.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::failure::{Context as _, Failure, Outcome};
use crate::namespace::Namespace;
use crate::probe::parse;
use crate::socket::{Protocol, connect};

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A TCP connection over which a line goes back and forth all the time.
#[derive(Debug)]
pub struct LongLived {
    /// The pod at its other end.
    pub pod: String,
    ended: Arc<AtomicBool>,
    lines: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<()>>,
}

impl LongLived {
    /// Connects, and begins.
    ///
    /// # Errors
    /// Where there is no connection, or no pod at its other end.
    pub fn open(from: &Namespace, target: SocketAddr) -> Outcome<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let lines = Arc::new(AtomicUsize::new(0));
        let action = || format!("connecting to {target}");
        from.run(|| {
            let stream = connect(Protocol::Tcp, None, target, PATIENCE).context(action)?;
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

    /// Ends it.
    ///
    /// # Errors
    /// Where the connection has broken, stood still for five seconds, or was answered by another pod.
    pub fn close(self) -> Outcome {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended
            .map_err(|_| Failure::new("the connection's thread panicked"))?
            .context(|| "a connection that was to live")
    }
}

fn talk(stream: &TcpStream, pod: &str, ended: &AtomicBool, count: &AtomicUsize) -> io::Result<()> {
    // One line more after the end is asked for: that shows that it lives.
    let mut last = false;
    while !last {
        last = ended.load(Ordering::Relaxed);
        let now = exchange(stream)?;
        if now != pod {
            return Err(io::Error::other(format!("{now} answers in place of {pod}")));
        }
        count.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// One line there, and one back: the pod's name.
fn exchange(mut stream: &TcpStream) -> io::Result<String> {
    stream.write_all(b"still there?\n")?;
    let mut line = String::new();
    // Nothing is sent unasked, so no part of a second line is lost with the buffer.
    BufReader::new(stream).read_line(&mut line)?;
    Ok(parse(&line)?.pod)
}
