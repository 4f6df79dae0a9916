//! The HTTP API: opened before the mail, served beside it.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::Diagnostic;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::net::TcpListener;
use wasmail_admin::Serving;
use wasmail_server::Metrics;
use wasmail_tenants::Failure;

use crate::config::Settings;
use crate::decisions::Decisions;
use crate::hosting::{Hosting, HostingError, Working, Workshop};
use crate::paths;

/// Why the API does not start.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum ApiError {
    #[error("the API cannot listen on {address}: {source}")]
    #[diagnostic(help("another program may have the address; set another api.listen"))]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{path}: {why}")]
    #[diagnostic(help("api.certificate and api.key name files in PEM"))]
    Certificate { path: PathBuf, why: String },
    #[error(transparent)]
    #[diagnostic(help("mend what it names; nothing was changed"))]
    Hosting(#[from] HostingError),
    #[error(transparent)]
    #[diagnostic(help("mend the disk of server.data_dir; nothing was changed"))]
    Registry(#[from] Failure),
    #[error("{path} cannot be written: {source}")]
    #[diagnostic(help("it gets the operator's first token"))]
    Token { path: PathBuf, source: std::io::Error },
}

/// An API whose socket is open.
pub(crate) struct Opened {
    pub(crate) hosting: Arc<Hosting>,
    pub(crate) address: SocketAddr,
    working: Working,
    serving: Serving,
}

/// Opens the API, if there is to be one.
pub(crate) async fn open(
    settings: &Settings,
    with: Option<(Workshop, Decisions)>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Opened>, ApiError> {
    let (Some(address), Some((workshop, decisions))) = (settings.api.listen, with) else { return Ok(None) };
    let tls = match (&settings.api.certificate, &settings.api.key) {
        (Some(chain), Some(key)) => Some(tls(chain, key)?),
        _ => None,
    };
    let listening = |source| ApiError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let hosting = Hosting::open(paths::tenants(settings), workshop).await?;
    if let Some(token) = hosting.first_token().await? {
        let path = paths::api_token(settings);
        write_token(&path, &token).map_err(|source| ApiError::Token { path, source })?;
    }
    let (spool, orders) = (paths::spool(settings), paths::orders(settings));
    let working = Working { hosting: Arc::clone(&hosting), decisions, metrics: Arc::clone(metrics), spool, orders };
    Ok(Some(Opened { hosting, address, working, serving: Serving { listener, tls } }))
}

/// For its owner alone.
fn write_token(path: &Path, token: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

fn tls(chain: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, ApiError> {
    let bad = |path: &Path, why: String| ApiError::Certificate { path: path.to_owned(), why };
    let certificates = CertificateDer::pem_file_iter(chain).map_err(|error| bad(chain, error.to_string()))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| bad(chain, error.to_string()))?;
    let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| bad(chain, error.to_string()))?.with_no_client_auth();
    let config = config.with_single_cert(certificates, key_of).map_err(|error| bad(chain, error.to_string()))?;
    Ok(Arc::new(config))
}

impl Opened {
    /// Serves until `shutdown` ends.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) {
        let registry = Arc::new(self.hosting.registry());
        let api = wasmail_admin::Api::new(registry, self.hosting.modules(), Arc::new(self.working));
        wasmail_admin::serve(api, self.serving, shutdown).await;
    }
}
