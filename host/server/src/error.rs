//! Why a server does not start or cannot go on.

use std::io;
use std::path::PathBuf;

/// Why a server does not start. Each one is the operator's turn.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on: another program has it, or it is not ours.
    #[error("listener `{name}`: failed to listen on {address}: {source}")]
    Listen {
        /// The listener's name.
        name: String,
        /// The address it was given.
        address: crate::Address,
        /// What the operating system says.
        source: io::Error,
    },
    /// The spool cannot be opened.
    #[error("{0}")]
    Spool(#[source] io::Error),
    /// The Maildir's root cannot be made or written to.
    #[error("failed to make the Maildir root {path}: {source}")]
    Maildir {
        /// The root.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Mail is to go where the DNS says, and there is nobody to ask.
    #[error("mail cannot be delivered by MX: {0}")]
    NameServer(#[source] wasmail_services::dns::NoNameServer),
    /// The authorities that certificates of services are to be checked by cannot be used.
    #[error("mail cannot be delivered by HTTP: {0}")]
    Roots(#[source] wasmail_services::http::NoRoots),
    /// What deliveries need for TLS cannot be used.
    #[error("mail cannot be delivered under TLS: {0}")]
    Tls(#[source] crate::TlsError),
    /// The ACME server has a name, and there is nobody to ask for it.
    #[error("certificates cannot be asked for: {0}")]
    AcmeNameServer(#[source] wasmail_services::dns::NoNameServer),
    /// The authorities that the ACME server's certificate is to be checked by cannot be used.
    #[error("certificates cannot be asked for: {0}")]
    AcmeRoots(#[source] wasmail_services::http::NoRoots),
    /// Nothing to listen on.
    #[error("no listener is configured")]
    NoListener,
}
