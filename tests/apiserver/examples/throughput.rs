//! Speed of the server: 45,000 Services, 50 watches, 1,000 changes a second for five seconds.
//!
//! `cargo run -p apiserver --release --example throughput`

use apiserver::{Server, ServerConfig};
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SERVICES: usize = 45_000;
const WATCHES: usize = 50;
const CHANGES: usize = 5_000;

fn service(at: usize, port: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{at}"), "labels": {"app": "x"}},
        "spec": {"selector": {"app": "x"}, "ports": [{"port": port, "targetPort": 8080}]},
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::start(ServerConfig::default()).await?;
    let start = Instant::now();
    for at in 0..SERVICES {
        server.create(service(at, 80))?;
    }
    println!("created {SERVICES} Services in {:?}", start.elapsed());

    let start = Instant::now();
    let bytes = read_list(&server).await?;
    println!("listed {bytes} bytes in {:?}", start.elapsed());

    let seen = Arc::new(AtomicUsize::new(0));
    let revision = server.revision();
    for _ in 0..WATCHES {
        let mut stream = connect(
            &server,
            &format!("/api/v1/services?watch=1&resourceVersion={revision}"),
        )
        .await?;
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                // Each event is a line of its own and JSON has no other newlines; headers end in CR LF.
                let lines = buffer[..read].windows(2).filter(|w| *w == b"}\n").count();
                seen.fetch_add(lines, Ordering::Relaxed);
            }
        });
    }
    while server.open_watches() < WATCHES {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let start = Instant::now();
    for at in 0..CHANGES {
        server.update(service(at, 81))?;
        if let Some(early) = Duration::from_millis(at as u64).checked_sub(start.elapsed()) {
            tokio::time::sleep(early).await;
        }
    }
    println!("made {CHANGES} changes in {:?}", start.elapsed());
    let start = Instant::now();
    // A line cut between two reads is not counted, so a few may be missing.
    while seen.load(Ordering::Relaxed) < CHANGES * WATCHES * 99 / 100
        && start.elapsed() < Duration::from_secs(20)
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "{} events seen, the last {:?} after the last change",
        seen.load(Ordering::Relaxed),
        start.elapsed()
    );
    Ok(())
}

async fn connect(server: &Server, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.addr()).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
        .await?;
    Ok(stream)
}

async fn read_list(server: &Server) -> std::io::Result<usize> {
    let mut stream = connect(server, "/api/v1/services").await?;
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let read = stream.read(&mut buffer).await?;
        total += read;
        if read == 0 || buffer[..read].ends_with(b"]}") {
            return Ok(total);
        }
    }
}
