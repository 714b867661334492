//! Detects a second proxy at the start: two programs that write the same tables undo each other's
//! work.

use std::net::SocketAddr;

use sources::proxy::{self, Identity};
use tracing::warn;

use super::Fatal;

/// Fails if kube-proxy or another kube-ipvsd runs on this node, that is, answers at the metrics
/// address. Any other process at that address does not delay the start: the metrics server tries to
/// bind the address again later.
pub(super) fn refuse_second(metrics: Option<SocketAddr>) -> Result<(), Fatal> {
    let address = metrics.map_or(proxy::METRICS, proxy::reachable);
    match proxy::identify(address) {
        Identity::Absent => Ok(()),
        Identity::Other(problem) => {
            warn!(
                "{address} is in use by a program that does not answer like kube-proxy: {problem}; starting anyway"
            );
            Ok(())
        }
        Identity::Proxy(running) => Err(format!(
            "{running} runs on this node and answers at {address}: two programs that write the same tables undo \
             each other's work. Stop it first, or start with --force"
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::spawn;

    use super::*;

    /// Checks for a second proxy beside a process that sends `answer` to every request.
    fn beside(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                // Read the whole head: closing a connection with unread bytes resets it.
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        refuse_second(Some(address))
            .map_err(|error| error.to_string().replace(&address.to_string(), "ADDRESS"))
    }

    #[test]
    fn a_proxy_is_refused() {
        assert_eq!(
            beside("HTTP/1.0 200 OK\r\n\r\niptables"),
            Err(
                "kube-proxy (mode iptables) runs on this node and answers at ADDRESS: two programs that write the same tables undo \
                 each other's work. Stop it first, or start with --force"
                    .to_owned()
            )
        );
    }

    #[test]
    fn another_process_does_not_prevent_the_start() {
        for answer in [
            "HTTP/1.0 200 OK\r\n\r\nhello",
            "HTTP/1.0 404 Not Found\r\n\r\niptables",
            "hello",
            "",
        ] {
            assert_eq!(beside(answer), Ok(()), "{answer:?}");
        }
    }
}
