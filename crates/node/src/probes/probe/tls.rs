//! The handshake of TLS.

use std::io;
use std::sync::Arc;

use model::names::Name;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error};

use super::Outcome;

/// Makes a handshake over `stream` with the server `name`.
pub(super) async fn connect<S>(
    stream: S,
    name: ServerName<'static>,
    client: Arc<ClientConfig>,
) -> Result<TlsStream<S>, Outcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsConnector::from(client).connect(name, stream).await;
    handshake.map_err(|error| failure(&error))
}

fn failure(error: &io::Error) -> Outcome {
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref());
    match of_tls {
        None => Outcome::of_io("tls", error),
        Some(error) => Outcome::Failure(describe(error)),
    }
}

/// Describes an error without anything of the peer's certificate, which may hold any text.
fn describe(error: &Error) -> Name {
    let Error::InvalidCertificate(problem) = error else {
        return format!("tls: {error}").into();
    };
    let problem = match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet"
        }
        CertificateError::UnknownIssuer => "is not signed by the authority",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name"
        }
        CertificateError::BadSignature => "has a bad signature",
        _ => "is invalid",
    };
    format!("tls: the certificate {problem}").into()
}
