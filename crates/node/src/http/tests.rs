//! Tests on real loopback sockets: the exact bytes of answers, and misbehaving clients.

mod pages;
mod status;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use ipvs::AddressFamily::Ipv4;
use sources::NodeOverrides;
use sources::config::Resolved;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{BindError, ConnectionPool, Handler, Limits, Reply, Server, Share, listen};
use crate::metrics::{Metrics, SourceMetrics, Traffic, TrafficOptions};

/// Returns a port that is free in both families and that only this test uses. It is below the
/// kernel's range of ephemeral ports (`net.ipv4.ip_local_port_range`), which another process could
/// get at any time.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 31;
        let port = 10_000 + u16::try_from(number % 20_000).expect("a small number");
        if listen((Ipv6Addr::UNSPECIFIED, port).into()).is_ok() {
            return port;
        }
    }
}

/// Returns a listener at a port of [`free_port`], and its address.
pub(crate) fn taken_port() -> (std::net::TcpListener, SocketAddr) {
    let address = (Ipv4Addr::LOCALHOST, free_port()).into();
    let listener = std::net::TcpListener::bind(address).expect("a free port");
    (listener, address)
}

/// Waits until a server listens at `address`.
pub(crate) fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "no server listens at {address}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns a pool of `limit` connections.
pub(crate) fn pool(limit: usize) -> ConnectionPool {
    ConnectionPool::new(Share::Common, limit, metrics())
}

pub(crate) fn metrics() -> Arc<Metrics> {
    let families = BTreeSet::from([Ipv4]);
    let (options, traffic) = (TrafficOptions::default(), Traffic::default());
    let metrics = Metrics::new(families, options, traffic, SourceMetrics::default());
    Arc::new(metrics.expect("a valid table"))
}

/// Returns the configuration of a file of our own kind with these fields.
pub(crate) fn resolved(fields: &str) -> Resolved {
    let kind = "apiVersion: kube-ipvs.io/v1alpha1\nkind: KubeIpvsConfiguration\n";
    let file = sources::config::parse("file", &format!("{kind}{fields}")).expect("a valid file");
    let resolved = file.resolve(&NodeOverrides::default(), "host");
    resolved.expect("a valid file")
}

/// A server that runs beside the test.
pub(crate) struct Running {
    runtime: Runtime,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Running {
    pub(crate) fn of(handler: Handler, limits: Limits) -> Self {
        Self::within(handler, limits, pool(256))
    }

    pub(crate) fn within(handler: Handler, limits: Limits, pool: ConnectionPool) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (stop, stopped) = watch::channel(false);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let inside = runtime.enter();
        let listener = listen(address).expect("a free port");
        let server = tokio::spawn(async move {
            super::serve(listener, handler, limits, &pool, stopped).await;
        });
        drop(inside);
        Self {
            runtime,
            address,
            stop,
            server,
        }
    }

    /// Stops the server and returns the time until it has ended.
    fn stop(self) -> Duration {
        let began = Instant::now();
        self.stop.send_replace(true);
        self.runtime.block_on(self.server).expect("it ends well");
        began.elapsed()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    let limit = Some(Duration::from_secs(10));
    stream.set_read_timeout(limit).expect("a time limit");
    stream
}

/// Reads to the end of the stream or to a reset.
fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).expect("text")
}

/// Sends a request for `path` and returns the answer without its date.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
    ask(address, &request)
}

/// Sends `request` and returns the answer without its date.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("it is sent");
    without_date(&read(&mut stream))
}

fn without_date(answer: &str) -> String {
    let lines = answer.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

/// Returns a handler that answers with the path and the query.
fn echo() -> Handler {
    Arc::new(|request| {
        let body = format!("{} {}\n", request.path, request.query);
        Reply::text(StatusCode::OK, body)
    })
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_answer_has_type_and_length() {
    let server = Running::of(echo(), Limits::default());
    assert_eq!(
        get(server.address, "/a/b?c=d&e"),
        answer("200 OK", "/a/b c=d&e\n")
    );
}

#[test]
fn every_method_and_body_gets_the_answer_and_head_its_headers_alone() {
    let server = Running::of(echo(), Limits::default());
    let post = "POST /x HTTP/1.1\r\nHost: node\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(ask(server.address, post), answer("200 OK", "/x \n"));
    let whole = answer("200 OK", "/ \n");
    let head = whole.strip_suffix("/ \n").expect("a body");
    let request = "HEAD / HTTP/1.1\r\nHost: node\r\n\r\n";
    assert_eq!(ask(server.address, request), head);
}

#[test]
fn a_client_may_end_its_side_before_it_reads() {
    let server = Running::of(echo(), Limits::default());
    let mut stream = connect(server.address);
    let request = "GET / HTTP/1.1\r\nHost: node\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it is sent");
    stream.shutdown(Shutdown::Write).expect("it ends");
    assert_eq!(without_date(&read(&mut stream)), answer("200 OK", "/ \n"));
}

#[test]
fn a_silent_client_is_cut_off() {
    let limits = Limits {
        head: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::of(echo(), limits);
    let mut silent = connect(server.address);
    silent.write_all(b"GET / HT").expect("it is sent");
    let began = Instant::now();
    assert!(!read(&mut silent).contains("200 OK"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    // More than the kernel keeps for a connection.
    let body = "x".repeat(64 << 20);
    let expected = body.len();
    let handler: Handler = Arc::new(move |_| Reply::text(StatusCode::OK, body.clone()));
    let limits = Limits {
        whole: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::of(handler, limits);
    let mut stream = connect(server.address);
    write!(stream, "GET / HTTP/1.1\r\nHost: node\r\n\r\n").expect("it is sent");
    std::thread::sleep(Duration::from_millis(900));
    let got = read(&mut stream).len();
    assert!(got > 0, "nothing arrived");
    assert!(got < expected, "{got} of {expected} bytes arrived");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = Running::of(echo(), Limits::default());
    let mut stream = connect(server.address);
    let large = "x".repeat(32 << 10);
    let request = format!("GET / HTTP/1.1\r\nHost: node\r\nLarge: {large}\r\n\r\n");
    // The server may refuse the head before the client has sent all of it.
    let _ = stream.write_all(request.as_bytes());
    assert!(!read(&mut stream).contains("200 OK"));
    assert_eq!(get(server.address, "/"), answer("200 OK", "/ \n"));
}

#[test]
fn the_oldest_connection_makes_room() {
    let limits = Limits::default();
    let server = Running::within(echo(), limits, pool(3));
    let mut idle: Vec<TcpStream> = (0..3).map(|_| connect(server.address)).collect();
    for stream in &mut idle {
        stream.write_all(b"G").expect("it is sent");
    }
    let began = Instant::now();
    assert_eq!(get(server.address, "/"), answer("200 OK", "/ \n"));
    assert_eq!(read(&mut idle[0]), "", "the oldest is cut");
    assert!(began.elapsed() < limits.head, "a connection waited");
    write!(idle[2], "ET / HTTP/1.1\r\nHost: node\r\n\r\n").expect("it is sent");
    assert_eq!(without_date(&read(&mut idle[2])), answer("200 OK", "/ \n"));
}

#[test]
fn a_stop_lets_an_open_connection_end() {
    let server = Running::of(echo(), Limits::default());
    let address = server.address;
    let mut open = connect(address);
    open.write_all(b"GET / HTTP/1.1\r\n").expect("it is sent");
    // The server has accepted the first connection once the second one is answered.
    get(address, "/");
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        assert!(TcpStream::connect(address).is_err(), "it still listens");
        open.write_all(b"Host: node\r\n\r\n").expect("it is sent");
        without_date(&read(&mut open))
    });
    let took = server.stop();
    assert_eq!(late.join().expect("an answer"), answer("200 OK", "/ \n"));
    assert!(took < Limits::default().grace_period);
}

#[test]
fn a_stop_cuts_slow_connections() {
    let limits = Limits {
        grace_period: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::of(echo(), limits);
    let mut open = connect(server.address);
    open.write_all(b"GET ").expect("it is sent");
    get(server.address, "/");
    assert!(server.stop() < Duration::from_secs(3));
    assert_eq!(read(&mut open), "");
}

#[test]
fn unspecified_addresses_stand_for_both_families() {
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    for unspecified in [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        (Ipv6Addr::UNSPECIFIED, 0).into(),
    ] {
        let listener = listen(unspecified).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for client in [
            SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            (Ipv6Addr::LOCALHOST, port).into(),
        ] {
            TcpStream::connect(client).expect("it listens there");
        }
    }
}

/// Returns a server with a taken port, and the listener that occupies it.
fn taken(hard_fail: bool) -> (Runtime, std::net::TcpListener, Server) {
    let runtime = Runtime::new().expect("a runtime");
    let (other, address) = taken_port();
    let mut server = Server::new("test server", address, hard_fail);
    server.retry = Duration::from_millis(20);
    (runtime, other, server)
}

#[test]
fn a_taken_address_is_tried_again() {
    let (runtime, other, server) = taken(false);
    let (stop, stopped) = watch::channel(false);
    let (refused, mut reported) = mpsc::channel(1);
    let running = runtime.spawn(server.run(echo(), pool(256), stopped, refused));
    std::thread::sleep(Duration::from_millis(60));
    assert!(!running.is_finished());
    let failure = reported.try_recv().expect("a report");
    assert_eq!(failure.address, server.address);
    assert!(reported.try_recv().is_err(), "reported twice");
    drop(other);
    wait_for(server.address);
    assert_eq!(get(server.address, "/"), answer("200 OK", "/ \n"));
    stop.send_replace(true);
    let ended = runtime.block_on(running).expect("it ends");
    ended.expect("no error");
}

#[test]
fn a_taken_address_does_not_delay_a_stop() {
    let (runtime, _other, mut server) = taken(false);
    server.retry = Duration::from_secs(3600);
    let (stop, stopped) = watch::channel(false);
    let running = runtime.spawn(server.run(echo(), pool(256), stopped, mpsc::channel(1).0));
    stop.send_replace(true);
    let ended = runtime.block_on(running).expect("it ends");
    ended.expect("no error");
}

#[test]
fn a_taken_address_is_fatal_with_hard_fail() {
    let (runtime, _other, server) = taken(true);
    let (_stop, stopped) = watch::channel(false);
    let ended = runtime.block_on(server.run(echo(), pool(256), stopped, mpsc::channel(1).0));
    let error: BindError = ended.expect_err("it is taken");
    assert_eq!(
        model::chain(&error).to_string(),
        format!(
            "failed to start the test server at {}: Address already in use (os error 98)",
            server.address
        )
    );
}
