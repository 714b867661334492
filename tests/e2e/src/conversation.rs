//! A connection that is idle between the lines that a test sends.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Context as _, Outcome, ensure};
use crate::namespace::Namespace;
use crate::probe::parse;
use crate::socket::{Protocol, connect, reset_at_end};

/// Time limit for a line and its answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A TCP connection to a [`Pod`](crate::Pod) that sends only on request.
#[derive(Debug)]
pub struct Conversation {
    /// Pod at the other end.
    pub pod: String,
    /// Target of the connection.
    pub target: SocketAddr,
    stream: TcpStream,
}

impl Conversation {
    /// Connects from a fresh port, and exchanges a line.
    ///
    /// # Errors
    /// If there is no connection, or no pod at its other end.
    pub fn open(from: &Namespace, target: SocketAddr) -> Outcome<Self> {
        let action = || format!("connecting to {target}");
        let stream = from.run(|| connect(Protocol::Tcp, None, target, TIMEOUT));
        let stream = stream.context(action)?;
        let pod = exchange(&stream).context(action)?;
        Ok(Self {
            pod,
            target,
            stream,
        })
    }

    /// Fails unless the same pod answers another line.
    ///
    /// # Errors
    /// If it does not.
    pub fn is_alive(&self) -> Outcome {
        let pod = exchange(&self.stream).context(|| self.target.to_string())?;
        ensure(pod == self.pod, || {
            format!("{}: expected {}, found {pod}", self.target, self.pod)
        })
    }

    /// Fails unless the next line ends with this error.
    ///
    /// # Errors
    /// If it is answered, or ends with another error.
    pub fn fails_by(&self, expected: io::ErrorKind) -> Outcome {
        let found = exchange(&self.stream).map_err(|error| error.kind());
        ensure(found == Err(expected), || {
            format!("{}: expected {expected:?}, found {found:?}", self.target)
        })
    }

    /// Ends the connection with an RST.
    ///
    /// # Errors
    /// If the socket refuses the option.
    pub fn reset(self) -> Outcome {
        reset_at_end(&self.stream).context(|| format!("resetting {}", self.target))
    }
}

/// Sends a line and returns the name of the pod in the answer.
pub(crate) fn exchange(mut stream: &TcpStream) -> io::Result<String> {
    stream.write_all(b"still there?\n")?;
    let mut line = String::new();
    // The pod sends one line for each request, so that the buffer contains no part of a second one.
    match BufReader::new(stream).read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(parse(&line)?.pod),
    }
}
