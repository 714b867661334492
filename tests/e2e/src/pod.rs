//! Pods: network namespaces with servers that answer with the name of the pod.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::{Context as _, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, listen};

/// Port of all servers of a pod.
pub const PORT: u16 = 8080;

/// Interval at which a server checks if it must end.
const LOOK: Duration = Duration::from_millis(500);

/// A pod. Its servers end when it is dropped.
///
/// It answers each line over TCP or SCTP, and each datagram, with `NAME ADDRESS`, where the address
/// is the source of the request. It answers an HTTP request over TCP with a page of the same text.
#[derive(Debug)]
pub struct Pod {
    /// Name of the pod.
    pub name: String,
    /// IPv4 address of the pod.
    pub v4: Ipv4Addr,
    /// IPv6 address of the pod.
    pub v6: Ipv6Addr,
    /// Network namespace: its own, or that of its node.
    pub namespace: Arc<Namespace>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    name: String,
    ended: AtomicBool,
    answers: AtomicUsize,
    /// Source ports of the requests.
    ports: Mutex<BTreeSet<u16>>,
}

impl Pod {
    /// Starts the servers in `namespace`, which must have both addresses.
    ///
    /// # Errors
    /// If one cannot listen.
    pub(crate) fn start(
        namespace: &Arc<Namespace>,
        name: &str,
        v4: Ipv4Addr,
        v6: Ipv6Addr,
    ) -> Outcome<Self> {
        let state = Arc::new(State {
            name: name.to_owned(),
            ended: AtomicBool::new(false),
            answers: AtomicUsize::new(0),
            ports: Mutex::default(),
        });
        let pod = Self {
            name: name.to_owned(),
            v4,
            v6,
            namespace: Arc::clone(namespace),
            state,
        };
        pod.namespace.run(|| pod.listen())?;
        Ok(pod)
    }

    /// Returns the number of answers since the last call.
    #[must_use]
    pub fn take_answers(&self) -> usize {
        self.state.answers.swap(0, Ordering::Relaxed)
    }

    /// Returns the source ports of the requests since the last call.
    #[must_use]
    pub fn take_ports(&self) -> BTreeSet<u16> {
        let ports = self.state.ports.lock();
        std::mem::take(&mut *ports.unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers connections over TCP to `port` too.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn also_listen(&self, port: u16) -> Outcome {
        self.namespace.run(|| {
            for address in [IpAddr::from(self.v4), IpAddr::from(self.v6)] {
                self.accept_at(Protocol::Tcp, SocketAddr::new(address, port))?;
            }
            Ok(())
        })
    }

    fn accept_at(&self, protocol: Protocol, address: SocketAddr) -> Outcome {
        let listener = listen(protocol, address, LOOK)
            .context(|| format!("listening on {address}/{protocol}"))?;
        let state = Arc::clone(&self.state);
        thread::spawn(move || state.accept(&listener));
        Ok(())
    }

    fn listen(&self) -> Outcome {
        for address in [IpAddr::from(self.v4), IpAddr::from(self.v6)] {
            let address = SocketAddr::new(address, PORT);
            for protocol in [Protocol::Tcp, Protocol::Sctp] {
                self.accept_at(protocol, address)?;
            }
            let socket = UdpSocket::bind(address)
                .and_then(|socket| socket.set_read_timeout(Some(LOOK)).map(|()| socket))
                .context(|| format!("listening on {address}/udp"))?;
            let state = Arc::clone(&self.state);
            thread::spawn(move || state.datagrams(&socket));
        }
        Ok(())
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn answer(&self, from: SocketAddr) -> String {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let ports = self.ports.lock();
        (ports.unwrap_or_else(PoisonError::into_inner)).insert(from.port());
        format!("{} {}\n", self.name, from.ip())
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.has_ended() {
            let Ok((stream, from)) = listener.accept() else {
                continue;
            };
            let state = Arc::clone(self);
            // The client detects a broken connection.
            thread::spawn(move || drop(state.lines(&stream, from)));
        }
    }

    fn lines(&self, stream: &TcpStream, from: SocketAddr) -> io::Result<()> {
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        let mut http = false;
        while !self.has_ended() {
            match lines.read_line(&mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if http && line.trim().is_empty() {
                return self.page(stream, from);
            }
            http |= line.starts_with("GET ");
            if !http {
                let answer = self.answer(from);
                (&*stream).write_all(answer.as_bytes())?;
            }
            line.clear();
        }
        Ok(())
    }

    fn page(&self, mut stream: &TcpStream, from: SocketAddr) -> io::Result<()> {
        let body = self.answer(from);
        let length = body.len();
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        stream.write_all(page.as_bytes())
    }

    fn datagrams(&self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while !self.has_ended() {
            let Ok((_, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            // A datagram that cannot be sent counts as lost.
            let _ = socket.send_to(self.answer(from).as_bytes(), from);
        }
    }
}
