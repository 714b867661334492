use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::{Running, get, running};

/// Answers each path that is in `pages` until nobody asks any more.
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
fn kube_proxy_says_its_mode() {
    let address = serve(&[("/proxyMode", "iptables\n")]);
    assert_eq!(
        running(address),
        Some(Running::KubeProxy("iptables".to_owned()))
    );
}

#[test]
fn kube_ipvsd_has_a_status_of_its_own() {
    let address = serve(&[
        ("/proxyMode", "ipvs"),
        ("/statusz?format=json", "{\"nodeName\":\"node1\"}"),
    ]);
    assert_eq!(running(address), Some(Running::KubeIpvs));
}

#[test]
fn where_nobody_answers_nothing_runs() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    assert_eq!(running(address), None);
}

#[test]
fn a_page_that_is_not_there_is_an_error() {
    let address = serve(&[]);
    let error = get(address, "/drains")
        .expect_err("no such page")
        .to_string();
    assert_eq!(error, "/drains was answered by status 404");
}
