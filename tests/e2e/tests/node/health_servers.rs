//! Servers that health checks probe, in the namespace of a pod.

use std::future::Future;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Context as _, Outcome, Pod};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::service::FAMILIES;

/// Port of the servers.
pub(crate) const PORT: u16 = 9090;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const ERROR: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// Servers of both families. They end when dropped.
pub(crate) struct Servers {
    _runtime: Runtime,
}

/// Behaviour of an HTTP server.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// Answers with status 500.
    pub(crate) fails: Arc<AtomicBool>,
    /// Accepts no connection: the kernel does, and nothing answers.
    pub(crate) hangs: Arc<AtomicBool>,
}

/// Returns the addresses of the servers of `pod`.
pub(crate) fn places(pod: &Pod) -> Vec<SocketAddr> {
    let places = FAMILIES.map(|family| SocketAddr::new(family.of(pod), PORT));
    places.to_vec()
}

impl Servers {
    fn start<S, F>(pod: &Pod, open: fn(SocketAddr) -> std::io::Result<S>, serve: F) -> Outcome<Self>
    where
        S: Send,
        F: Fn(S) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    {
        let places = places(pod);
        let action = || format!("serving at {places:?}");
        let open = || places.iter().map(|place| open(*place)).collect();
        let sockets: std::io::Result<Vec<S>> = pod.namespace.run(open);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context(action)?;
        for socket in sockets.context(action)? {
            runtime.spawn(serve(socket));
        }
        Ok(Self { _runtime: runtime })
    }

    /// Starts HTTP servers.
    pub(crate) fn http(pod: &Pod, behaviour: &Behaviour) -> Outcome<Self> {
        Self::start(pod, listen, |listener| {
            Box::pin(serve_http(listener, behaviour.clone()))
        })
    }

    /// Starts HTTPS servers with a certificate of `authority` for `name`.
    pub(crate) fn https(pod: &Pod, authority: &Authority, name: &str) -> Outcome<Self> {
        let acceptor = authority.acceptor(name);
        Self::start(pod, listen, |listener| {
            Box::pin(serve_https(listener, acceptor.clone()))
        })
    }

    /// Starts gRPC servers whose health has this serving status.
    pub(crate) fn grpc(pod: &Pod, status: u8) -> Outcome<Self> {
        Self::start(pod, listen, |listener| {
            Box::pin(serve_grpc(listener, status))
        })
    }

    /// Starts UDP servers that answer `PING` and a zero with `PONG`.
    pub(crate) fn udp(pod: &Pod) -> Outcome<Self> {
        Self::start(pod, bind, |socket| Box::pin(serve_udp(socket)))
    }
}

async fn serve_http(listener: TcpListener, behaviour: Behaviour) {
    let listener = net::TcpListener::from_std(listener).expect("a listener");
    loop {
        if behaviour.hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        // So that a change of the behaviour takes effect without a connection.
        let next = tokio::time::timeout(Duration::from_millis(20), listener.accept());
        let Ok(Ok((stream, _))) = next.await else {
            continue;
        };
        let answer = match behaviour.fails.load(Ordering::Relaxed) {
            true => ERROR,
            false => OK,
        };
        tokio::spawn(answer_once(stream, answer));
    }
}

async fn serve_https(listener: TcpListener, acceptor: TlsAcceptor) {
    let listener = net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // The client may refuse the certificate.
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_once(stream, OK).await;
            }
        });
    }
}

async fn serve_grpc(listener: TcpListener, status: u8) {
    let listener = net::TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(answer_calls(stream, status));
    }
}

async fn serve_udp(socket: UdpSocket) {
    let socket = net::UdpSocket::from_std(socket).expect("a socket");
    let mut datagram = [0; 64];
    loop {
        let received = socket.recv_from(&mut datagram).await;
        if let Ok((length, from)) = received
            && &datagram[..length] == b"PING\0"
        {
            // A datagram that cannot be sent counts as lost.
            let _ = socket.send_to(b"PONG 1", from).await;
        }
    }
}

fn bind(place: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(place)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn listen(place: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(place)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Reads a request and sends `answer`. The client may have reset the connection.
async fn answer_once<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) {
    let _ = stream.read(&mut [0; 1024]).await;
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

/// Answers calls with a `HealthCheckResponse` of `status`, until the client resets the connection.
async fn answer_calls(stream: net::TcpStream, status: u8) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let answer = http::Response::builder().header("content-type", "application/grpc");
        let answer = answer.body(()).expect("an answer");
        let Ok(mut body) = respond.send_response(answer, false) else {
            continue;
        };
        let _ = body.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let _ = body.send_trailers(trailers);
    }
}

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Returns the authority's certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of ring")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate with its key");
        TlsAcceptor::from(Arc::new(config))
    }
}
