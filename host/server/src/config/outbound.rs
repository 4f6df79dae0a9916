//! How mail goes to other servers and services.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmail_queue::exchanges::Families;
use wasmail_services::Reach;
use wasmail_services::dns::ResolverConfig;
use wasmail_smtp::Srs;
use wasmail_smtp::client::{Credentials, Patience};

use super::MaildirConfig;

/// How we speak with other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// What we call ourselves in EHLO.
    pub hostname: String,
    /// Whether it is LMTP that is spoken (RFC 2033).
    pub lmtp: bool,
    /// Whether content goes in a chunk, by BDAT, where CHUNKING is offered.
    ///
    /// It does by default.
    pub chunking: bool,
    /// How long to wait for a connection to one address to be made.
    ///
    /// 30 seconds by default; nothing is lost by trying again later.
    pub connect_timeout: Duration,
    /// How long a connection is kept for the next message.
    ///
    /// 5 seconds by default: longer would hold a slot of the other server's for nothing.
    pub idle_timeout: Duration,
    /// How long the other server may take for each step.
    pub patience: Patience,
    /// Authorities in PEM that are believed beside those of the web, where a certificate must be good.
    pub ca: Option<PathBuf>,
    /// Whether TLS begins at the first octet (RFC 8314 §3.3), rather than by STARTTLS.
    pub implicit_tls: bool,
    /// How we authenticate.
    pub credentials: Option<Credentials>,
    /// The address that connections to IPv4 addresses come from; the operating system chooses when there is none.
    pub source_ipv4: Option<Ipv4Addr>,
    /// Likewise for IPv6.
    pub source_ipv6: Option<Ipv6Addr>,
}

impl ClientConfig {
    /// [`ClientConfig::connect_timeout`] when nothing is said.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
    /// [`ClientConfig::idle_timeout`] when nothing is said.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

    /// The defaults, under this name.
    #[must_use]
    pub fn new(hostname: impl Into<String>) -> Self {
        let (connect_timeout, idle_timeout) = (Self::CONNECT_TIMEOUT, Self::IDLE_TIMEOUT);
        Self {
            hostname: hostname.into(),
            lmtp: false,
            chunking: true,
            connect_timeout,
            idle_timeout,
            patience: Patience::default(),
            ca: None,
            implicit_tls: false,
            credentials: None,
            source_ipv4: None,
            source_ipv6: None,
        }
    }
}

/// How safe a connection to another server must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// TLS is not even tried.
    Off,
    /// TLS where the server has it, whatever its certificate (RFC 7435): enough against listeners on the way.
    #[default]
    Opportunistic,
    /// TLS with a certificate that is good for the server's name; no mail otherwise.
    Verified,
}

/// Delivery to another server by SMTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHopConfig {
    /// Host name or IP address, or the path of a socket of this machine, from `/` on. A name is looked up by the operating
    /// system for each message.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How safe connections to it must be.
    pub security: Security,
    /// How we speak with it.
    pub client: ClientConfig,
}

impl NextHopConfig {
    /// This host and port, with the default times.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, hostname: impl Into<String>) -> Self {
        Self { host: host.into(), port, security: Security::default(), client: ClientConfig::new(hostname) }
    }

    /// The address, when the host is one rather than a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

/// Delivery to the servers that recipients' domains name in the DNS (RFC 5321 §5).
#[derive(Debug, Clone)]
pub struct MxConfig {
    /// Domains whose mail stays here; none on a route that policy chooses.
    pub local: Option<LocalConfig>,
    /// How the servers of a domain are found.
    pub exchangers: ExchangersConfig,
    /// Names and addresses that are ours, beside our host name and the addresses that we listen on.
    pub own: Vec<String>,
    /// Port of all servers: 25, except in tests.
    pub port: u16,
    /// Messages on their way at once, to all destinations together.
    pub concurrency: usize,
    /// What holds for destinations of which nothing else is said.
    pub default: DestinationConfig,
    /// What holds for single domains, by name in lower case; one that begins with a dot stands for all below it.
    pub destinations: BTreeMap<String, DestinationConfig>,
    /// Who makes reverse-paths for mail of others that goes on; as it is without.
    pub srs: Option<Arc<Srs>>,
    /// The longest that a destination is left alone where nobody was reached; zero for never.
    ///
    /// 15 minutes by default: a minute at first, then twice as long each time. Nobody's mail comes late for long once the server is back,
    /// and a dead one costs a connection now and then instead of one for each message.
    pub suspend_longest: Duration,
    /// Where reports about TLS are kept (RFC 8460), if anywhere.
    pub tls_reports: Option<PathBuf>,
    /// Whether certificates are looked for in the DNS where its answers are validated (RFC 7672).
    pub dane: bool,
    /// Whether domains' wishes for TLS are looked for, and how.
    pub sts: Option<StsConfig>,
    /// How we speak with them.
    pub client: ClientConfig,
}

/// How mail goes to one destination: a domain, whichever servers it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestinationConfig {
    /// How safe connections must be.
    pub security: Security,
    /// How much goes there, and how fast.
    pub pace: Pace,
}

impl Default for DestinationConfig {
    fn default() -> Self {
        Self { security: Security::default(), pace: Pace { concurrency: 10, per_minute: None } }
    }
}

/// How much mail goes to one destination, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages on their way at once: as many connections.
    ///
    /// 10 by default: large receivers put up with more, small ones do not.
    pub concurrency: usize,
    /// Messages in a minute; as many as go when there is no number.
    pub per_minute: Option<u32>,
}

/// Domains whose mail stays here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    /// The domains; case means nothing, and subdomains are others.
    pub domains: Vec<String>,
    /// Where their mail goes.
    pub maildir: MaildirConfig,
}

/// How the servers of a domain are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangersConfig {
    /// Whom to ask.
    pub resolver: ResolverConfig,
    /// Which kind of address is tried.
    pub families: Families,
    /// Which addresses mail may go to, beside public ones.
    pub reach: Reach,
    /// Whether mail to `user@[192.0.2.1]` is delivered.
    pub literals: bool,
}

/// Delivery to a service by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where messages are posted to: `https://` or `http://`.
    pub url: String,
    /// What the field `Authorization` says, if anything.
    pub authorization: Option<Secret>,
    /// Who finds its addresses.
    pub resolver: ResolverConfig,
    /// Authorities in PEM that are believed beside those of the web.
    pub ca: Option<PathBuf>,
    /// For one request, from connecting to the last octet of the answer.
    pub timeout: Duration,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// MTA-STS: policies of domains that want their mail under TLS with a good certificate (RFC 8461).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsConfig {
    /// Port of the servers that policies are fetched from: 443, except in tests.
    pub port: u16,
    /// Authorities in PEM that are believed beside those of the web.
    pub ca: Option<PathBuf>,
    /// Where policies are kept; nowhere when there is no place.
    pub dir: Option<PathBuf>,
}
