//! An HTTP server with fixed pages.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

/// Serves pages, each a path with its query and a body, at a free port of 127.0.0.1 until the test
/// program ends. Other paths get status 404.
///
/// # Panics
///
/// Panics if no port is free.
#[must_use]
pub fn serve(pages: &[(&str, &str)]) -> SocketAddr {
    let pages: BTreeMap<String, String> = (pages.iter())
        .map(|(path, body)| ((*path).to_owned(), (*body).to_owned()))
        .collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let request = head.first().map_or("", String::as_str);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let answer = match pages.get(path) {
                Some(body) => format!("HTTP/1.0 200 OK\r\n\r\n{body}"),
                None => "HTTP/1.0 404 Not Found\r\n\r\nno".to_owned(),
            };
            // The client may have closed its connection.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
