//! Two programs that keep one table undo each other's work.

use std::net::SocketAddr;

use sources::proxy::{self, Identity};
use tracing::warn;

use super::Fatal;

/// Refuses to start beside kube-proxy or another kube-ipvsd of this node: what answers at the metrics
/// address is one. Another process there does not hold up the start: the address is then tried again later, as any
/// address that is taken.
pub(super) fn refuse_second(metrics: Option<SocketAddr>) -> Result<(), Fatal> {
    let address = metrics.map_or(proxy::METRICS, proxy::reachable);
    match proxy::identify(address) {
        Identity::Absent => Ok(()),
        Identity::Other(problem) => {
            warn!("no service proxy is known to run on this node, but {address} is in use: {problem}");
            Ok(())
        }
        Identity::Proxy(running) => Err(format!(
            "{running} runs on this node and answers at {address}: two that write the same tables undo \
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

    /// Starts beside a process that gives `answer` to every question.
    fn beside(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                // The whole head: what is unread when the connection is closed resets it.
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
                "kube-proxy (mode iptables) runs on this node and answers at ADDRESS: two that write the same tables undo \
                 each other's work. Stop it first, or start with --force"
                    .to_owned()
            )
        );
    }

    #[test]
    fn another_process_does_not_hold_up_the_start() {
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
