//! What all bindings share: the resolver, the trusted roots, the places for connections.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;

use super::request::{Request, Response};
use crate::{Failure, dns};

/// How plugins' requests go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// A file of certificates in PEM, in place of Mozilla's list, which is compiled in.
    pub roots: Option<PathBuf>,
    /// Another file of certificates, which are trusted beside those.
    pub more_roots: Option<PathBuf>,
    /// Requests under way at once, of all bindings together.
    pub concurrency: usize,
}

/// The file of trusted certificates is not good.
#[derive(Debug, thiserror::Error)]
#[error("failed to read certificates from {path}: {why}")]
pub struct NoRoots {
    path: PathBuf,
    why: String,
}

/// The way out, for all bindings.
#[derive(Debug)]
pub struct Network {
    pub(super) source: Source,
    pub(super) slots: Semaphore,
}

#[derive(Debug)]
pub(super) enum Source {
    Sockets {
        resolver: Arc<dns::Resolver>,
        tls: Arc<ClientConfig>,
    },
    /// By method and URL.
    List(HashMap<(String, String), Result<Response, Failure>>),
}

impl Network {
    /// # Errors
    /// When the file of roots cannot be read, or has no certificate in it.
    pub fn new(resolver: Arc<dns::Resolver>, config: &NetworkConfig) -> Result<Arc<Self>, NoRoots> {
        let mut roots = match &config.roots {
            Some(path) => read(path).map_err(|why| NoRoots { path: path.clone(), why })?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        if let Some(path) = &config.more_roots {
            let more = read(path).map_err(|why| NoRoots { path: path.clone(), why })?;
            roots.extend(more.roots);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut tls = versions.expect("ring knows TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let slots = Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS));
        Ok(Arc::new(Self { source: Source::Sockets { resolver, tls: Arc::new(tls) }, slots }))
    }

    /// Answers from a list of methods and URLs instead of the network, for rehearsals. What is not listed is not there.
    #[must_use]
    pub fn of_list(list: impl IntoIterator<Item = ((String, String), Result<Response, Failure>)>) -> Arc<Self> {
        let source = Source::List(list.into_iter().collect());
        Arc::new(Self { source, slots: Semaphore::new(Semaphore::MAX_PERMITS) })
    }
}

/// What the list says of a request.
pub(super) fn listed(
    list: &HashMap<(String, String), Result<Response, Failure>>,
    request: &Request,
) -> Result<Response, Failure> {
    let nobody = || Err(Failure::Unavailable("nobody answers there".to_owned()));
    list.get(&(request.method.clone(), request.url.clone())).cloned().unwrap_or_else(nobody)
}

fn read(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is none".to_owned()) } else { Ok(roots) }
}
