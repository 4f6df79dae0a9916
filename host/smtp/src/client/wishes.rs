//! What a client wants of a connection.

use std::fmt;

use super::Patience;

/// What a client wants of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// What EHLO says of us.
    pub hostname: String,
    /// Whether it is LMTP (RFC 2033): each recipient has a reply of their own to the final dot.
    pub lmtp: bool,
    /// Whether content goes in a chunk, by BDAT, where CHUNKING is offered.
    pub chunking: bool,
    /// Whether TLS is begun.
    pub tls: StartTls,
    /// How to authenticate, if the server wants it.
    pub credentials: Option<Credentials>,
    /// How long the server may take.
    pub patience: Patience,
}

impl Wishes {
    /// Nothing but to be called so.
    #[must_use]
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            lmtp: false,
            chunking: true,
            tls: StartTls::Never,
            credentials: None,
            patience: Patience::default(),
        }
    }
}

/// Whether TLS is begun by STARTTLS (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartTls {
    /// Never.
    #[default]
    Never,
    /// Where it is offered; a server that then does not want it is spoken with in the clear.
    IfOffered,
    /// Always; a server that does not is not spoken with.
    Required,
}

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether they are shown without TLS.
    pub in_the_clear: bool,
}

/// Without the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
