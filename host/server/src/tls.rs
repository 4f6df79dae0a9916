//! TLS: certificates by the name that the client asks for, read anew when their files change.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ParsedCertificate, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wasmail_mail::Tls as Facts;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::wire::Wire;

/// Longest name of a client's that is believed, in octets, as RFC 4616 has it for users.
const NAME_MAX: usize = 255;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What a server shows to prove who it is, and what it wants of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates with their keys. A client that asks for a name gets the first that is good for it and whose algorithm it
    /// knows; one that asks for none, or for another, the first whose algorithm it knows.
    pub certificates: Vec<Certificate>,
    /// Files that have, each, a certificate, those between it and the root, and its private key, PEM. They come behind
    /// [`TlsConfig::certificates`]. One that is not there yet is waited for; one that cannot be used is told in the log.
    pub awaited: Vec<PathBuf>,
    /// What is shown for as long as there is no other.
    pub fallback: Option<Certificate>,
    /// The oldest version that is spoken.
    pub minimum: TlsVersion,
    /// Whose certificates of clients are believed, PEM. With it clients are asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub client_certificate_required: bool,
    /// How long a handshake may take.
    ///
    /// 30 seconds by default: it is two round trips and a signature.
    pub handshake_timeout: Duration,
}

impl TlsConfig {
    /// [`TlsConfig::handshake_timeout`] when nothing is said.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate and those between it and the root, PEM.
    pub chain: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, PEM.
    pub key: PathBuf,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM of the kind that is wanted.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Key and certificate don't belong together, or are of a kind that is not known.
    #[error("{chain} and {key}: {source}")]
    Pair {
        /// The file with the certificate.
        chain: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// No certificate at all.
    #[error("no certificate is configured")]
    None,
    /// The certificates of clients cannot be judged.
    #[error("{path}: {source}")]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
    /// rustls refuses the whole.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
}

/// What listeners need for TLS. Files are read anew when they change; broken ones leave the old ones in force.
pub struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<rustls::ServerConfig>>,
    /// How the files looked when they were last read.
    seen: Mutex<Vec<Option<(SystemTime, u64)>>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that cannot be used, and why.
    pub fn load(config: TlsConfig) -> Result<Arc<Self>, TlsError> {
        let seen = looks(&config);
        let current = RwLock::new(Arc::new(server_config(&config)?));
        Ok(Arc::new(Self { config, current, seen: Mutex::new(seen) }))
    }

    /// Reads the files anew, whether they have changed or not. Sessions that are running go on as they began.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.seen.lock() = looks(&self.config);
        let config = server_config(&self.config)?;
        *self.current.write() = Arc::new(config);
        Ok(())
    }

    /// Reads the files anew each time that they have changed, for ever.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            // A file that is being replaced may be half there: it will have changed again the next time.
            if looks(&self.config) != *self.seen.lock() {
                self.reload_and_tell();
            }
        }
    }

    /// Reads the files anew and writes to the log what came of it.
    pub fn reload_and_tell(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("certificates were read anew"),
            Err(error) => tracing::error!(%error, "failed to read certificates; the old ones stay in force"),
        }
    }

    /// Holds a handshake.
    pub(crate) async fn accept(&self, stream: Wire) -> io::Result<(TlsStream<Wire>, Facts)> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.read()));
        let timeout = tokio::time::timeout(self.config.handshake_timeout, acceptor.accept(stream));
        let stream = timeout.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let facts = facts(&stream);
        Ok((stream, facts))
    }
}

fn facts(stream: &TlsStream<Wire>) -> Facts {
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let peer = session.peer_certificates().and_then(|chain| chain.first());
    Facts {
        version: version.to_owned(),
        // rustls marks the suites of TLS 1.3, whose registered names have no mark.
        cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
        sni: session.server_name().map(str::to_owned),
        peer_certificate: peer.map(|certificate| certificate.to_vec()),
        names: peer.map(|certificate| names(certificate)).unwrap_or_default(),
        exporter: exporter(session),
    }
}

/// What RFC 9266 binds to. Older versions need a further extension to make it sound (section 4.2), so they have none.
fn exporter(session: &rustls::ServerConnection) -> Option<[u8; 32]> {
    let is_new = session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    is_new.then(|| session.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).ok()).flatten()
}

/// Whom a client's certificate names: the addresses among its subject's alternative names (RFC 5280 section 4.2.1.6), else its common
/// name.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let addresses = alternatives.iter().flat_map(|found| &found.value.general_names).filter_map(|name| match name {
        GeneralName::RFC822Name(address) => Some((*address).to_owned()),
        _ => None,
    });
    let mut names: Vec<String> = addresses.collect();
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok().map(str::to_owned));
        names.extend(common);
    }
    // They go into logs and a header field.
    names.retain(|name| (1..=NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control));
    names
}

/// How the files look, so that a change is seen.
fn looks(config: &TlsConfig) -> Vec<Option<(SystemTime, u64)>> {
    let pairs = config.certificates.iter().chain(&config.fallback);
    let pairs = pairs.flat_map(|certificate| [&certificate.chain, &certificate.key]).chain(&config.awaited);
    let look = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    pairs.chain(&config.client_ca).map(look).collect()
}

fn server_config(config: &TlsConfig) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match config.minimum {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let certificates = Certificates::load(config, &provider)?;
    let verifier = verifier(config, &provider)?;
    let mut made = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificates));
    made.ticketer = ring::Ticketer::new()?;
    Ok(made)
}

fn verifier(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = &config.client_ca else { return Ok(Arc::new(NoClientAuth)) };
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate).map_err(|why| unusable(path, &why))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if config.client_certificate_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|source| TlsError::ClientCa { path: path.clone(), source })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, error, "certificate"))?;
    if certificates.is_empty() { Err(unusable(path, &"there is no certificate in it")) } else { Ok(certificates) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, error, "private key"))
}

fn unreadable(path: &Path, error: pem::Error, wanted: &str) -> TlsError {
    match error {
        pem::Error::Io(why) => unusable(path, &why),
        pem::Error::NoItemsFound => unusable(path, &format_args!("there is no {wanted} in it")),
        why => unusable(path, &format_args!("it is no PEM file: {why}")),
    }
}

fn unusable(path: &Path, why: &dyn fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: why.to_string() }
}

/// The certificates, in the operator's order.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    fn load(config: &TlsConfig, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let load = |files: &Certificate| certified(files, provider).map(Arc::new);
        let mut all = config.certificates.iter().map(load).collect::<Result<Vec<_>, TlsError>>()?;
        all.extend(config.awaited.iter().filter_map(|file| awaited(file, provider)).map(Arc::new));
        if let Some(fallback) = config.fallback.as_ref().filter(|_| all.is_empty()) {
            all.push(load(fallback)?);
        }
        if all.is_empty() { Err(TlsError::None) } else { Ok(Self(all)) }
    }
}

/// A certificate that may not be there yet.
fn awaited(file: &Path, provider: &CryptoProvider) -> Option<CertifiedKey> {
    if !file.exists() {
        return None;
    }
    let both = Certificate { chain: file.to_owned(), key: file.to_owned() };
    let told = |error: &TlsError| tracing::error!(%error, "a certificate cannot be used");
    certified(&both, provider).inspect_err(told).ok()
}

/// Reads a certificate and its key.
pub(crate) fn certified(files: &Certificate, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let (chain, key) = (chain(&files.chain)?, key(&files.key)?);
    let pair = |source| TlsError::Pair { chain: files.chain.clone(), key: files.key.clone(), source };
    CertifiedKey::from_der(chain, key, provider).map_err(pair)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known = |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().filter(known).find(|certified| is_for(certified, &name)));
        named.or_else(|| self.0.iter().find(known)).or_else(|| self.0.first()).cloned()
    }
}

/// Whether a certificate is good for a name.
pub(crate) fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let end_entity = certified.end_entity_cert().ok().and_then(|der| ParsedCertificate::try_from(der).ok());
    end_entity.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
