//! What the operator settles, as values. The daemon reads them from its file; every default has its reason here.

mod outbound;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use wasmail_authentication::Signer;
use wasmail_policy::Stages;
use wasmail_queue::Policy;
use wasmail_smtp::SessionConfig;
use wasmail_spool::Options;

use crate::acme::AcmeConfig;
use crate::metrics::Metrics;
use crate::tls::Tls;
use crate::users::Users;
use crate::wire::Address;

pub use outbound::{
    ClientConfig, DestinationConfig, ExchangersConfig, LocalConfig, MxConfig, NextHopConfig, Pace, Secret, Security,
    StsConfig, WebhookConfig,
};

/// Everything that a [`Server`](crate::Server) needs to start.
pub struct ServerConfig {
    /// Where to listen, and with what policy.
    pub listeners: Vec<ListenerConfig>,
    /// How many clients at once.
    pub connections: ConnectionLimits,
    /// Names of clients by reverse DNS.
    pub dns: DnsConfig,
    /// Where accepted messages are kept until they are delivered.
    pub spool: SpoolConfig,
    /// Where accepted messages go.
    pub delivery: DeliveryConfig,
    /// Who signs what comes from ours.
    pub signer: Signer,
    /// Where certificates come from; none if the operator has them or nobody speaks TLS.
    pub acme: Option<AcmeConfig>,
    /// Where what happens is counted.
    pub metrics: Arc<Metrics>,
    /// How long a running transaction may go on after the server was told to stop; then its client gets 421.
    ///
    /// 30 seconds by default: service managers kill after 90.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// [`ServerConfig::drain_timeout`] when nothing is said.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
}

/// One address to listen on.
#[derive(Clone)]
pub struct ListenerConfig {
    /// Name, for logs and messages.
    pub name: String,
    /// Address; port 0 takes a free one, see [`Server::addresses`](crate::Server::addresses).
    pub address: Address,
    /// Who may connect to a socket in the file system: its permissions.
    pub socket_mode: u32,
    /// How its sessions speak SMTP.
    pub session: Arc<SessionConfig>,
    /// Who judges.
    pub policy: Arc<Stages>,
    /// Whether the client's name is looked up, and whether anybody waits for it.
    pub reverse_dns: ReverseDns,
    /// Whether it speaks TLS.
    pub tls: ListenerTls,
    /// Users whose passwords we know ourselves; others are left to the hook `auth`. They matter where [`SessionConfig::auth`]
    /// lets clients authenticate.
    pub users: Option<Arc<Users>>,
    /// Peers that speak for others by the PROXY protocol, and must; nobody else may.
    pub proxies: Vec<IpNet>,
    /// Peers that may say who their clients are by XCLIENT and XFORWARD; nobody else may.
    pub xclient: Vec<IpNet>,
    /// Whether its clients may send to anywhere from the start, because only trusted machines reach it.
    pub relaying: bool,
}

/// Whether a listener speaks TLS.
#[derive(Debug, Clone, Default)]
pub enum ListenerTls {
    /// Never.
    #[default]
    Off,
    /// When the client says STARTTLS (RFC 3207), which [`SessionConfig::starttls`] offers.
    StartTls(Arc<Tls>),
    /// From the first octet on (RFC 8314 §3.3).
    Implicit(Arc<Tls>),
}

impl ListenerTls {
    /// What it needs for that.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Self::Off => None,
            Self::StartTls(tls) | Self::Implicit(tls) => Some(tls),
        }
    }
}

/// How many clients at once. Who comes on top is told 421 and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    ///
    /// 10,000 by default, lowered to what the limit on open files allows: an idle one costs some 10 KB.
    pub total: usize,
    /// Connections from one IPv4 address, or one IPv6 /64, the least that one customer is given.
    ///
    /// 50 by default: large senders open some 20 at once, and an attacker needs 200 addresses to fill the house.
    /// Loopback addresses count as any other.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 10_000, per_address: 50 }
    }
}

/// Whether a client's name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReverseDns {
    /// Never.
    Off,
    /// Beside the session: policy sees the name as soon as it is there, and nobody waits.
    #[default]
    Lazy,
    /// The session begins when the answer is there or [`DnsConfig::timeout`] has passed.
    Wait,
}

/// Whom to ask for names, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Name servers, tried in order; those of the operating system (`/etc/resolv.conf`) when there is none.
    pub servers: Vec<SocketAddr>,
    /// How long one client's name may take in all, the PTR query and its forward confirmation together.
    ///
    /// 5 seconds by default: a name server that has not answered by then is broken, and clients wait in
    /// [`ReverseDns::Wait`].
    pub timeout: Duration,
    /// Clients whose names are looked up at once; who comes on top stays nameless.
    ///
    /// 256 by default: a dead name server then costs this many sockets and no more.
    pub concurrency: usize,
    /// Addresses whose names are remembered, for a minute each.
    ///
    /// 10,000 by default, some 100 octets each.
    pub cache: usize,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(5), concurrency: 256, cache: 10_000 }
    }
}

/// Where accepted messages are kept until they are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The spool's directory; made if it is missing.
    pub dir: PathBuf,
    /// Its settings, durability among them.
    pub options: Options,
}

/// Where accepted messages go.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// The usual way.
    pub usual: LaneConfig,
    /// Other ways, by name.
    pub routes: BTreeMap<String, RouteConfig>,
    /// Where the operator's orders about single messages are left; made if it is missing.
    pub orders: PathBuf,
    /// What senders are told.
    pub reports: ReportsConfig,
    /// Who judges messages on their way out.
    pub chain: Arc<wasmail_policy::outbound::Chain>,
}

/// What senders are told of their mail's fate (RFC 3461).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportsConfig {
    /// Our name, as reports have it.
    pub hostname: String,
    /// Whether senders hear of failures. If not, messages that failed stay in the queue for the operator.
    pub failures: bool,
    /// After what time senders hear that a message is still being tried, once; none if never.
    ///
    /// 4 hours by default, as most servers have it: less is an ordinary greylist or a restart.
    pub warn_after: Option<Duration>,
    /// The longest body that is sent back with a report of a failure, in octets; of others the header section is.
    ///
    /// 64 KiB by default: enough to know a text again, and not a second delivery of every attachment.
    pub return_max: u64,
}

impl ReportsConfig {
    /// [`ReportsConfig::warn_after`] when nothing is said.
    pub const WARN_AFTER: Duration = Duration::from_secs(4 * 3600);
    /// [`ReportsConfig::return_max`] when nothing is said.
    pub const RETURN_MAX: u64 = 64 * 1024;
}

/// Another way than the usual one. Policy may choose it for a message by its name.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// Where it leads.
    pub lane: LaneConfig,
    /// Domains whose mail goes this way when policy chooses nothing; with a dot in front, all below it.
    pub domains: Vec<String>,
}

/// Where messages go, how many at once, and how often they are tried.
#[derive(Debug, Clone)]
pub struct LaneConfig {
    /// Where they go.
    pub destination: Destination,
    /// Messages on their way at once.
    ///
    /// 20 by default: as many connections as a next hop is asked for, and enough Maildir writers for their syncs to be
    /// shared.
    pub concurrency: usize,
    /// When a delivery that failed for now is tried again, and when it is given up.
    pub retry: Policy,
}

impl LaneConfig {
    /// [`LaneConfig::concurrency`] when nothing is said.
    pub const CONCURRENCY: usize = 20;
}

/// Where accepted messages go.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Into Maildirs of this machine.
    Maildir(MaildirConfig),
    /// To another server by SMTP.
    NextHop(Box<NextHopConfig>),
    /// To the servers that recipients' domains name in the DNS.
    Mx(Box<MxConfig>),
    /// To a service by HTTP.
    Webhook(Box<WebhookConfig>),
    /// Nowhere: a message is forgotten as soon as it is acknowledged. For benchmarks only.
    Discard,
}

/// Final delivery into Maildirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildirConfig {
    /// The directory that holds them; made if it is missing.
    pub root: PathBuf,
    /// One for each recipient or one for all.
    pub layout: MaildirLayout,
    /// Our name: the last part of file names, and the domain of a bare `postmaster`.
    pub hostname: String,
    /// Whether each message is synced before it counts as delivered. Off only for benchmarks and for mail that one can
    /// afford to lose.
    pub sync: bool,
}

/// Which Maildir a recipient's mail goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaildirLayout {
    /// `<root>/<domain>/<local-part>/`, both in lower case: what Postfix and Dovecot write as `%d/%n`.
    #[default]
    PerRecipient,
    /// `<root>/` takes everybody's, a copy for each recipient; `Delivered-To` tells them apart.
    Single,
}
