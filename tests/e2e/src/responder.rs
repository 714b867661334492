//! Servers for thousands of requests, all in one thread.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::failure::{Context as _, Outcome};
use crate::namespace::Namespace;
use crate::socket::{Protocol, listen_alone};
use crate::wire::readable;

/// Interval at which the servers check if they must end.
const LOOK: Duration = Duration::from_millis(500);

/// Servers that send `NAME ADDRESS` on every new connection and for every datagram, where the
/// address is the source of the request. They end when dropped.
#[derive(Debug)]
pub struct Responder {
    ended: Arc<AtomicBool>,
}

struct Server {
    name: String,
    socket: Socket,
}

enum Socket {
    Streams(TcpListener),
    Datagrams(UdpSocket),
}

/// Protocols and addresses of a server.
pub type Places<'a> = &'a [(Protocol, SocketAddr)];

impl Responder {
    /// Starts the servers in `namespace`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(namespace: &Namespace, name: &str, places: Places<'_>) -> Outcome<Self> {
        Self::start_all(&[(namespace, name, places)])
    }

    /// Starts servers with several names, each in its namespace, all in one thread.
    ///
    /// # Errors
    /// If one cannot listen.
    pub fn start_all(all: &[(&Namespace, &str, Places<'_>)]) -> Outcome<Self> {
        let mut servers = Vec::new();
        for (namespace, name, places) in all {
            let open = |(protocol, address): &(Protocol, SocketAddr)| {
                Server::open(name, *protocol, *address)
                    .context(|| format!("listening on {address}/{protocol}"))
            };
            let opened = namespace.run(|| places.iter().map(open).collect::<Outcome<Vec<_>>>());
            servers.extend(opened?);
        }
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        thread::spawn(move || {
            let descriptors: Vec<BorrowedFd<'_>> = servers.iter().map(Server::descriptor).collect();
            while !end.load(Ordering::Relaxed) {
                // Only a signal can interrupt the wait.
                for place in readable(&descriptors, LOOK).unwrap_or_default() {
                    servers[place].serve();
                }
            }
        });
        Ok(Self { ended })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Server {
    fn open(name: &str, protocol: Protocol, address: SocketAddr) -> io::Result<Self> {
        let name = name.to_owned();
        let socket = match protocol {
            Protocol::Tcp | Protocol::Sctp => {
                let listener = listen_alone(protocol, address)?;
                listener.set_nonblocking(true)?;
                Socket::Streams(listener)
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                Socket::Datagrams(socket)
            }
        };
        Ok(Self { name, socket })
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Streams(listener) => listener.as_fd(),
            Socket::Datagrams(socket) => socket.as_fd(),
        }
    }

    /// Answers all waiting requests.
    fn serve(&self) {
        let text = |from: IpAddr| format!("{} {from}\n", self.name);
        match &self.socket {
            Socket::Streams(listener) => {
                while let Ok((mut stream, from)) = listener.accept() {
                    // The client detects a broken connection.
                    let _ = stream.write_all(text(from.ip()).as_bytes());
                }
            }
            Socket::Datagrams(socket) => {
                let mut buffer = [0; 64];
                while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    // A datagram that cannot be sent counts as lost.
                    let _ = socket.send_to(text(from.ip()).as_bytes(), from);
                }
            }
        }
    }
}
