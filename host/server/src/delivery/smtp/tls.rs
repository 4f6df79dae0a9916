//! Our end of TLS towards other servers (RFC 3207, RFC 8314).
//!
//! The handshake itself believes any certificate; what a server has shown is judged afterwards and before anything is said, so
//! that the log can tell of a server that needed no proof whether it would have had one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmail_services::dns::Tlsa;

use super::dane;
use super::report::SessionResult;
use crate::TlsError;

/// What all connections share.
pub(super) struct ClientTls {
    config: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    /// How long a handshake may take.
    patience: Duration,
}

/// What a handshake brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) version: &'static str,
    pub(super) cipher: String,
    /// Whether the certificate is good, by the authorities that are believed or by the DNS; why not.
    pub(super) verified: Result<(), NotGood>,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotGood {
    pub(super) result: SessionResult,
    pub(super) why: String,
}

impl From<String> for NotGood {
    fn from(why: String) -> Self {
        Self { result: SessionResult::ValidationFailure, why }
    }
}

impl From<Error> for NotGood {
    fn from(error: Error) -> Self {
        use CertificateError as Bad;
        let result = match &error {
            Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
                SessionResult::CertificateHostMismatch
            }
            Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => SessionResult::CertificateExpired,
            Error::InvalidCertificate(Bad::UnknownIssuer) => SessionResult::CertificateNotTrusted,
            _ => SessionResult::ValidationFailure,
        };
        Self { result, why: error.to_string() }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verified = if self.verified.is_ok() { "verified" } else { "not verified" };
        write!(f, "{} {} ({verified})", self.version, self.cipher)
    }
}

impl ClientTls {
    /// With the authorities of the web, and those of a file of the operator's.
    pub(super) fn new(ca: Option<&Path>, patience: Duration) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca {
            add(&mut roots, path).map_err(|why| TlsError::File { path: PathBuf::from(path), why })?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let believes = Arc::new(BelievesAnybody(Arc::clone(&provider)));
        let mut config = builder.dangerous().with_custom_certificate_verifier(believes).with_no_client_auth();
        // A session that goes on shows no certificate.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), verifier, provider, patience })
    }

    /// Holds a handshake with a host, by name or address, and judges its certificate, by records of the DNS if there are any.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        dane: Option<&[Tlsa]>,
    ) -> io::Result<(Box<TlsStream<TcpStream>>, Session)> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connecting = TlsConnector::from(Arc::clone(&self.config)).connect(name.clone(), stream);
        let stream =
            timeout(self.patience, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let session = self.session(&stream, &name, dane);
        Ok((Box::new(stream), session))
    }

    fn session(&self, stream: &TlsStream<TcpStream>, name: &ServerName<'_>, dane: Option<&[Tlsa]>) -> Session {
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        let chain = session.peer_certificates().unwrap_or_default();
        let verified = match dane {
            Some(records) => dane::verify(records, chain, name, &self.provider).map_err(NotGood::from),
            None => self.verify(chain, name),
        };
        // rustls marks the suites of TLS 1.3, whose registered names have no mark.
        Session { version, cipher: cipher.replacen("TLS13_", "TLS_", 1), verified }
    }

    fn verify(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), NotGood> {
        let missing = || NotGood::from("there is no certificate".to_owned());
        let (end_entity, between) = chain.split_first().ok_or_else(missing)?;
        let verified = self.verifier.verify_server_cert(end_entity, between, name, &[], UnixTime::now());
        verified.map(drop).map_err(NotGood::from)
    }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        count += 1;
    }
    if count == 0 { Err("there is no certificate in it".to_owned()) } else { Ok(()) }
}

/// Judges nothing but whether the server has the key of the certificate that it shows.
#[derive(Debug)]
struct BelievesAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
