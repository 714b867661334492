//! A scripted server, for answers that no correct API server sends.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::super::Connection;

/// Answer of the script to a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status and a JSON body.
    Body(u16, String),
    /// Lines of a watch, which then ends.
    Watch(Vec<String>),
    /// Lines of a watch, which then stays open and silent.
    Open(Vec<String>),
    /// No answer.
    Nothing,
}

pub(super) struct Server {
    pub(super) connection: Connection,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server. The arguments of `script` are the path with its query, and the number of
    /// earlier requests with the same path and query.
    pub(super) async fn start(
        script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        let url = format!("http://{address}").parse().expect("a URL");
        Self {
            connection: Connection::without_credentials(url).expect("a client"),
            asked,
        }
    }

    /// Returns the requested paths with queries that contain `word`, in order.
    pub(super) fn asked(&self, word: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        (asked.iter())
            .filter(|path| path.contains(word))
            .cloned()
            .collect()
    }
}

async fn serve(
    stream: TcpStream,
    script: Arc<impl Fn(&str, usize) -> Reply>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut path = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
        }
        let kind = path.split("timeoutSeconds").next().unwrap_or_default();
        let before = {
            let mut asked = log.lock().expect("no panic");
            asked.push(path.clone());
            (asked.iter()).filter(|path| path.starts_with(kind)).count() - 1
        };
        let (text, hold) = match script(&path, before) {
            Reply::Body(status, body) => (
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                ),
                false,
            ),
            Reply::Watch(lines) => (chunked(&lines) + "0\r\n\r\n", false),
            Reply::Open(lines) => (chunked(&lines), true),
            Reply::Nothing => (String::new(), true),
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if hold {
            std::future::pending::<()>().await;
        }
    }
}

fn chunked(lines: &[String]) -> String {
    let mut text =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_owned();
    for line in lines {
        text.push_str(&format!("{:x}\r\n{line}\n\r\n", line.len() + 1));
    }
    text
}
