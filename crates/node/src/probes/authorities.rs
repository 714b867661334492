//! Certificate authorities by which `https` probes verify servers.
//!
//! A Service names an authority, and the administrator gives the name a file. A file that cannot be
//! used leaves what was read before; without that, its probes say nothing about their endpoints.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::names::Name;
use model::policy::Verify;
use sources::config::Resolved;
use sources::watch_files::Changes;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Maximum size of a file of certificates, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Time after which a file that could not be used is read again even if it does not change.
const RETRY_READ: Duration = Duration::from_secs(10);

/// Files of authorities.
pub type Files = BTreeMap<Name, PathBuf>;

/// Authorities that were read, and the settings of TLS that follow from them.
#[derive(Clone, Debug)]
pub struct Authorities {
    unverified: Arc<ClientConfig>,
    by_name: BTreeMap<Name, Authority>,
}

#[derive(Clone, Debug)]
struct Authority {
    certificates: Vec<CertificateDer<'static>>,
    client: Arc<ClientConfig>,
}

impl Default for Authorities {
    /// Returns no authorities.
    fn default() -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AnyServer(provider));
        Self {
            unverified: client(verifier),
            by_name: BTreeMap::new(),
        }
    }
}

impl Authorities {
    /// Returns the settings of TLS for `verify`.
    ///
    /// # Errors
    ///
    /// The authority was not read.
    pub(super) fn client(&self, verify: &Verify) -> Result<Arc<ClientConfig>, Name> {
        match verify {
            Verify::Nothing => Ok(Arc::clone(&self.unverified)),
            Verify::Authority(name) => (self.by_name.get(name))
                .map(|authority| Arc::clone(&authority.client))
                .ok_or_else(|| format!("tls: authority {name} was not read").into()),
        }
    }

    /// Reads `files`. Returns the authorities, and the problems of files that cannot be used. The
    /// authority of such a file stays as it was.
    #[must_use]
    pub fn read(&self, files: &Files) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut by_name = BTreeMap::new();
        for (name, path) in files {
            let before = self.by_name.get(name).cloned();
            let authority = match authority(path, before.as_ref()) {
                Ok(authority) => Some(authority),
                Err(problem) => {
                    let now = match before {
                        Some(_) => "the certificates that were read before stay in force",
                        None => {
                            "probes that need it are not made, and their endpoints count as healthy"
                        }
                    };
                    problems.push(format!(
                        "healthChecks.authorities.{name}: {} {problem}; {now}",
                        path.display()
                    ));
                    before
                }
            };
            by_name.extend(authority.map(|authority| (name.clone(), authority)));
        }
        let read = Self {
            unverified: Arc::clone(&self.unverified),
            by_name,
        };
        (read, problems)
    }

    /// Returns the number of certificates of each authority.
    fn counts(&self) -> BTreeMap<&Name, usize> {
        let authorities = self.by_name.iter();
        let counts = authorities.map(|(name, authority)| (name, authority.certificates.len()));
        counts.collect()
    }

    fn equals(&self, other: &Self) -> bool {
        let certificates = |all: &Self| -> BTreeMap<Name, Vec<CertificateDer<'static>>> {
            let authorities = all.by_name.iter();
            let pairs = authorities.map(|(name, one)| (name.clone(), one.certificates.clone()));
            pairs.collect()
        };
        certificates(self) == certificates(other)
    }
}

/// Reads the files of the configuration into `authorities` whenever the configuration or a file
/// changes, until the configuration has no sender.
pub async fn follow(
    mut config: watch::Receiver<Arc<Resolved>>,
    authorities: watch::Sender<Arc<Authorities>>,
) {
    let mut logged = Vec::new();
    loop {
        let files = (config.borrow_and_update().node.health_check_authorities).clone();
        let paths: Vec<PathBuf> = files.values().cloned().collect();
        // The watch starts before the reading, so that no change is missed.
        let changes = (!paths.is_empty()).then(|| Changes::at(&paths));
        let before = Arc::clone(&authorities.borrow());
        let (now, problems) = before.read(&files);
        for problem in &problems {
            if !logged.contains(problem) {
                tracing::error!("configuration: {problem}");
            }
        }
        if !now.equals(&before) {
            let counts = now.counts();
            tracing::info!("configuration: certificates of healthChecks.authorities: {counts:?}");
            authorities.send_replace(Arc::new(now));
        }
        let is_short = !problems.is_empty();
        logged = problems;
        let changed = async {
            match changes {
                Some(changes) => changes.settled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = config.changed() => if changed.is_err() {
                return;
            },
            () = changed => {}
            () = sleep(RETRY_READ), if is_short => {}
        }
    }
}

/// Reads the authority at `path`, or returns `before` if the file has the same certificates. The
/// problem is the end of a sentence, and shows nothing of the file: it may be a key.
fn authority(path: &Path, before: Option<&Authority>) -> Result<Authority, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let file = std::fs::metadata(path).map_err(unreadable)?;
    if !file.is_file() {
        return Err("is no file".to_owned());
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    (file.take(MAX_FILE + 1).read_to_end(&mut text)).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("is longer than {} KiB", MAX_FILE >> 10));
    }
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| "is no PEM file")?;
    if let Some(before) = before.filter(|before| before.certificates == certificates) {
        return Ok(before.clone());
    }
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        let added = roots.add(certificate.clone());
        added.map_err(|_| format!("has an invalid certificate, number {}", index + 1))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|_| "has no certificate")?;
    Ok(Authority {
        certificates,
        client: client(verifier),
    })
}

/// Returns a client with `verifier`.
///
/// Sessions are not resumed: a resumed one would neither verify the certificate nor use its key, so
/// that a probe would succeed where new clients fail.
fn client(verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let mut client = builder
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    client.resumption = Resumption::disabled();
    Arc::new(client)
}

/// Verifier that accepts every certificate. Signatures of the handshake are checked, so that the
/// server must have the key of its certificate.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
