//! What one binding was granted, and what one hook call has used of it.

use crate::secret::Secrets;
use crate::{dns, geo, http, inject, kv, mail_auth, tcp};

/// The capabilities of one binding. What is not there was not granted.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// Questions to the DNS.
    pub dns: Option<dns::Client>,
    /// The binding's own space in the store.
    pub kv: Option<kv::Space>,
    /// Messages of the binding's own.
    pub inject: Option<inject::Client>,
    /// Requests over HTTP.
    pub http: Option<http::Client>,
    /// Conversations with services.
    pub tcp: Option<tcp::Client>,
    /// Where addresses are.
    pub geo: Option<geo::Client>,
    /// Keys that it uses and never sees.
    pub secrets: Option<Secrets>,
    /// Where a message comes from. What it costs is bounded for each message.
    pub mail_auth: Option<mail_auth::Judge>,
}

impl Capabilities {
    /// Nothing is granted.
    #[must_use]
    pub const fn none() -> Self {
        Self { dns: None, kv: None, inject: None, http: None, tcp: None, geo: None, secrets: None, mail_auth: None }
    }
}

/// What one hook call has used so far; a new call begins with a new one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Questions to the DNS.
    pub dns: u32,
    /// Calls of the store.
    pub kv: u32,
    /// Messages injected.
    pub inject: u32,
    /// Requests over HTTP.
    pub http: u32,
    /// Addresses looked up.
    pub geo: u32,
}
