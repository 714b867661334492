//! Probes of the kinds `https`, `grpc` and `udp` with real servers on the loopback device.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use h2::server;
use hyper::body::Bytes;
use hyper::{HeaderMap, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::super::{Authorities, Outcome};
use super::{closed, failure, listener, probe, target};

/// An authority, and the file of its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let mut file = NamedTempFile::new().expect("a file");
        (file.write_all(issuer.pem().as_bytes())).expect("a written file");
        Self { issuer, file }
    }

    /// Returns the authority under the name `shop`.
    fn named(&self) -> Authorities {
        let files = [("shop".into(), self.file.path().to_owned())].into();
        let (authorities, problems) = Authorities::default().read(&files);
        assert_eq!(problems, [""; 0]);
        authorities
    }

    /// Starts a server whose certificate is for `name`, and changed by `change`. It answers each
    /// request with `answer`, and sends the server names of the handshakes.
    async fn serve(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        answer: &'static str,
    ) -> (SocketAddr, mpsc::Receiver<Option<String>>) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, place) = listener().await;
        let (names, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                let _ = names.try_send(name);
                let mut request = [0; 1024];
                // The peer may have reset the connection.
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        (place, receiver)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn an_https_probe_verifies_by_the_named_authority() {
    let authority = Authority::new("shop");
    let authorities = authority.named();
    let (place, mut names) = authority.serve("web.example", |_| {}, OK).await;
    let https = |keys: &str| target(place, &format!("type=https, timeout=5s{keys}"));
    let check = async |keys: &str, authorities: &Authorities| {
        super::super::probe(&https(keys), authorities).await
    };
    let verified = ", verify=shop, host=web.example:8443";
    assert_eq!(check(verified, &authorities).await, Outcome::Success);
    assert_eq!(names.recv().await, Some(Some("web.example".to_owned())));
    // Without verification the name is sent too, and an address is not.
    let none = Authorities::default();
    assert_eq!(check(", host=other.example", &none).await, Outcome::Success);
    assert_eq!(names.recv().await, Some(Some("other.example".to_owned())));
    assert_eq!(check("", &none).await, Outcome::Success);
    assert_eq!(names.recv().await, Some(None));

    let other_name = failure("tls: the certificate is for another name");
    let other = ", verify=shop, host=other.example";
    assert_eq!(check(other, &authorities).await, other_name);
    assert_eq!(check(", verify=shop", &authorities).await, other_name);
    let unsigned = failure("tls: the certificate is not signed by the authority");
    let stranger = Authority::new("stranger").named();
    assert_eq!(check(verified, &stranger).await, unsigned);
    let missing = Outcome::Local("tls: authority shop was not read".into());
    assert_eq!(check(verified, &none).await, missing);
    let status = failure("http: status 200");
    assert_eq!(check(", status=204", &none).await, status);
}

#[tokio::test]
async fn an_https_probe_verifies_addresses_and_times() {
    let authority = Authority::new("shop");
    let authorities = authority.named();
    let check = async |place, verify: &str| {
        let check = format!("type=https, timeout=5s, verify={verify}");
        super::super::probe(&target(place, &check), &authorities).await
    };
    let (place, _names) = authority.serve("127.0.0.1", |_| {}, OK).await;
    assert_eq!(check(place, "shop").await, Outcome::Success);
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2001, 1, 1);
    let (place, _names) = authority.serve("127.0.0.1", expired, OK).await;
    let problem = failure("tls: the certificate has expired");
    assert_eq!(check(place, "shop").await, problem);
    assert_eq!(check(place, "none").await, Outcome::Success);
    let future = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    };
    let (place, _names) = authority.serve("127.0.0.1", future, OK).await;
    let problem = failure("tls: the certificate is not valid yet");
    assert_eq!(check(place, "shop").await, problem);
}

/// Answer of a gRPC server: status of HTTP, headers, message with its head, trailers.
type GrpcAnswer = (
    u16,
    &'static [(&'static str, &'static str)],
    &'static [u8],
    Option<&'static str>,
);

/// Starts a gRPC server, and returns its requests: paths with messages.
async fn grpc_server(answer: GrpcAnswer) -> (SocketAddr, mpsc::Receiver<(String, Bytes)>) {
    let (listener, place) = listener().await;
    let (requests, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let requests = requests.clone();
            tokio::spawn(async move {
                let mut connection = server::handshake(stream).await.expect("a handshake");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(respond_with(answer, request, respond, requests.clone()));
                }
            });
        }
    });
    (place, receiver)
}

async fn respond_with(
    (status, headers, message, trailer): GrpcAnswer,
    request: hyper::Request<h2::RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    requests: mpsc::Sender<(String, Bytes)>,
) {
    let path = request.uri().path().to_owned();
    let body = request.into_body().data().await;
    let body = body.expect("a body").expect("a message");
    let _ = requests.try_send((path, body));
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let answer = answer.body(()).expect("an answer");
    let ends = message.is_empty() && trailer.is_none();
    let mut body = respond.send_response(answer, ends).expect("sent");
    if ends {
        return;
    }
    body.send_data(Bytes::from_static(message), trailer.is_none())
        .expect("sent");
    if let Some(status) = trailer {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().expect("a value"));
        body.send_trailers(trailers).expect("sent");
    }
}

const GRPC: &str = "type=grpc, service=shop.v1.Cart, timeout=5s, interval=5s";

async fn grpc(answer: GrpcAnswer) -> Outcome {
    let (place, _requests) = grpc_server(answer).await;
    probe(&target(place, GRPC)).await
}

#[tokio::test]
async fn a_grpc_probe_asks_for_the_health_of_a_service() {
    let serving = (200, &[][..], &[0, 0, 0, 0, 2, 8, 1][..], Some("0"));
    let (place, mut requests) = grpc_server(serving).await;
    for (check, request) in [
        (GRPC, &b"\x00\x00\x00\x00\x0e\x0a\x0cshop.v1.Cart"[..]),
        ("type=grpc, timeout=5s", b"\x00\x00\x00\x00\x00"),
    ] {
        assert_eq!(probe(&target(place, check)).await, Outcome::Success);
        let (path, message) = requests.recv().await.expect("a request");
        assert_eq!(path, "/grpc.health.v1.Health/Check");
        assert_eq!(message, request);
    }
}

#[tokio::test]
async fn every_other_answer_of_a_grpc_server_is_a_failure() {
    let message = |message: &'static [u8], status| (200, &[][..], message, Some(status));
    for (answer, problem) in [
        (message(&[0, 0, 0, 0, 2, 8, 2], "0"), "grpc: NOT_SERVING"),
        (
            message(&[0, 0, 0, 0, 2, 8, 3], "0"),
            "grpc: SERVICE_UNKNOWN",
        ),
        (
            message(&[0, 0, 0, 0, 2, 8, 9], "0"),
            "grpc: serving status 9",
        ),
        // The default of a field is not sent.
        (message(&[0, 0, 0, 0, 0], "0"), "grpc: UNKNOWN"),
        (message(&[0, 0, 0, 0, 2, 8, 1], "14"), "grpc: UNAVAILABLE"),
        (message(&[0, 0, 0, 0, 2, 8, 1], "99"), "grpc: status 99"),
        (
            message(&[0, 0, 0, 0, 2, 8, 1], "no"),
            "grpc: invalid grpc-status",
        ),
        (
            message(&[1, 0, 0, 0, 2, 8, 1], "0"),
            "grpc: invalid message",
        ),
        (
            message(&[0, 0, 0, 0, 9, 8, 1], "0"),
            "grpc: invalid message",
        ),
        (
            message(&[0, 0, 0, 0, 2, 0xff, 0xff], "0"),
            "grpc: invalid message",
        ),
        (
            message(&[0; 2000], "0"),
            "grpc: a message of more than 1024 bytes",
        ),
        ((200, &[("grpc-status", "5")], &[], None), "grpc: NOT_FOUND"),
        ((200, &[], &[], None), "grpc: no grpc-status"),
        (
            (200, &[], &[0, 0, 0, 0, 2, 8, 1], None),
            "grpc: no grpc-status",
        ),
        ((503, &[], &[], None), "grpc: HTTP status 503"),
    ] {
        assert_eq!(grpc(answer).await, failure(problem));
    }
}

/// Answers each datagram with `answer`, and returns the datagrams.
async fn udp_server(answer: Option<&'static [u8]>) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let place = socket.local_addr().expect("an address");
    let (datagrams, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut datagram = [0; 256];
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            let _ = datagrams.try_send(datagram[..length].to_vec());
            if let Some(answer) = answer {
                let _ = socket.send_to(answer, from).await;
            }
        }
    });
    (place, receiver)
}

#[tokio::test]
async fn a_udp_probe_compares_the_answer() {
    let (place, mut datagrams) = udp_server(Some(b"PONG 1,2")).await;
    let check = "type=udp, timeout=5s, send=PING\\r\\n\\x00";
    for (expect, outcome) in [
        ("", Outcome::Success),
        (", expect=PONG", Outcome::Success),
        (", expect=PONG 1\\x2c2", Outcome::Success),
        (", expect=PONG 1\\x2c2 ", Outcome::Success),
        (
            ", expect=PONG 1\\x2c2\\x20",
            failure("udp: unexpected answer"),
        ),
        (", expect=ONG", failure("udp: unexpected answer")),
    ] {
        let check = format!("{check}{expect}");
        assert_eq!(probe(&target(place, &check)).await, outcome, "{expect}");
        let datagram = datagrams.recv().await.expect("a datagram");
        assert_eq!(datagram, b"PING\r\n\x00");
    }
    let (place, mut datagrams) = udp_server(Some(b"")).await;
    let any = target(place, "type=udp, timeout=5s");
    assert_eq!(probe(&any).await, Outcome::Success);
    assert_eq!(datagrams.recv().await, Some(Vec::new()));
}

#[tokio::test]
async fn a_udp_probe_without_an_answer_fails() {
    let check = "type=udp, interval=1s, timeout=50ms";
    let (place, _datagrams) = udp_server(None).await;
    let silent = failure("no answer within 50ms");
    assert_eq!(probe(&target(place, check)).await, silent);
    let check = "type=udp, timeout=5s";
    let refused = failure("udp: connection refused");
    assert_eq!(probe(&target(closed().await, check)).await, refused);
}
