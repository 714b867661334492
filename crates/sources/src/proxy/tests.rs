use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

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

/// Starts a server that answers the paths in `pages`.
fn serve(pages: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut line = String::new();
            BufReader::new(&stream)
                .read_line(&mut line)
                .expect("a request");
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let page = pages.iter().find(|(known, _)| *known == path);
            let answer = match page {
                Some((_, body)) => format!("HTTP/1.0 200 OK\r\n\r\n{body}"),
                None => "HTTP/1.0 404 Not Found\r\n\r\nno".to_owned(),
            };
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    address
}

#[test]
fn kube_proxy_is_identified_by_its_mode() {
    let address = serve(&[("/proxyMode", "iptables\n")]);
    assert_eq!(
        running(address),
        Some(Running::KubeProxy("iptables".to_owned()))
    );
}

#[test]
fn kube_ipvsd_is_identified_by_its_status() {
    let address = serve(&[
        ("/proxyMode", "ipvs"),
        ("/statusz?format=json", "{\"nodeName\":\"node1\"}"),
    ]);
    assert_eq!(running(address), Some(Running::KubeIpvs));
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

/// Each byte arrives within the timeout of one read, and the answer never ends.
#[test]
fn a_dripping_answer_has_a_deadline() {
    let address = hostile(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            sleep(Duration::from_millis(20));
        }
    });
    let limits = Limits {
        time: Duration::from_millis(200),
        bytes: usize::MAX,
    };
    let identity = identify_within(address, limits);
    assert_eq!(problem(identity), "the answer takes too long");
}

#[test]
fn a_silent_process_has_a_deadline() {
    // The kernel accepts the connection, but no process reads from it.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let limits = Limits {
        time: Duration::from_millis(100),
        bytes: usize::MAX,
    };
    let identity = identify_within(listener.local_addr().expect("its address"), limits);
    assert_eq!(problem(identity), "the answer takes too long");
}

#[test]
fn an_answer_without_an_end_has_a_limit() {
    let address = hostile(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    let limits = Limits {
        time: LONG,
        bytes: 100_000,
    };
    let identity = identify_within(address, limits);
    assert_eq!(problem(identity), "the answer is longer than 100000 bytes");
}

#[test]
fn another_program_is_not_a_proxy() {
    for body in ["", "ok", "<html>iptables</html>", "ipvs2", "unknown"] {
        let pages: &'static [(&str, &str)] = Box::leak(Box::new([
            ("/proxyMode", body),
            ("/statusz?format=json", "{\"nodeName\":\"node1\"}"),
        ]));
        let address = serve(pages);
        assert_eq!(
            problem(identify(address)),
            "the answer at /proxyMode is not a mode of kube-proxy"
        );
        assert_eq!(running(address), None);
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
fn every_mode_identifies_kube_proxy() {
    for mode in super::MODES {
        let pages: &'static [(&str, &str)] = Box::leak(Box::new([("/proxyMode", mode)]));
        let expected = Running::KubeProxy(mode.to_owned());
        assert_eq!(running(serve(pages)), Some(expected));
    }
}

#[test]
fn a_health_server_is_identified_by_its_page() {
    let page = r#"{"lastUpdated": "2026-01-02 03:04:05 +0000 UTC","currentTime": "2026-01-02 03:04:06 +0000 UTC", "nodeEligible": true}"#;
    assert!(answers_health(serve(Box::leak(Box::new([(
        "/healthz", page
    )])))));
    for other in ["ok", "{}", "[1]", "{\"lastUpdated\": 3}"] {
        let pages = Box::leak(Box::new([("/healthz", other)]));
        assert!(!answers_health(serve(pages)), "{other}");
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
