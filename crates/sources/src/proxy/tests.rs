use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use support::pages::serve;

use super::{
    Identity, Limits, Running, answers_health, get, identify, identify_within, reachable, running,
};

/// A time that no test reaches.
const LONG: Duration = Duration::from_secs(3600);

/// Starts a hostile server that passes each client to `answer`.
fn hostile(answer: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("a client"));
        }
    });
    address
}

fn problem(identity: Identity) -> String {
    match identity {
        Identity::Other(problem) => problem.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proxy_is_identified_by_its_pages() {
    let status = ("/statusz?format=json", "{\"nodeName\":\"node1\"}");
    let kube_proxy = |mode: &str| Running::KubeProxy(mode.to_owned());
    for mode in super::MODES {
        let address = serve(&[("/proxyMode", mode)]);
        assert_eq!(running(address), Some(kube_proxy(mode)));
    }
    let address = serve(&[("/proxyMode", "iptables\n")]);
    assert_eq!(running(address), Some(kube_proxy("iptables")));
    let address = serve(&[("/proxyMode", "ipvs"), status]);
    assert_eq!(running(address), Some(Running::KubeIpvs));
    for body in ["", "ok", "<html>iptables</html>", "ipvs2", "unknown"] {
        let address = serve(&[("/proxyMode", body), status]);
        assert_eq!(
            problem(identify(address)),
            "the answer at /proxyMode is not a mode of kube-proxy",
            "{body}"
        );
        assert_eq!(running(address), None, "{body}");
    }
}

#[test]
fn a_port_without_a_listener_is_absent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    assert_eq!(running(address), None);
    assert!(matches!(identify(address), Identity::Absent));
}

#[test]
fn a_missing_page_is_an_error() {
    let address = serve(&[]);
    let error = get(address, "/drains")
        .expect_err("no such page")
        .to_string();
    assert_eq!(error, "/drains was answered by status 404");
}

#[test]
fn a_process_that_never_finishes_its_answer_is_not_a_proxy() {
    // The kernel accepts the connection, but no process reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("its address");
    // Each byte arrives within the timeout of one read.
    let dripping = hostile(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            sleep(Duration::from_millis(20));
        }
    });
    let endless = hostile(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let (short, no_limit) = (Duration::from_millis(200), usize::MAX);
    let late = "the answer takes too long";
    let long = "the answer is longer than 100000 bytes";
    for (name, address, time, bytes, expected) in [
        ("silent", silent_address, short, no_limit, late),
        ("dripping", dripping, short, no_limit, late),
        ("endless", endless, LONG, 100_000, long),
    ] {
        let identity = identify_within(address, Limits { time, bytes });
        assert_eq!(problem(identity), expected, "{name}");
    }
}

#[test]
fn an_answer_that_is_not_http_is_not_a_proxy() {
    let address = hostile(|mut stream| {
        let mut line = String::new();
        let _ = BufReader::new(&stream).read_line(&mut line);
        let _ = stream.write_all(b"SMTP 200 hello\r\n\r\niptables");
    });
    let problem = problem(identify(address));
    // Closing a connection with unread bytes of the request resets it.
    assert!(
        problem == "the answer is not HTTP" || problem.contains("reset"),
        "{problem}"
    );
}

#[test]
fn a_health_server_is_identified_by_its_page() {
    let page = r#"{"lastUpdated": "2026-01-02 03:04:05 +0000 UTC","currentTime": "2026-01-02 03:04:06 +0000 UTC", "nodeEligible": true}"#;
    assert!(answers_health(serve(&[("/healthz", page)])));
    for other in ["ok", "{}", "[1]", "{\"lastUpdated\": 3}"] {
        assert!(!answers_health(serve(&[("/healthz", other)])), "{other}");
    }
    assert!(!answers_health(hostile(drop)));
}

#[test]
fn a_listener_at_every_address_is_reached_at_loopback() {
    for (address, expected) in [
        ("0.0.0.0:10256", "127.0.0.1:10256"),
        ("[::]:10256", "[::1]:10256"),
        ("192.0.2.1:10249", "192.0.2.1:10249"),
    ] {
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(reachable(address).to_string(), expected);
    }
}
