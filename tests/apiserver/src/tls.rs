//! A certificate authority and a server certificate, created at the start.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

/// TLS settings of the server.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    ca_pem: Arc<str>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A certificate authority and a server certificate of it, as PEM.
pub(crate) struct Certificates {
    pub(crate) ca_pem: String,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) public_key_pem: String,
    cert_der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Certificates {
    /// Creates certificates for an address and for `localhost`.
    pub(crate) fn new(address: IpAddr) -> io::Result<Self> {
        let failed = |e: rcgen::Error| io::Error::other(format!("making a certificate: {e}"));
        let mut ca = CertificateParams::default();
        ca.distinguished_name = named("kube-ipvs test CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().map_err(failed)?)
            .map_err(failed)?;

        let names = vec!["localhost".to_owned(), "kubernetes.default.svc".to_owned()];
        let mut leaf = CertificateParams::new(names).map_err(failed)?;
        leaf.distinguished_name = named("kube-ipvs test API server");
        leaf.subject_alt_names.push(SanType::IpAddress(address));
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let leaf = leaf.signed_by(&key, &ca).map_err(failed)?;
        Ok(Self {
            ca_pem: ca.pem(),
            cert_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            public_key_pem: key.public_key_pem(),
            cert_der: leaf.der().clone(),
            key_der: key.serialize_der(),
        })
    }
}

impl Tls {
    /// Creates the settings with new certificates for an address.
    pub(crate) fn new(address: IpAddr) -> io::Result<Self> {
        let certificates = Certificates::new(address)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificates.key_der));
        let chain = vec![certificates.cert_der];
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem: certificates.ca_pem.into(),
        })
    }

    /// Returns the authority's certificate, which clients must trust.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut out = DistinguishedName::new();
    out.push(DnType::CommonName, name);
    out
}
