//! Endpoints that answer anything: no probe takes longer than its timeout, or reads without end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::Outcome;
use super::{failure, listener, probe, target};

/// Kinds of probes that read from a connection.
const KINDS: [&str; 3] = ["http", "https", "grpc"];

/// Frame of HTTP/2 with the type 0x20, which has no meaning, on stream 0 (RFC 9113, section 4.1).
const UNKNOWN_FRAME: &[u8] = &[0, 0, 4, 0x20, 0, 0, 0, 0, 0, 1, 2, 3, 4];

/// Settings of HTTP/2, the first frame of a server.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Sends `first`, and then `again` without end.
async fn flood(first: &'static [u8], again: &'static [u8]) -> SocketAddr {
    let (listener, place) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sent = stream.write_all(first).await;
                while sent.is_ok() && !again.is_empty() {
                    sent = stream.write_all(again).await;
                }
                // Until the peer resets the connection.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    place
}

async fn fails(place: SocketAddr, kind: &str) -> Outcome {
    let check = format!("type={kind}, interval=30s, timeout=20s");
    let outcome = probe(&target(place, &check)).await;
    assert!(
        matches!(outcome, Outcome::Failure(_)),
        "{kind}: {outcome:?}"
    );
    outcome
}

#[tokio::test]
async fn answers_without_end_are_cut() {
    let too_long = |kind: &str| failure(&format!("{kind}: answered with more than 64 KiB"));
    // Each informational answer is complete, so that no limit of the head counts them.
    let place = flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n").await;
    assert_eq!(fails(place, "http").await, too_long("http"));
    let place = flood(SETTINGS, UNKNOWN_FRAME).await;
    assert_eq!(fails(place, "grpc").await, too_long("grpc"));
    let settings = flood(SETTINGS, SETTINGS).await;
    let check = target(settings, "type=grpc, interval=30s, timeout=200ms");
    let outcome = probe(&check).await;
    assert!(matches!(outcome, Outcome::Failure(_)), "{outcome:?}");
}

#[tokio::test]
async fn garbage_is_a_failure() {
    for kind in KINDS {
        for (first, again) in [
            (&b"\0\0\0\0\0\0\0\0\0\0"[..], &b"\xff"[..]),
            (b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n"),
            // A record of TLS that announces more than a record may hold.
            (b"\x16\x03\x03\xff\xff", b"\x01"),
            // A fatal alert: handshake failure.
            (
                b"\x15\x03\x03\x00\x02\x02\x28",
                b"\x15\x03\x03\x00\x02\x02\x28",
            ),
            // HTTP/2: a frame that announces more than the client's limit.
            (b"\xff\xff\xff\x04\0\0\0\0\0", b"\0"),
        ] {
            let place = flood(first, again).await;
            fails(place, kind).await;
        }
    }
    let alert = flood(b"\x15\x03\x03\x00\x02\x02\x28", b"").await;
    assert_eq!(
        fails(alert, "https").await,
        failure("tls: received fatal alert: HandshakeFailure")
    );
}

/// The text that an endpoint adds to an error is in no message.
#[tokio::test]
async fn errors_show_nothing_of_the_answer() {
    // HTTP/2: the connection ends with the error ENHANCE_YOUR_CALM and a text.
    let goodbye = b"\0\0\0\x04\0\0\0\0\0\0\0\x0e\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0bsecret";
    let place = flood(goodbye, b"").await;
    let outcome = fails(place, "grpc").await;
    assert!(!format!("{outcome:?}").contains("secret"), "{outcome:?}");
    let place = flood(b"HTTP/1.1 secret\r\nsecret: secret\r\n\r\n", b"").await;
    let outcome = fails(place, "http").await;
    assert!(!format!("{outcome:?}").contains("secret"), "{outcome:?}");
}

#[tokio::test]
async fn silence_fails_at_the_timeout() {
    let (_listener, place) = listener().await;
    for kind in KINDS {
        let check = format!("type={kind}, interval=1s, timeout=50ms");
        let outcome = probe(&target(place, &check)).await;
        assert_eq!(outcome, failure("no answer within 50ms"), "{kind}");
    }
}
